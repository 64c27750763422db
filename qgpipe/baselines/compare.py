"""The stage ``compare``: the answers of a run's model and those of the baselines, judged alike."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from qgpipe import paths
from qgpipe.baselines.answers import BaselineAnswers, TargetAnswers, read_answers
from qgpipe.baselines.methods import TITLES
from qgpipe.baselines.statistics import (
    SEED,
    Difference,
    bootstrap_interval,
    difference_of_accuracies,
    difference_of_means,
    mcnemar,
)
from qgpipe.config.types import Config
from qgpipe.errors import TrainingError
from qgpipe.prediction_columns import columns_of, parse_column
from qgpipe.probabilities import are_probabilities
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.scores import wilson_interval
from qgpipe.system.files import write_json
from qgpipe.training.evaluation.metrics import Collected, Monitor, build_monitors
from qgpipe.training.steps.outputs import kind_of_task, labels

FORMAT = 1
RESAMPLES = 400  # of a metric, for its interval
SLOWEST = 0.1  # seconds of one call of a metric; intervals of slower ones would take minutes
SIGNIFICANT = 0.05
MODEL = "model"
_SMALLEST = 1e-12  # of a probability whose logarithm is taken

logger = logging.getLogger(__name__)

Kind = Literal["classification", "regression"]
Reals = NDArray[np.float64]


class Mismatch(Exception):
    """Answers of baselines do not belong to what the model was asked; the text says why."""


class Head(NamedTuple):
    """An output of the model with the targets, by column, that it predicts."""

    task: int
    columns: tuple[int, ...]
    kind: Kind


@dataclass(frozen=True)
class Question:
    """One target that model and baselines have answered.

    ``right``: of classes, whether each predictor is right, bool [N]; ``errors``: of values, the
    size of its error, float64 [N].
    """

    name: str
    kind: Kind
    right: dict[str, NDArray[np.bool_]]
    errors: dict[str, Reals]

    @property
    def is_class(self) -> bool:
        """Whether the target is a class, not a value."""
        return self.kind == "classification"


def compare_run(config: Config, answers_file: Path, output: Path) -> None:
    """Write what model and baselines reach on the test set to ``output``, as JSON.

    The model's answers are in the ``test`` folder of the run, those of the baselines in
    ``answers_file``. Raises ``DataError`` for a file that is missing or damaged.
    """
    results = RunResults(
        paths.run_folder(config), paths.dataset(config), paths.split(config)
    )
    answers = read_answers(answers_file)
    monitors = _monitors(config)
    write_json(output, comparison(results.test, results.predictions, answers, monitors))


def comparison(
    test: Mapping[str, Any],
    predictions: pd.DataFrame,
    answers: BaselineAnswers,
    monitors: list[Monitor],
) -> dict[str, Any]:
    """Content of ``baselines.json``.

    ``test``: that of ``metrics.json``; ``predictions``: a row a test graph. ``targets`` has, for
    each target of whole graphs, the accuracy or mean absolute error of the model and of every
    baseline with 95 % intervals, and for each baseline whether the model differs from it by more
    than chance. ``metrics`` are those of the tester. What is not finite is null.
    """
    left_out: list[dict[str, Any]] = [
        {"baseline": name, "target": None, "reason": reason}
        for name, reason in answers.left_out.items()
    ]
    model = _collected(predictions)
    questions: list[Question] = []
    predictors = {MODEL: model}
    try:
        known, rows = _common(predictions, answers)
        heads = [head for task in model.heads if (head := _head(model, task, answers, rows))]
        if not heads and answers.targets:
            raise Mismatch("the model has no answer to a target of whole graphs")
        given = part_of(model, known)
        others = {
            name: _as_model(given, name, heads, answers, rows)
            for name in _methods(answers)
        }
        predictors = {MODEL: given, **{k: v for k, v in others.items() if v.heads}}
        alone = len(heads) == 1 or len(answers.targets) > 1
        questions = [
            question
            for head in heads
            for question in _questions(head, predictors, answers.targets, alone)
        ]
    except Mismatch as reason:
        left_out += [
            {"baseline": name, "target": None, "reason": str(reason)}
            for name in _methods(answers)
        ]
    left_out += [
        {"baseline": name, "target": one.name, "reason": reason}
        for one in answers.targets
        for name, reason in one.left_out.items()
    ]
    used = [name for name in predictors if name != MODEL]
    return {
        "format": FORMAT,
        "run": test["run"],
        "num_graphs": predictors[MODEL].num_graphs,
        "num_train": answers.num_train,
        "fitted_to": answers.fitted_to,
        "features": answers.features,
        "resamples": RESAMPLES,
        "seed": SEED,
        "baselines": {name: TITLES.get(name, name) for name in used},
        "targets": [_judged(question) for question in questions],
        "metrics": _metrics(monitors, predictors, test["metrics"]) if used else {},
        "left_out": left_out,
    }


def _monitors(config: Config) -> list[Monitor]:
    """Metrics of the test; none are known of a tester of the user's that is no evaluator's kin."""
    tester: Mapping[str, Any] = config["testing"]["tester"]
    tasks = tester["evaluator_tasks"] if "type" not in tester else []
    return build_monitors(tasks, "testing.tester.evaluator_tasks")


def _methods(answers: BaselineAnswers) -> list[str]:
    """The baselines that answer at least one target, in their usual order."""
    found = {name for one in answers.targets for name in one.outputs}
    return [name for name in TITLES if name in found]


def _collected(predictions: pd.DataFrame) -> Collected:
    """What the test saw, from its table."""
    table, count = predictions, len(predictions)
    parsed = [column for name in map(str, table) if (column := parse_column(name))]
    tasks = sorted({c.head for c in parsed if c.kind == "output" and c.head is not None})
    names = {task: columns_of(table, "output", task) for task in tasks}
    names = names or ({0: only} if (only := columns_of(table, "output")) else {})
    targets = columns_of(table, "target")
    return Collected(
        num_graphs=count,
        losses=np.zeros(count),
        heads={task: _tensor(table[columns]) for task, columns in names.items()},
        num_tasks=max(2, tasks[-1] + 1) if tasks else len(names),
        targets=_tensor(table[targets]) if targets else None,
    )


def _tensor(columns: pd.DataFrame) -> Tensor:
    """Columns of a table [N, k] as int64 or float32; a single one as [N]."""
    kinds = {dtype.kind for dtype in columns.dtypes}
    if kinds <= {"i", "u", "b"}:
        values = torch.from_numpy(columns.to_numpy(np.int64, copy=True))
    else:
        values = torch.from_numpy(columns.apply(pd.to_numeric).to_numpy(np.float32, copy=True))
    return values[:, 0] if values.shape[1] == 1 else values


def _common(
    predictions: pd.DataFrame, answers: BaselineAnswers
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the table, and places in ``answers``, of the graphs that both have."""
    place = pd.Index(answers.ids).get_indexer(pd.Index(predictions["id"].astype(str)))
    known = np.flatnonzero(place >= 0)
    if not len(known):
        raise Mismatch("the model was tested on other graphs")
    return known, place[known]


