"""Intervals of scores, and tests whether two predictors differ on the same graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000  # of a difference, which is cheap
SEED = 0  # of bootstrap samples, so that intervals are reproducible

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """The score of one predictor minus that of another on the same graphs.

    ``low``, ``high``: 95 % interval; ``p``: probability of a difference of at least this size
    between predictors that are equally good.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Discordance:
    """How often only the first or only the second predictor is correct; ``p`` as above."""

    first: int
    second: int
    p: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Discordance:
    """McNemar's exact test of whether two predictors are correct equally often.

    ``first``, ``second``: bool [N], whether each is correct. Only one of them is correct on b + c
    graphs, the first on b of these. If both are equally good, b has a binomial distribution with
    probability 1/2; p is the probability of b and of all values that are not more probable
    (McNemar, Psychometrika 12, 153, 1947; for classifiers: Dietterich, Neural Computation 10, 1895,
    1998).
    """
    from scipy.stats import binomtest

    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(b, b + c).pvalue) if b + c else 1.0
    return Discordance(b, c, p)


def difference_of_accuracies(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """The accuracy of the first minus that of the second, (b - c) / N, with McNemar's p.

    The interval matches that test: (2 q - 1) (b + c) / N for the ends q of the exact interval of
    b / (b + c) (Clopper and Pearson, Biometrika 26, 404, 1934).
    """
    from scipy.stats import binomtest

    found = mcnemar(first, second)
    b, c, n = found.first, found.second, len(first)
    if not b + c:
        return Difference(0.0, 0.0, 0.0, found.p)
    share = binomtest(b, b + c).proportion_ci(CONFIDENCE, "exact")
    low, high = ((2 * end - 1) * (b + c) / n for end in (share.low, share.high))
    return Difference((b - c) / n, float(low), float(high), found.p)


def difference_of_means(first: Reals, second: Reals) -> Difference:
    """The mean of ``first`` minus that of ``second``, float64 [N] each, by a paired bootstrap.

    The N differences are resampled with replacement B times. The interval is the percentile
    interval; p is 2 (1 + k) / (1 + B), at most 1, where k of the B means are zero or have the other
    sign (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 15).
    """
    differences = np.asarray(first, np.float64) - second
    means = np.array([differences[rows].mean() for rows in resamples(len(differences), RESAMPLES)])
    low, high = percentiles(means)
    beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (1 + beyond) / (1 + RESAMPLES))
    return Difference(float(differences.mean()), low, high, p)


def bootstrap_interval(
    score: Callable[[NDArray[np.int64]], float], count: int, number: int
) -> tuple[float, float] | None:
    """95 % percentile interval of a score, from ``number`` bootstrap samples of N graphs.

    ``score``: of the graphs at the given indices, int64 [N], with repetitions; ``count``: N. None
    if the score of a sample is not finite.
    """
    values = np.array([score(rows) for rows in resamples(count, number)])
    return percentiles(values) if np.isfinite(values).all() else None


def resamples(count: int, number: int) -> Iterator[NDArray[np.int64]]:
    """``number`` samples of ``count`` indices, drawn with replacement; reproducible."""
    rng = np.random.default_rng(SEED)
    for _ in range(number):
        yield rng.integers(0, count, count)


def percentiles(values: Reals) -> tuple[float, float]:
    """The bounds between which 95 % of ``values`` lie."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
