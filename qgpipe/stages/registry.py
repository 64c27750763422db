"""The registry of stages, from which all lists of stages are made.

A stage is one kind of job. Its name is the first word of its rule, and is used in records, logs,
benchmarks and on the display.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.dump import to_plain
from qgpipe.config.types import Config, DataSection
from qgpipe.stages import settings
from qgpipe.stages.module_code import code_fingerprints


@dataclass(frozen=True)
class Stage:
    """A stage.

    ``rule``: the Snakemake rule in ``rules/<target>.smk``, which runs ``scripts/<rule>.py``;
    ``target``: the rule that requests the results of all jobs. Both are None for a command without
    a rule. ``title``: a short description. ``format``: raised by hand when the code changes what is
    written. ``settings``: a function of ``qgpipe.stages.settings`` for the settings that the result
    depends on; None if it depends on several runs or on a plan. ``artifact``: for a stage of the
    data, the path of an artifact by its name, relative to ``data.output`` as in ``pattern``; the
    artifacts of other stages are in the folder of a run. ``uses_device``: whether it uses
    ``training.device``. ``earlier_name``: its name in records of format 1.
    """

    name: str
    title: str
    rule: str | None
    target: str | None
    format: int = 1
    settings: Callable[[Config, DataSection], dict[str, Any]] | None = None
    artifact: Callable[[Config, str], Path] | None = None
    pattern: str | None = None
    uses_device: bool = False
    earlier_name: str | None = None


_STAGES = (
    Stage(
        "generate",
        "make raw causal sets",
        "generate_store",
        "generate",
        format=2,
        settings=settings.generate,
        artifact=paths.raw_store,
        pattern=r"([^/]+/)?raw/[^/]+\.zarr",
    ),
    Stage(
        "preprocess",
        "read, check and pack samples",
        "preprocess_part",
        "preprocess",
        format=2,
        settings=settings.preprocess,
        artifact=paths.part,
        pattern=r"([^/]+/)?parts/[^/]+-\d{9}\.safetensors",
    ),
    Stage(
        "gather",
        "list the parts",
        "gather_dataset",
        "preprocess",
        format=2,
        artifact=lambda config, _: paths.dataset(config),
        pattern=r"([^/]+/)?dataset\.json",
    ),
    Stage(
        "split",
        "divide samples into training, validation and test set",
        "split_samples",
        "split",
        settings=settings.split,
        artifact=lambda config, _: paths.split(config),
        pattern=r"([^/]+/)?(split|splits/[^/]+)\.json",
    ),
    Stage(
        "baseline",
        "fit simple methods to the training set",
        "baseline_answers",
        "baseline",
        settings=settings.baseline,
        artifact=lambda config, _: paths.baseline_answers(config),
        pattern=r"([^/]+/)?(baseline|baselines/[^/]+)\.safetensors",
    ),
    Stage(
        "apply",
        "apply the baselines to a further set",
        "apply_baselines",
        "evaluate",
        settings=settings.apply,
        artifact=paths.baseline_scores,
        pattern=r"([^/]+/)?evaluate/([^/]+/)?[^/]+\.json",
    ),
    Stage("train", "train", "train_run", "train", settings=settings.train, uses_device=True),
    Stage(
        "ensemble",
        "combine the members of an ensemble",
        "ensemble_run",
        "train",
        settings=settings.nothing,
    ),
    Stage(
        "calibrate",
        "fit temperature and outlier score to the validation set",
        "calibrate_run",
        "test",
        settings=settings.calibrate,
        uses_device=True,
    ),
    Stage(
        "test",
        "evaluate the best model on the test set",
        "test_run",
        "test",
        format=2,
        settings=settings.test,
        uses_device=True,
    ),
    Stage(
        "compare",
        "compare the model with the baselines",
        "compare_run",
        "baseline",
        settings=settings.nothing,
    ),
    Stage(
        "explain",
        "measure what the answers of the best model rest on",
        "explain_run",
        "explain",
        settings=settings.explain,
        uses_device=True,
    ),
    Stage(
        "ablate",
        "compare the model with its ablations",
        "ablate_run",
        "ablate",
        settings=settings.ablate,
    ),
    Stage(
        "predict",
        "apply the best model to a store",
        "predict_store",
        "predict",
        format=2,
        settings=settings.predict,
        uses_device=True,
    ),
    Stage(
        "evaluate",
        "evaluate the best model on a further set",
        "evaluate_set",
        "evaluate",
        settings=settings.evaluate,
        uses_device=True,
    ),
    Stage("export", "write the model for others", None, None, settings=settings.export),
    Stage(
        "plot",
        "draw the figures of a run",
        "plot_run",
        "report",
        format=2,
        settings=settings.report,
        earlier_name="report",
    ),
    Stage(
        "report",
        "write the page of a run",
        "report_run",
        "report",
        settings=settings.report,
        earlier_name="page",
    ),
    Stage("sweep", "compare the runs of a sweep", "sweep_table", "sweep"),
    Stage("folds", "compare the folds of a cross-validation", "folds_table", "sweep"),
    Stage(
        "tune",
        "train the trials of a study",
        "tune_trials",
        "tune",
        settings=settings.tune,
        uses_device=True,
    ),
    Stage("study", "gather the trials of a study", "study_trials", "tune", settings=settings.study),
)

STAGES = {stage.name: stage for stage in _STAGES}  # in the order of the pipeline
TARGETS = tuple(dict.fromkeys(stage.target for stage in _STAGES if stage.target))
BY_RULE = {stage.rule: stage for stage in _STAGES if stage.rule}


def stage_section(
    config: Config, stage: str, folders: Iterable[Path] = (), source: DataSection | None = None
) -> dict[str, Any]:
    """The section of ``stage``: what its result depends on, as plain values in sorted key order.

    It is a parameter of the rule: when it changes, the stage runs again. ``source``: the data
    section that a preprocessing job reads (default: the top-level one). ``folders``: the user's,
    with the code that the section names; its fingerprints are under ``code``.
    """
    shape = STAGES[stage].settings
    assert shape is not None, stage
    chosen = to_plain(shape(config, source or config["data"]))
    section = {"format": STAGES[stage].format, **chosen, "code": code_fingerprints(chosen, folders)}
    return settings.canonical(section)


def position(stage: str) -> int:
    """Index of ``stage`` in the order of the pipeline."""
    return list(STAGES).index(stage)