def _head(
    model: Collected, task: int, answers: BaselineAnswers, rows: NDArray[np.int64]
) -> Head | None:
    """What the output of ``task`` is about; None if it answers no target of whole graphs."""
    if model.targets is None or not answers.targets:
        return None
    try:
        output, target = model.pair(task)
    except TrainingError:
        return None
    kind = kind_of_task(output, target)
    if kind == "other" or (kind == "regression" and output.shape != target.shape):
        return None
    count = 1 if model.targets.dim() == 1 else model.targets.shape[1]
    if count != len(answers.targets):
        return None
    several = count > 1 and target.dim() > 1
    return Head(task, tuple(range(count)) if several else (task if count > 1 else 0,), kind)


def part_of(collected: Collected, rows: NDArray[np.int64]) -> Collected:
    """What was seen of the graphs at ``rows``."""
    chosen = torch.from_numpy(rows)
    return Collected(
        num_graphs=len(rows),
        losses=collected.losses[rows],
        heads={task: head[chosen] for task, head in collected.heads.items()},
        num_tasks=collected.num_tasks,
        targets=None if collected.targets is None else collected.targets[chosen],
    )


def _as_model(
    model: Collected,
    name: str,
    heads: list[Head],
    answers: BaselineAnswers,
    rows: NDArray[np.int64],
) -> Collected:
    """The answers of the baseline ``name`` in the form of the model's outputs."""
    found = {}
    for head in heads:
        targets = [answers.targets[k] for k in head.columns]
        given = [one.outputs.get(name) for one in targets]
        if any(values is None for values in given):
            continue
        for one, column in zip(targets, head.columns, strict=True):
            _require_same(model, one, column, rows)
        like = model.pair(head.task)[0]
        columns = [
            _output(values[rows], one, head, like)
            for one, values in zip(targets, given, strict=True)
            if values is not None
        ]
        found[head.task] = columns[0] if len(columns) == 1 else torch.stack(columns, dim=1)
    return Collected(model.num_graphs, model.losses, found, model.num_tasks, model.targets)


