"""Scores by what causal sets were made of: recall, or the error, by the value of an array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qgpipe.report.tables.graphs import graph_values
from qgpipe.report.tables.predictions import Answers, ClassAnswers, answers
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.scores import mean_interval, wilson_interval

BINS = 8
_FEWEST = 20  # rows in a bin of real numbers, where there are that many


@dataclass(frozen=True)
class Curve:
    """A score by the values of an array, in bins in ascending order.

    ``name``: the true class, or empty for a mean absolute error. ``smallest``, ``largest``: values
    in each bin, ``value``: their mean, ``score`` with its 95 % interval ``low``, ``high``: float64
    [B]; ``count``: rows in each bin, int64 [B].
    """

    name: str
    smallest: NDArray[np.float64]
    largest: NDArray[np.float64]
    value: NDArray[np.float64]
    count: NDArray[np.int64]
    score: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """The curves of one target by the array ``by``, in the order of the classes.

    ``target``: its name. ``score``: what is shown, ``recall`` or ``mean absolute error``.
    """

    target: str
    by: str
    score: str
    curves: list[Curve]


def sensitivities(results: RunResults) -> list[Sensitivity]:
    """The score of each target by each array of ``report.sensitivity``.

    A class whose causal sets do not have the value has no curve. Raises ``DataError`` if a tested
    graph is in no part, or has no such attribute.
    """
    found = answers(results)
    ids = results.predictions["id"].tolist()
    alone = sum(isinstance(one, ClassAnswers) for one in found) == 1
    return [
        _sensitivity(results, one, by, values[one.rows], alone)
        for by in results.sensitivity
        for values in [graph_values(results, ids, by)]
        for one in found
    ]


def _sensitivity(
    results: RunResults, one: Answers, by: str, values: NDArray[np.float64], alone: bool
) -> Sensitivity:
    known = np.isfinite(values)
    if not isinstance(one, ClassAnswers):
        curves = [_curve("", values[known], one.error[known], recall=False)] if known.any() else []
        return Sensitivity(one.name, by, "mean absolute error", curves)
    curves = []
    for code in np.unique(one.target[known]).tolist():
        chosen = known & (one.target == code)
        name = results.class_name(code) if alone else f"class {code}"
        curves.append(_curve(name, values[chosen], one.correct[chosen].astype(float), recall=True))
    return Sensitivity(one.name, by, "recall", curves)


def _curve(
    name: str, values: NDArray[np.float64], scores: NDArray[np.float64], recall: bool
) -> Curve:
    """Means of ``scores`` in bins of ``values`` (some); those of a recall are 0 or 1."""
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) > BINS:
        wanted = min(BINS, max(1, len(values) // _FEWEST))
        cuts = np.quantile(values, np.arange(1, wanted) / wanted)
        _, place = np.unique(np.searchsorted(cuts, values), return_inverse=True)
    count = np.bincount(place)
    mean = np.bincount(place, scores) / count
    if recall:
        low, high = wilson_interval(np.bincount(place, scores), count)
    else:
        low, high = mean_interval(scores, place, mean, count)
    ordered = np.sort(values)  # bins are consecutive in it
    ends = np.cumsum(count)
    value = np.bincount(place, values) / count
    return Curve(name, ordered[ends - count], ordered[ends - 1], value, count, mean, low, high)
