"""The stages of the workflow, by the rules that do their work."""

from __future__ import annotations

RULES = {
    "generate": ("generate_store",),
    "preprocess": ("preprocess_part",),
    "dataset": ("gather_dataset",),
    "split": ("split_samples",),
    "train": ("train_run",),
    "test": ("test_run",),
    "tune": ("tune_trials", "tune_study"),
    "predict": ("predict_store",),
    "report": ("plot_run", "report_run"),
    "compare": ("compare_runs", "compare_folds"),
}
TARGETS = {
    "all", "generate", "preprocess", "split", "train", "test", "predict", "report", "sweep", "tune",
}  # fmt: skip
TRAINING = "train_run"
_STAGE_OF = {rule: stage for stage, rules in RULES.items() for rule in rules}
_ORDER = list(RULES)


def stage_of(rule: str) -> str | None:
    """The stage that ``rule`` belongs to, ``None`` for a target; a foreign rule is its own."""
    return None if rule in TARGETS else _STAGE_OF.get(rule, rule)


def in_order(stages: list[str]) -> list[str]:
    """``stages`` as they follow each other; foreign ones come last."""
    return sorted(stages, key=lambda s: _ORDER.index(s) if s in _ORDER else len(_ORDER))
