"""Scores of predictions: by confidence, by class and by the size of the causal set."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.report.tables.predictions import Answers, ClassAnswers

CONFIDENCE_BINS = 10
SIZE_BINS = 8
_FEWEST = 20  # graphs in a bin of sizes, if there are enough
_Z = 1.959963984540054  # 95 % of a normal distribution is within this many standard deviations


@dataclass(frozen=True)
class Calibration:
    """Confidence and accuracy in the non-empty bins of confidence.

    ``count``: int64 [B]; ``confidence`` and ``accuracy``: means in each bin, float64 [B]; ``low``,
    ``high``: 95 % interval of the accuracy; ``error``: the expected calibration error.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    error: float


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; ``precision``, ``recall`` and ``f1`` are NaN if undefined.

    ``mistaken_for``: the most frequent wrong prediction for its graphs, and its count.
    """

    code: int
    count: int
    precision: float
    recall: float
    f1: float
    mistaken_for: tuple[int, int] | None


@dataclass(frozen=True)
class SizeScores:
    """A score in bins of the number of elements.

    ``smallest``, ``largest``: sizes in each bin, int64 [B]; ``count`` int64 [B]; ``score``: the
    accuracy, or mean absolute error, with its 95 % interval ``low``, ``high``, float64 [B].
    """

    smallest: NDArray[np.int64]
    largest: NDArray[np.int64]
    count: NDArray[np.int64]
    score: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def calibration(answers: ClassAnswers) -> Calibration:
    """Accuracy in bins of the predicted probability (confidence).

    The bins have equal width and are closed on the right. The expected calibration error is
    Σ_b n_b / n |accuracy_b − confidence_b| (Naeini, Cooper, Hauskrecht, AAAI 2015); NaN without
    graphs.
    """
    edges = np.linspace(0, 1, CONFIDENCE_BINS + 1)
    place = np.searchsorted(edges[1:-1], answers.confidence)
    counts = np.bincount(place, minlength=CONFIDENCE_BINS)
    used = np.flatnonzero(counts)
    count = counts[used]
    confidence = np.bincount(place, answers.confidence, CONFIDENCE_BINS)[used] / count
    correct = np.bincount(place, answers.correct, CONFIDENCE_BINS)[used]
    accuracy = correct / count
    low, high = wilson_interval(correct, count)
    gap = np.abs(accuracy - confidence)
    error = float(np.average(gap, weights=count)) if len(count) else float("nan")
    return Calibration(count, confidence, accuracy, low, high, error)


def class_scores(confusion: NDArray[np.int64]) -> list[ClassScore]:
    """Scores of each class, from the counts [C, C] by true (row) and predicted (column) class."""
    found = []
    for code, row in enumerate(confusion):
        hits, count, answered = int(row[code]), int(row.sum()), int(confusion[:, code].sum())
        mistakes = np.where(np.arange(len(row)) == code, 0, row)
        worst = int(mistakes.argmax())
        found.append(
            ClassScore(
                code,
                count,
                _ratio(hits, answered),
                _ratio(hits, count),
                _ratio(2 * hits, answered + count),
                (worst, int(mistakes[worst])) if mistakes.any() else None,
            )
        )
    return found


def size_scores(answers: Answers, sizes: NDArray[np.int64]) -> SizeScores:
    """Accuracy or mean absolute error of ``answers`` by the ``sizes`` (int64 [M]) of the graphs.

    Bins have about equal numbers of graphs. The interval of an accuracy is Wilson's; that of a mean
    absolute error is computed from its standard error.
    """
    place, bins = _size_bins(sizes)
    count = np.bincount(place, minlength=bins)
    smallest = np.array([sizes[place == k].min() for k in range(bins)], np.int64)
    largest = np.array([sizes[place == k].max() for k in range(bins)], np.int64)
    if isinstance(answers, ClassAnswers):
        correct = np.bincount(place, answers.correct, bins)
        low, high = wilson_interval(correct, count)
        return SizeScores(smallest, largest, count, correct / count, low, high)
    mean = np.bincount(place, answers.error, bins) / count
    low, high = mean_interval(answers.error, place, mean, count)
    return SizeScores(smallest, largest, count, mean, low, high)


def mean_interval(
    errors: NDArray[np.float64],
    place: NDArray[np.int64],
    mean: NDArray[np.float64],
    count: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % interval of the ``mean`` of ``errors`` [M] in each bin, [B], by its standard error.

    ``place``: the bin of each error; ``count`` of them in each. The lower end is at least 0.
    """
    spread = np.bincount(place, (errors - mean[place]) ** 2, len(mean))
    deviation = _Z * np.sqrt(spread / np.maximum(count - 1, 1) / count)
    return np.maximum(mean - deviation, 0), mean + deviation


def wilson_interval(successes: Any, trials: Any) -> tuple[Any, Any]:
    """Wilson's 95 % interval of a share (J. Am. Stat. Assoc. 22, 209, 1927); trials > 0.

    Arguments and results are numbers, or arrays of the same shape.
    """
    share = successes / trials
    centre = share + _Z**2 / (2 * trials)
    half = _Z * np.sqrt(share * (1 - share) / trials + (_Z / (2 * trials)) ** 2)
    scale = 1 + _Z**2 / trials
    return (centre - half) / scale, (centre + half) / scale


def _size_bins(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """The bin of each graph and the number of bins, none of them empty."""
    if len(sizes) == 0:
        return np.zeros(0, np.int64), 0
    wanted = min(SIZE_BINS, max(1, len(sizes) // _FEWEST))
    cuts = np.quantile(sizes, np.arange(1, wanted) / wanted)
    _, place = np.unique(np.searchsorted(cuts, sizes), return_inverse=True)
    return place, int(place.max()) + 1


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
