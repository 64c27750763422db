"""Predictions of a run's model and of the baselines, both in the form that a test collects."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from qgpipe.baselines.answers import BaselineAnswers, TargetAnswers
from qgpipe.baselines.methods import TITLES
from qgpipe.errors import TrainingError
from qgpipe.prediction_columns import columns_of, parse_column
from qgpipe.probabilities import are_probabilities
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.steps.outputs import kind_of_task

_SMALLEST = 1e-12  # probability whose logarithm is taken

Kind = Literal["classification", "regression"]
Reals = NDArray[np.float64]


class Mismatch(Exception):
    """The predictions of baselines and model are not comparable; the text says why."""


class Head(NamedTuple):
    """An output of the model, with the columns of the targets that it predicts."""

    task: int
    columns: tuple[int, ...]
    kind: Kind


def methods_of(answers: BaselineAnswers) -> list[str]:
    """The baselines that predict at least one target, in the order of ``TITLES``."""
    found = {name for one in answers.targets for name in one.outputs}
    return [name for name in TITLES if name in found]


def from_table(predictions: pd.DataFrame) -> Collected:
    """The collected outputs and targets of a test, from its table."""
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
        targets=_tensor(table[targets], classes=True) if targets else None,
    )


def _tensor(columns: pd.DataFrame, classes: bool = False) -> Tensor:
    """Columns of a table [N, k] as float32, a single one as [N].

    ``classes``: as int64 if all values are integers (written without a decimal point).
    """
    if classes and {dtype.kind for dtype in columns.dtypes} <= {"i", "u", "b"}:
        values = torch.from_numpy(columns.to_numpy(np.int64, copy=True))
    else:
        values = torch.from_numpy(columns.apply(pd.to_numeric).to_numpy(np.float32, copy=True))
    return values[:, 0] if values.shape[1] == 1 else values


def common_graphs(
    predictions: pd.DataFrame, answers: BaselineAnswers
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The graphs that both have: their rows in the table and in ``answers``."""
    place = pd.Index(answers.ids).get_indexer(pd.Index(predictions["id"].astype(str)))
    known = np.flatnonzero(place >= 0)
    if not len(known):
        raise Mismatch("the model was tested on other graphs")
    return known, place[known]


def head_of(model: Collected, task: int, answers: BaselineAnswers) -> Head | None:
    """The head of ``task``; None if it predicts no graph-level target."""
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
    """The part of ``collected`` for the graphs at ``rows``."""
    chosen = torch.from_numpy(rows)
    return replace(
        collected,
        num_graphs=len(rows),
        losses=collected.losses[rows],
        heads={task: head[chosen] for task, head in collected.heads.items()},
        targets=None if collected.targets is None else collected.targets[chosen],
        batch_sizes=(),
    )


def as_model(
    model: Collected,
    name: str,
    heads: list[Head],
    answers: BaselineAnswers,
    rows: NDArray[np.int64],
) -> Collected:
    """The predictions of the baseline ``name`` in the form of the model's outputs."""
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
    return replace(model, heads=found)


def _require_same(
    model: Collected, one: TargetAnswers, column: int, rows: NDArray[np.int64]
) -> None:
    """Raise ``Mismatch`` if the model has other targets than the baselines."""
    assert model.targets is not None
    asked = model.targets if model.targets.dim() == 1 else model.targets[:, column]
    known = one.target[rows]
    same = np.isclose(asked.double().numpy(), known, rtol=1e-5, atol=1e-8, equal_nan=True)
    if not same.all():
        raise Mismatch("a transform gives the model other targets than the data has")


def _output(values: Reals, one: TargetAnswers, head: Head, like: Tensor) -> Tensor:
    """Predictions [N, C] or [N] in the form of the model's output ``like``, or of a column of it.

    They are logits or probabilities as in ``like``; classes that the model predicts by regression
    become their mean.
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
