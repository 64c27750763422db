"""Observables of causal sets against theory; those counted by hand are in test_features.py."""

from __future__ import annotations

import math
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

from qgpipe.causets.generators.random_orders import random_order
from qgpipe.causets.generators.sprinklings import minkowski
from qgpipe.causets.graph_observables import (
    MAX_DIMENSION,
    action_2d,
    action_4d,
    hasse_spectrum,
    height_profile,
    interval_abundances,
    longest_chain,
    midpoint_dimension,
)
from qgpipe.causets.orders import Orders


def chain(n: int) -> Orders:
    return Orders.of(np.triu(np.ones((n, n), bool), 1))


def antichain(n: int) -> Orders:
    return Orders.of(np.zeros((n, n), bool))


def sprinklings(rng: np.random.Generator, count: int, n: int, dimension: int) -> Orders:
    return Orders(np.stack([minkowski(rng, n, dimension).relations for _ in range(count)]))


def mean_volume_power(dimension: int, k: int) -> Fraction:
    """Mean over a diamond of unit volume of V(p, x)^k, x being in it and p its first point.

    In even dimensions: the ratio of the numbers of chains of k + 1 and of k elements, see Meyer
    (MIT thesis, 1988).
    """
    if k == 0:
        return Fraction(1)
    half = dimension // 2
    gammas = Fraction(math.factorial(k * half - 1), math.factorial((k + 2) * half - 1))
    return Fraction(k, k + 1) * math.factorial(dimension) / 2 * gammas


def mean_abundance(dimension: int, n: int, m: int) -> Fraction:
    """Mean number of pairs with m elements between them among n in a flat diamond, exactly."""

    def power(k: int) -> Fraction:  # of the volume between two points, 0 if they are unrelated
        return mean_volume_power(dimension, k) * mean_volume_power(dimension, k + 1)

    terms = ((-1) ** j * math.comb(n - 2 - m, j) * power(m + j) for j in range(n - 1 - m))
    return n * (n - 1) * math.comb(n - 2, m) * sum(terms, Fraction())


@pytest.mark.parametrize("dimension", [2, 4])
def test_interval_abundances_of_a_flat_diamond_are_on_average_those_of_theory(dimension, rng):
    counts = interval_abundances(sprinklings(rng, 400, 24, dimension), 20)
    expected = [float(mean_abundance(dimension, 24, m)) for m in range(20)]
    error = np.sqrt(np.maximum(counts.var(axis=0), 0.01) / 400)
    assert (abs(counts.mean(axis=0) - expected) < 4.5 * error).all()


@pytest.mark.parametrize("n", [3, 8, 30])
def test_the_mean_action_of_a_flat_diamond_in_two_dimensions_is_one_by_theory(n):
    terms = zip((-2, 4, -2), range(3), strict=True)
    assert n + sum(c * mean_abundance(2, n, m) for c, m in terms if m <= n - 2) == 1


@pytest.mark.parametrize(
    ("action", "dimension", "n", "mean"),
    [(action_2d, 2, 12, 1), (action_2d, 2, 40, 1), (action_4d, 4, 16, 10.6445),
     (action_4d, 4, 40, None)],
)  # fmt: skip
def test_the_mean_action_of_sprinklings_into_a_flat_diamond_is_that_of_theory(
    action, dimension, n, mean, rng
):
    if dimension == 4:
        terms = zip((-1, 9, -16, 8), range(4), strict=True)
        theory = float(n + sum(c * mean_abundance(4, n, m) for c, m in terms))
        assert mean is None or theory == pytest.approx(mean, rel=1e-5)
        mean = theory
    values = action(sprinklings(rng, 2000, n, dimension))
    assert abs(values.mean() - mean) < 3.5 * values.std() / np.sqrt(2000)


def test_actions_of_a_chain_and_of_an_antichain():
    assert action_2d(chain(10)) == 10 - 2 * 9 + 4 * 8 - 2 * 7
    assert action_4d(chain(10)) == 10 - 9 + 9 * 8 - 16 * 7 + 8 * 6
    assert action_2d(antichain(10)) == action_4d(antichain(10)) == 10


def test_the_midpoint_of_a_chain_of_odd_length_gives_dimension_one():
    np.testing.assert_allclose(midpoint_dimension(chain(1)), 1)
    np.testing.assert_allclose(midpoint_dimension(chain(33)), 1)


def test_the_midpoint_dimension_of_an_antichain_is_bounded():
    np.testing.assert_allclose(midpoint_dimension(antichain(16)), 5)
    assert midpoint_dimension(antichain(1000)) == MAX_DIMENSION


@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_the_midpoint_dimension_of_a_diamond_is_that_of_the_spacetime(dimension, rng):
    found = midpoint_dimension(sprinklings(rng, 20, 500, dimension)).mean()
    assert found == pytest.approx(dimension, abs=0.05 * dimension)


def test_the_longest_chain_in_two_dimensions_is_as_long_as_that_of_a_permutation(rng):
    """2 √n - 1.77 n^(1/6): Baik, Deift and Johansson, math/9810105."""
    n = 400
    lengths = longest_chain(sprinklings(rng, 60, n, 2))
    assert lengths.mean() == pytest.approx(2 * n**0.5 - 1.7711 * n ** (1 / 6), abs=1)


def test_the_height_profile_of_a_chain_is_even_and_of_an_antichain_is_its_first_bin(rng):
    np.testing.assert_allclose(height_profile(chain(40), 8), [[1 / 8] * 8])
    np.testing.assert_allclose(height_profile(antichain(5), 3), [[1, 0, 0]])
    np.testing.assert_allclose(height_profile(sprinklings(rng, 3, 50, 3)).sum(axis=1), 1)


def test_the_spectrum_of_a_chain_is_that_of_a_path():
    expected = 2 - 2 * np.cos(np.pi * np.arange(29, 19, -1) / 30)
    np.testing.assert_allclose(hasse_spectrum(chain(30)), [expected])


def test_the_spectrum_repeats_eigenvalues_and_ends_in_zeros():
    star = np.zeros((5, 5), bool)
    star[0, 1:4] = True  # and element 4 alone
    expected = [[4, 1, 1, 0, 0, 0, 0, 0]]
    np.testing.assert_allclose(hasse_spectrum(Orders.of(star), 8), expected, atol=1e-12)


def test_the_spectrum_is_that_of_networkx(rng):
    orders = Orders.of(random_order(rng, 40).relations)
    graph = nx.from_numpy_array(orders.links[0].astype(int) + orders.links[0].T)
    expected = np.sort(nx.laplacian_spectrum(graph))[::-1]
    np.testing.assert_allclose(hasse_spectrum(orders, 40)[0], expected, atol=1e-9)
