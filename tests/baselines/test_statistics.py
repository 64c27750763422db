import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from qgpipe.baselines.statistics import (
    RESAMPLES,
    bootstrap_interval,
    difference_of_accuracies,
    difference_of_means,
    mcnemar,
)


def answers(both=0, first=0, second=0, neither=0):
    """Whether each of two predictors is right, so often together and alone."""
    one = [True] * both + [True] * first + [False] * second + [False] * neither
    other = [True] * both + [False] * first + [True] * second + [False] * neither
    return np.array(one), np.array(other)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (0, 0, 1),
        (1, 0, 1),
        (0, 5, 2 / 2**5),
        (1, 9, 2 * (1 + 10) / 2**10),
        (3, 16, 2 * (1 + 19 + 171 + 969) / 2**19),
        (6, 6, 1),
    ],
)
def test_mcnemar_counts_the_graphs_on_which_only_one_is_right(first, second, p):
    found = mcnemar(*answers(80, first, second, 7))
    assert (found.first, found.second) == (first, second)
    assert found.p == pytest.approx(p, rel=1e-12)
    assert mcnemar(*answers(0, second, first, 300)).p == pytest.approx(p, rel=1e-12)


def test_the_p_of_mcnemar_is_as_often_small_as_it_says():
    """Of two predictors that are equally good it is below 5 % in less than 5 % of all cases."""
    n = 30
    share = sum(
        binom.pmf(b, n, 0.5) for b in range(n + 1) if mcnemar(*answers(0, b, n - b)).p <= 0.05
    )
    assert 0.02 < share <= 0.05


def test_the_difference_of_accuracies_has_the_interval_of_clopper_and_pearson():
    found = difference_of_accuracies(*answers(82, 8, 0, 10))
    assert found.value == pytest.approx(0.08)
    assert found.high == pytest.approx(0.08)
    assert found.low == pytest.approx((2 * 0.025 ** (1 / 8) - 1) * 0.08)  # q⁸ = 2.5 %
    assert found.p == pytest.approx(2 / 2**8)
    swapped = difference_of_accuracies(*answers(82, 0, 8, 10))
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize(("first", "second"), [(7, 17), (3, 16), (5, 15), (1, 7), (6, 2)])
def test_the_interval_leaves_out_zero_where_the_test_tells_them_apart(first, second):
    found = difference_of_accuracies(*answers(200, first, second, 10))
    assert (found.low <= 0 <= found.high) == (found.p > 0.05)


def test_predictors_that_are_right_on_the_same_graphs_do_not_differ():
    found = difference_of_accuracies(*answers(both=5, neither=3))
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_difference_of_means_is_that_of_the_pairs():
    """Paired differences of 1 ± 0.1 are found, though the values themselves scatter by 100."""
    rng = np.random.default_rng(1)
    base = rng.normal(0, 100, 400)
    found = difference_of_means(base + rng.normal(1, 0.1, 400), base)
    half = norm.ppf(0.975) * 0.1 / math.sqrt(400)
    assert found.value == pytest.approx(1, abs=3 * half)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)
    assert found.p == pytest.approx(2 / (RESAMPLES + 1))


def test_equal_means_are_not_told_apart():
    values = np.arange(10.0)
    assert difference_of_means(values, values).p == 1
    flipped = difference_of_means(np.tile([0.0, 1.0], 50), np.tile([1.0, 0.0], 50))
    assert flipped.p > 0.5
    assert flipped.low < 0 < flipped.high


def test_the_bootstrap_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(2).normal(5, 2, 500)
    low, high = bootstrap_interval(lambda rows: values[rows].mean(), 500, 2000)
    half = norm.ppf(0.975) * values.std() / math.sqrt(500)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    again = bootstrap_interval(lambda rows: values[rows].mean(), 500, 2000)
    assert (low, high) == again


def test_a_score_that_is_not_always_finite_has_no_interval():
    assert bootstrap_interval(lambda rows: math.nan if 0 in rows else 1.0, 5, 50) is None
