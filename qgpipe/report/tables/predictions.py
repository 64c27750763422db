"""The predictions of the model on the test set, by target, as arrays."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qgpipe.prediction_columns import PredictionColumn, columns_of, parse_column
from qgpipe.probabilities import are_probabilities, probabilities
from qgpipe.report.tables.results import RunResults


@dataclass(frozen=True)
class ClassAnswers:
    """Predictions of one target that is a class.

    ``name``: of the target. ``rows``: the rows of ``predictions.csv`` with finite outputs, int64
    [M], in the order of the other arrays. ``target``, ``predicted``: int64 [M]. ``probabilities``:
    float64 [M, C]. ``are_probabilities``: whether they are the outputs themselves, not their
    softmax, or the logistic function of a single logit. ``unit``: whether rows are graphs or
    elements.
    """

    name: str
    rows: NDArray[np.int64]
    target: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    are_probabilities: bool
    unit: str = "graphs"

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the predicted class, float64 [M]."""
        return _of_class(self.probabilities, self.predicted)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the true one, bool [M]."""
        return self.predicted == self.target

    @property
    def error(self) -> NDArray[np.float64]:
        """One minus the probability of the true class, float64 [M]; 0 if it was predicted."""
        return np.where(self.correct, 0.0, 1 - _of_class(self.probabilities, self.target))


@dataclass(frozen=True)
class ValueAnswers:
    """Predictions of one real target: ``name``, ``rows``, ``unit`` as above, and arrays [M]."""

    name: str
    rows: NDArray[np.int64]
    target: NDArray[np.float64]
    predicted: NDArray[np.float64]
    unit: str = "graphs"

    @property
    def residual(self) -> NDArray[np.float64]:
        """Prediction minus target, float64 [M]."""
        return self.predicted - self.target

    @property
    def error(self) -> NDArray[np.float64]:
        """The absolute residual, float64 [M]."""
        return np.abs(self.residual)


Answers = ClassAnswers | ValueAnswers


def answers(results: RunResults) -> list[Answers]:
    """The predictions of each target for which there is an output; empty for other tasks."""
    if results.test["task"] not in ("classification", "regression"):
        return []
    return [*_class_answers(results), *_value_answers(results)]


def paired_columns(targets: list[str], columns: list[str]) -> list[tuple[str, str]]:
    """Each target with the output of a regression: output j of a single head, or head j.

    A single target belongs to all heads; the first active head is used. Classification heads are
    left out.
    """
    parsed = {parse_column(name): name for name in columns}
    classes = {column.head for column in parsed if column and column.kind == "predicted"}
    outputs = {c: name for c, name in parsed.items() if c is None or c.head not in classes}
    heads = [name for c, name in outputs.items() if c and c.head is not None and _is_first(c)]
    if len(targets) == 1 and heads:
        return [(targets[0], heads[0])]
    return [
        (target, outputs[column])
        for k, target in enumerate(targets)
        for column in (PredictionColumn("output", None, k), PredictionColumn("output", k, 0))
        if column in outputs
    ]


def _is_first(column: PredictionColumn) -> bool:
    return column.kind == "output" and column.number == 0


def _value_answers(results: RunResults) -> list[Answers]:
    table = results.predictions
    found: list[Answers] = []
    for target, output in paired_columns(results.target_columns, list(table.columns)):
        known = _numbers(table, [target, output])
        rows = np.flatnonzero(np.isfinite(known).all(axis=1))
        name = _target_name(results, target)
        found.append(ValueAnswers(name, rows, known[rows, 0], known[rows, 1], results.unit))
    return found


def _class_answers(results: RunResults) -> list[Answers]:
    table = results.predictions
    found: list[Answers] = []
    for predicted in map(str, table):
        column = parse_column(predicted)
        if column is None or column.kind != "predicted":
            continue
        head, number = column.head, column.number
        own = str(PredictionColumn("target", None, head if number is None else number))
        target = own if own in table else "target"
        outputs = columns_of(table, "output", head)
        if number is not None:  # one of several binary targets, each with one output
            outputs = [name for name in outputs if name == str(column._replace(kind="output"))]
        if target not in table or not outputs:
            continue
        known = _numbers(table, [target, predicted, *outputs])
        rows = np.flatnonzero(np.isfinite(known).all(axis=1))
        labels = known[rows, :2].astype(np.int64)
        given = are_probabilities(known[rows, 2:])
        shares = probabilities(known[rows, 2:], given)
        if len(rows) and (labels.min() < 0 or labels.max() >= shares.shape[1]):
            continue
        name = _target_name(results, target) + ("" if head is None else f", head {head}")
        answers = labels[:, 0], labels[:, 1], shares, given
        found.append(ClassAnswers(name, rows, *answers, results.unit))
    return found


def _target_name(results: RunResults, column: str) -> str:
    """The name of the target in ``column``, from the data if known."""
    named = results.dataset["target"]
    names = [named] if isinstance(named, str) else named or []
    columns = results.target_columns
    return names[columns.index(column)] if len(names) == len(columns) else column


def _numbers(table: pd.DataFrame, columns: list[str]) -> NDArray[np.float64]:
    return table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float)


def _of_class(
    probabilities: NDArray[np.float64], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.take_along_axis(probabilities, classes[:, None], axis=1)[:, 0]
