"""The stage of a rule, and the order of stages; rules of other workflows are their own stage."""

from __future__ import annotations

from qgpipe.stages.registry import BY_RULE, STAGES, TARGETS

TRAINING = STAGES["train"].rule
_ORDER = list(STAGES)


def stage_of(rule: str) -> str | None:
    """The stage that ``rule`` belongs to, ``None`` for a target; a foreign rule is its own."""
    if rule in BY_RULE:
        return BY_RULE[rule].name
    return None if rule == "all" or rule in TARGETS else rule


def in_order(stages: list[str]) -> list[str]:
    """``stages`` as they follow each other; foreign ones come last."""
    return sorted(stages, key=lambda s: _ORDER.index(s) if s in _ORDER else len(_ORDER))