def _require_same(
    model: Collected, one: TargetAnswers, column: int, rows: NDArray[np.int64]
) -> None:
    """Raise ``Mismatch`` if the model was not asked what the baselines were."""
    assert model.targets is not None
    asked = model.targets if model.targets.dim() == 1 else model.targets[:, column]
    known = one.target[rows]
    same = np.isclose(asked.double().numpy(), known, rtol=1e-5, atol=1e-8, equal_nan=True)
    if not same.all():
        raise Mismatch("a transform gives the model other targets than the data has")


def _output(values: Reals, one: TargetAnswers, head: Head, like: Tensor) -> Tensor:
    """Answers [N, C] or [N] in the form of the model's output ``like``; a column of it of several.

    Of classes that the model answers as values they are the mean, and logits or probabilities as
    the model's.
    """
    if head.kind == "regression":
        if values.ndim == 2:
            values = values @ np.arange(values.shape[1])
        return torch.from_numpy(values).float()
    if one.num_classes is None:
        raise Mismatch("the target has too many classes")
    if like.dim() == 2 and len(head.columns) == 1:
        shares = np.zeros((len(values), like.shape[1]))
        width = min(shares.shape[1], values.shape[1])
        shares[:, :width] = values[:, :width]
        if are_probabilities(like.double().numpy()):
            return torch.from_numpy(shares).float()
        return torch.from_numpy(np.log(np.maximum(shares, _SMALLEST))).float()
    positive = values[:, 1] if values.shape[1] > 1 else np.zeros(len(values))
    clipped = np.clip(positive, _SMALLEST, 1 - _SMALLEST)
    return torch.from_numpy(np.log(clipped / (1 - clipped))).float()


def _questions(
    head: Head,
    predictors: Mapping[str, Collected],
    targets: list[TargetAnswers],
    alone: bool,
) -> list[Question]:
    """What each predictor has answered to the targets of ``head``, graphs without one left out."""
    found = []
    for place, column in enumerate(head.columns):
        question = Question(
            targets[column].name + ("" if alone else f", head {head.task}"), head.kind, {}, {}
        )
        for name, seen in predictors.items():
            if head.task not in seen.heads:
                continue
            output, target = seen.pair(head.task)
            answer = labels(output, target) if question.is_class else output.double().numpy()
            truth = target.numpy() if question.is_class else target.double().numpy()
            if len(head.columns) > 1:
                answer, truth = answer[:, place], truth[:, place]
            known = truth >= 0 if question.is_class else np.isfinite(truth)
            if question.is_class:
                question.right[name] = (answer == truth)[known]
            else:
                question.errors[name] = np.abs(answer - truth)[known]
        found.append(question)
    return found


