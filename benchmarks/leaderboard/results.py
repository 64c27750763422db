"""The kept results of the leaderboard, read for its page and its figures."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

TASKS = Path(__file__).parents[1] / "tasks"
TEST = "test"
EDITOR = "# yaml-language-server"  # the first line of a configuration, for editors
MEASURES = {"accuracy": "accuracy", "r2": "R²"}
OUTCOMES = ("better", "not different", "worse")

Content = dict[str, Any]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Method:
    """A model or a baseline on a task.

    ``scores``: by set, one for each seed; none where there is no score. ``interval``: that of the
    test set. Of models only: ``against_best``, the number of seeds with each outcome against the
    best baseline; ``core_seconds`` to train a seed; ``parameters``.
    """

    name: str
    scores: dict[str, list[float]]
    interval: Interval | None
    against_best: Counter[str] | None = None
    core_seconds: float | None = None
    parameters: int | None = None

    @property
    def is_model(self) -> bool:
        """Whether this is not a baseline."""
        return self.parameters is not None


@dataclass(frozen=True)
class Task:
    """A task with its methods: the models, the best one first, then the baselines.

    ``question``: what it asks, from the head of its file; ``sets``: what its further sets are;
    ``num_graphs``: by set; ``left_out``: baselines that have no scores, with the reason;
    ``curves``: of each model the scores by what causal sets were made of.
    """

    name: str
    question: str
    measure: str
    sets: dict[str, str]
    num_graphs: dict[str, int]
    methods: list[Method]
    left_out: dict[str, str]
    curves: dict[str, list[Content]]


def read_results(folder: Path) -> dict[str, list[Content]]:
    """What is kept in ``folder``: for each task the files of its models."""
    places = sorted(path for path in folder.iterdir() if path.is_dir())
    return {p.name: [json.loads(f.read_text()) for f in sorted(p.glob("*.json"))] for p in places}


def as_task(name: str, results: Sequence[Content]) -> Task:
    """The task ``name`` with the ``results`` of its models, which share data and split."""
    first = results[0]
    question, sets = described(TASKS / f"{name}.yaml")
    for one in results:
        if one["baselines"] != first["baselines"]:
            raise SystemExit(f"{name}: {one['model']} and {first['model']} have other baselines")
    models = [_model(one, [TEST, *sets]) for one in results]
    models.sort(key=lambda one: -fmean(one.scores[TEST]))
    baselines = [
        Method(method, _known([one["scores"]], [TEST, *sets]), _mean_interval([one["interval"]]))
        for method, one in first["baselines"].items()
    ]
    return Task(
        name,
        question,
        MEASURES[first["measure"]],
        sets,
        first["num_graphs"],
        models + baselines,
        first["left_out"],
        {one["model"]: one["curves"] for one in results if one["curves"]},
    )


def described(file: Path) -> tuple[str, dict[str, str]]:
    """The comment at the head of a task file, and those behind the names of its further sets."""
    text = file.read_text(encoding="utf-8")
    head = re.match(r"(?:#.*\n)+", text)
    assert head is not None, f"{file} does not say what it asks"
    lines = [line for line in head[0].splitlines() if not line.startswith(EDITOR)]
    question = " ".join(line.lstrip("# ") for line in lines)
    return question, dict(re.findall(r"^    (\w+): # (.*)$", text, re.MULTILINE))


def _model(result: Content, sets: Sequence[str]) -> Method:
    runs = result["runs"]
    outcomes = Counter(run["model_is"] for run in runs if run["model_is"] is not None)
    return Method(
        result["model"],
        _known([run["scores"] for run in runs], sets),
        _mean_interval([run["interval"] for run in runs]),
        outcomes,
        fmean(run["core_seconds"] for run in runs),
        runs[0]["parameters"],
    )


def _known(scores: Sequence[Content], sets: Iterable[str]) -> dict[str, list[float]]:
    """The scores by set, of sets where none is missing."""
    found = {name: [one.get(name) for one in scores] for name in sets}
    return {name: [] if None in values else values for name, values in found.items()}


def _mean_interval(intervals: Sequence[Sequence[float | None] | None]) -> Interval | None:
    """The mean of the lower ends and that of the upper ends, if all are known."""
    known = [(i[0], i[1]) for i in intervals if i and i[0] is not None and i[1] is not None]
    if len(known) < len(intervals):
        return None
    return fmean(low for low, _ in known), fmean(high for _, high in known)
