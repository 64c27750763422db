"""Intervals of scores, and whether two predictors differ by more than chance on the same graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000  # of a difference, which is cheap
SEED = 0  # of what is drawn, so that the same answers give the same intervals

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How much a score of one predictor is above that of another on the same graphs.

    ``low``, ``high``: 95 % interval; ``p``: how probable a difference of this size or a larger one
    is between predictors that are equally good.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Discordance:
    """How often only the first, and only the second, of two predictors is right; ``p`` as above."""

    first: int
    second: int
    p: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Discordance:
    """McNemar's exact test of whether two predictors are right on the same graphs equally often.

    ``first``, ``second``: bool [N], whether each is right. Of the b + c graphs on which only one of
    them is right, the first is so on b. If both are equally good b has a binomial distribution with
    probability 1/2; p is its probability of b, and of all that is not more probable (McNemar,
    Psychometrika 12, 153, 1947; Dietterich, Neural Computation 10, 1895, 1998, compares classifiers
    with it).
    """
    from scipy.stats import binomtest

    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(b, b + c).pvalue) if b + c else 1.0
    return Discordance(b, c, p)


def difference_of_accuracies(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """The accuracy of the first above that of the second, (b - c) / N, with the p of McNemar.

    The interval goes with that test: (2 q - 1) (b + c) / N for the ends q of the exact interval of
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
    """The mean of ``first`` above that of ``second``, float64 [N] each, by a paired bootstrap.

    The N differences are drawn again with replacement B times. The interval is that of percentiles;
    p is 2 (1 + k) / (1 + B), at most 1, where k of the B means are on the other side of zero, or on
    it (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 15).
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
    """95 % interval of a score by the percentiles of ``number`` bootstrap samples of N graphs.

    ``score``: of the graphs at the given places, int64 [N], some of which come several times;
    ``count``: N. None if the score of a sample is not finite.
    """
    values = np.array([score(rows) for rows in resamples(count, number)])
    return percentiles(values) if np.isfinite(values).all() else None


def resamples(count: int, number: int) -> Iterator[NDArray[np.int64]]:
    """``number`` times ``count`` places, drawn with replacement; always the same ones."""
    rng = np.random.default_rng(SEED)
    for _ in range(number):
        yield rng.integers(0, count, count)


def percentiles(values: Reals) -> tuple[float, float]:
    """Between which 95 % of ``values`` lie."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