def _judged(question: Question) -> dict[str, Any]:
    """The entry of a target: scores with intervals, and the baselines compared with the model."""
    scores = question.right if question.is_class else question.errors
    entry: dict[str, Any] = {
        "name": question.name,
        "measure": "accuracy" if question.is_class else "mean absolute error",
        "better": "max" if question.is_class else "min",
        "num_graphs": len(scores[MODEL]),
        "test": "McNemar, exact" if question.is_class else "paired bootstrap",
        "model": None,
        "baselines": {},
        "best": None,
    }
    if not entry["num_graphs"]:
        return entry
    entry["model"] = _score(question, MODEL)
    others = [name for name in scores if name != MODEL]
    for name in others:
        entry["baselines"][name] = _score(question, name) | _compared(question, name)
    values = {name: entry["baselines"][name]["value"] for name in others}
    if values:
        entry["best"] = (max if question.is_class else min)(values, key=lambda name: values[name])
    return entry


def _score(question: Question, name: str) -> dict[str, float]:
    if question.is_class:
        right = question.right[name]
        ends = wilson_interval(np.array([right.sum()]), np.array([len(right)]))
        low, high = (float(end[0]) for end in ends)
        return {"value": float(right.mean()), "low": low, "high": high}
    errors = question.errors[name]
    interval = bootstrap_interval(lambda rows: errors[rows].mean(), len(errors), RESAMPLES)
    assert interval is not None
    return {"value": float(errors.mean()), "low": interval[0], "high": interval[1]}


def _compared(question: Question, name: str) -> dict[str, Any]:
    """How the model differs from a baseline."""
    more: dict[str, Any] = {}
    if question.is_class:
        both = question.right[MODEL], question.right[name]
        found, counts = difference_of_accuracies(*both), mcnemar(*both)
        more = {"only_model_right": counts.first, "only_baseline_right": counts.second}
    else:
        found = difference_of_means(question.errors[MODEL], question.errors[name])
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "p": found.p,
        **more,
        "model_is": _verdict(found, question.is_class),
    }


def _verdict(found: Difference, higher_is_better: bool) -> str:
    if found.p > SIGNIFICANT:
        return "not different"
    return "better" if (found.value > 0) == higher_is_better else "worse"


def _metrics(
    monitors: list[Monitor], predictors: Mapping[str, Collected], of_model: Mapping[str, Any]
) -> dict[str, Any]:
    """The tester's metrics of the model, as they were computed, and of the baselines."""
    found = {}
    for monitor in monitors:
        if monitor.sees_losses:  # those of a batch, which are not known here
            continue
        values = {name: _metric(monitor, seen) for name, seen in predictors.items()}
        known = of_model.get(monitor.name)
        values[MODEL]["value"] = known if _is_number(known) else None
        model = values.pop(MODEL)
        found[monitor.name] = {"better": monitor.better, "model": model, "baselines": values}
    return found


def _metric(monitor: Monitor, seen: Collected) -> dict[str, float | None]:
    """Its value and interval; null where it fails, is not finite, or takes too long."""
    nothing = {"value": None, "low": None, "high": None}
    begun = time.monotonic()
    value = _value(monitor, seen)
    if value is None:
        return nothing
    if time.monotonic() - begun > SLOWEST:
        logger.info("no interval of %s, which takes too long", monitor.name)
        return nothing | {"value": value}
    interval = bootstrap_interval(
        lambda rows: _finite_or_nan(_value(monitor, part_of(seen, rows))),
        seen.num_graphs,
        RESAMPLES,
    )
    low, high = interval or (None, None)
    return {"value": value, "low": low, "high": high}


def _value(monitor: Monitor, seen: Collected) -> float | None:
    try:
        value = monitor(seen)
    except TrainingError as error:
        logger.warning("%s", error)
        return None
    return value if math.isfinite(value) else None


def _finite_or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
