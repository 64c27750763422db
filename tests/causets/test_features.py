from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from qgpipe.causets.features import chain_scale, compute, link_scale, links_2d
from qgpipe.causets.generators.random_orders import random_order
from qgpipe.causets.generators.sprinklings import minkowski
from qgpipe.causets.graph_observables import MAX_DIMENSION
from qgpipe.causets.observables import GRAPH, NODE, find, names
from qgpipe.causets.order import transitive_closure
from qgpipe.causets.orders import Orders

# 0 ≺ 1 ≺ 3 ≺ 4 and 0 ≺ 2 ≺ 3; element 5 is related to none.
KITE = transitive_closure(
    np.isin(
        np.arange(36), [6 * i + j for i, j in [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]]
    ).reshape(6, 6)
)
BY_HAND = {
    "max_pathlens_future": [3, 2, 2, 1, 0, 0],
    "max_pathlens_past": [0, 1, 1, 2, 3, 0],
    "in_degree": [0, 1, 1, 3, 4, 0],
    "out_degree": [4, 2, 2, 1, 0, 0],
    "in_degrees_link": [0, 1, 1, 2, 1, 0],
    "out_degrees_link": [2, 1, 1, 1, 0, 0],
    "two_chain_density_past": [0, 0, 0, 2 / 6, 5 / 6, 0],
    "two_chain_density_future": [5 / 6, 1 / 6, 1 / 6, 0, 0, 0],
    "two_chain_density_through": [0, 2 / 6, 2 / 6, 3 / 6, 0, 0],
    "height_rank": [0, 1 / 3, 1 / 3, 2 / 3, 1, 0],
    "ordering_fraction_past": [0, 0, 0, 2 / 3, 5 / 6, 0],
    "ordering_fraction_future": [5 / 6, 1, 1, 0, 0, 0],
}


def antichain(n: int) -> Orders:
    return Orders.of(np.zeros((n, n), bool))


def chain(n: int) -> Orders:
    return Orders.of(np.triu(np.ones((n, n), bool), 1))


def value(name: str, orders: Orders) -> float:
    return compute(name, orders).item()


def block_of(relations: list[np.ndarray]) -> Orders:
    """Causal sets of any sizes as one block."""
    sizes = np.array([len(matrix) for matrix in relations])
    block = np.zeros((len(sizes), sizes.max(), sizes.max()), bool)
    for padded, matrix in zip(block, relations, strict=True):
        padded[: len(matrix), : len(matrix)] = matrix
    return Orders(block, sizes)


@pytest.mark.parametrize("name", BY_HAND)
def test_node_observables_of_a_kite_are_those_counted_by_hand(name):
    values = compute(name, Orders.of(KITE))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [BY_HAND[name]], rtol=1e-6)


def test_graph_observables_of_a_kite_are_those_counted_by_hand():
    kite = Orders.of(KITE)
    assert value("ordering_fraction", kite) == pytest.approx(9 / 15)
    assert value("link_fraction", kite) == pytest.approx(5 / 9)
    assert value("longest_chain_fraction", kite) == pytest.approx(4 / 6)
    assert compute("interval_abundances", kite).tolist() == [[5, 2, 1, 1, 0, 0, 0, 0, 0, 0]]
    assert compute("interval_abundances_2", kite).tolist() == [[5, 2]]
    assert value("longest_chain", kite) == 4
    np.testing.assert_allclose(compute("height_profile_4", kite), [[2 / 6, 2 / 6, 1 / 6, 1 / 6]])
    np.testing.assert_allclose(compute("height_profile_3", kite), [[4 / 6, 1 / 6, 1 / 6]])
    assert value("midpoint_dimension", kite) == np.log2(6 / (1 + 1 / 2))
    assert value("action_2d", kite) == 6 - 2 * 5 + 4 * 2 - 2 * 1
    assert value("action_4d", kite) == 6 - 5 + 9 * 2 - 16 * 1 + 8 * 1
    assert value("two_order", kite) == 1


@pytest.mark.parametrize("name", BY_HAND)
def test_node_observables_of_an_antichain_are_zero(name):
    assert not compute(name, antichain(5)).any()


def test_chains_through_past_and_future_count_the_same_chains(rng):
    orders = Orders.of(random_order(rng, 60).relations)
    past, future, through = (
        compute(f"two_chain_density_{where}", orders).sum()
        for where in ("past", "future", "through")
    )
    assert past == pytest.approx(future, rel=1e-5)
    assert past == pytest.approx(through, rel=1e-5)


def test_ordering_fraction_of_a_past_is_that_of_its_subgraph(rng):
    relations = random_order(rng, 40).relations
    graph = nx.from_numpy_array(relations.astype(int), create_using=nx.DiGraph)
    values = compute("ordering_fraction_past", Orders.of(relations))[0]
    for i in graph:
        past = graph.subgraph(nx.ancestors(graph, i))
        expected = nx.density(past) * 2 if len(past) > 1 else 0
        assert values[i] == pytest.approx(expected, rel=1e-6)


def test_the_dimension_of_a_past_or_future_is_that_of_its_subgraph(rng):
    relations = random_order(rng, 40, 0.4).relations
    orders = Orders.of(relations)
    for name, sides in (("dimension_past", relations.T), ("dimension_future", relations)):
        for found, side in zip(compute(name, orders)[0], sides, strict=True):
            part = Orders.of(relations[np.ix_(side, side)])
            expected = value("myrheim_meyer_dimension", part) if side.sum() > 1 else 0
            assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("dimension", "fraction"), [(1, 1), (2, 1 / 2), (3, 8 / 35), (4, 1 / 10)])
def test_the_dimension_inverts_the_ordering_fraction_of_a_diamond(dimension, fraction):
    n = 1001
    pairs = n * (n - 1) // 2
    relations = np.zeros((n, n), bool)
    rows, columns = (indices[: round(fraction * pairs)] for indices in np.triu_indices(n, 1))
    relations[rows, columns] = True
    found = value("myrheim_meyer_dimension", Orders.of(relations))
    assert found == pytest.approx(dimension, abs=1e-4)


def test_the_dimension_of_a_sparse_order_is_bounded():
    assert value("myrheim_meyer_dimension", antichain(10)) == MAX_DIMENSION
    relations = np.zeros((200, 200), bool)
    relations[0, 1] = True
    assert value("myrheim_meyer_dimension", Orders.of(relations)) == MAX_DIMENSION


def test_interval_abundances_of_a_chain_fall_one_by_one():
    assert compute("interval_abundances", chain(30)).tolist() == [[29 - m for m in range(10)]]


@pytest.mark.parametrize("orders", [antichain(1), antichain(2), chain(2)])
@pytest.mark.parametrize("name", [*names("node"), *names("graph")])
def test_observables_of_the_smallest_orders_are_finite(orders, name):
    assert np.isfinite(compute(name, orders)).all()


@pytest.mark.parametrize("name", [*names("node"), *names("graph")])
def test_an_observable_does_not_depend_on_the_block_or_the_labelling(name, rng):
    relations = [random_order(rng, n).relations for n in (20, 7, 33)]
    together = compute(name, block_of(relations))
    for k, matrix in enumerate(relations):
        n = len(matrix)
        shuffled = rng.permutation(n)
        values = compute(name, Orders.of(matrix[np.ix_(shuffled, shuffled)]))
        if find(name).level == "node":
            np.testing.assert_allclose(values[0], together[k, shuffled], rtol=1e-6)
        else:
            np.testing.assert_allclose(values[0], together[k], rtol=1e-5)


def test_a_relation_that_is_not_transitive_is_noticed():
    orders = block_of([KITE, np.eye(5, k=1, dtype=bool)])
    assert orders.transitive.tolist() == [True, False]
    assert orders.first_gap(0) is None
    assert orders.first_gap(1) == (0, 1, 2)


def test_the_link_scale_is_a_logarithm_in_two_dimensions_and_exact_for_a_chain():
    n = np.array([10.0, 1000.0])
    np.testing.assert_allclose(link_scale(n, np.full(2, 2.0)), np.log(n))
    np.testing.assert_allclose(link_scale(n, np.full(2, 2 + 1e-7)), np.log(n), rtol=1e-5)
    np.testing.assert_allclose(link_scale(n, np.ones(2)), 1 - 1 / n)
    np.testing.assert_allclose(link_scale(n, np.full(2, 4.0)), (n**0.5 - 1) * 2)
    np.testing.assert_allclose(chain_scale(n, np.full(2, 4.0)), n**0.25)


@pytest.mark.parametrize("n", [2, 10, 60, 400])
def test_in_two_dimensions_divisors_are_the_means_of_a_diamond(n, rng):
    """Links: n = 2 and 3 by hand, 1/2 and 4/3; all: those of sprinklings, within their errors."""
    np.testing.assert_allclose(links_2d(np.array([2.0, 3.0])), [1 / 4, 4 / 9], rtol=1e-3)
    copies = int(np.clip(20_000 // n, 20, 2000))
    orders = block_of([minkowski(rng, n, 2).relations for _ in range(copies)])
    for name, tolerance in (("in_degrees_link", 0), ("longest_chain", 0.1 if n < 5 else 0.02)):
        means = compute(f"{name}_normalized_2d", orders).mean(axis=1)
        assert abs(means.mean() - 1) < 4 * means.std() / np.sqrt(copies) + tolerance


@pytest.mark.parametrize("dimension", [2, 3, 4])
@pytest.mark.parametrize(
    "name",
    [n for n in [*names("node"), *names("graph")] if "_norm" in n and not n.startswith("action")],
)
def test_normalized_observables_stay_of_order_one(name, dimension, rng):
    """Over a factor of sixteen in n their mean changes by less than a factor of 1.8."""
    if name.endswith("_2d") and dimension != 2:
        pytest.skip("normalized for two dimensions")
    means = []
    for n, copies in ((64, 24), (1024, 2)):
        relations = [minkowski(rng, n, dimension).relations for _ in range(copies)]
        values = compute(name, block_of(relations))
        means.append(np.atleast_1d(values.mean(axis=(0, 1) if find(name).level == "node" else 0)))
    # Intervals of several elements are rare among 64: their share is still on its way.
    first, last = (mean[:1] for mean in means)
    assert first < 1.8 * last
    assert last < 1.8 * first
    assert (means[1] < 20).all(), (name, means)


@pytest.mark.parametrize("dimension", [2, 3, 4])
@pytest.mark.parametrize("name", ["action_2d_normalized", "action_4d_normalized"])
def test_normalized_actions_stay_below_order_one(name, dimension, rng):
    """They have either sign, and fall with n where the terms of the action cancel on average."""
    sizes = []
    for n, copies in ((64, 24), (1024, 3)):
        relations = [minkowski(rng, n, dimension).relations for _ in range(copies)]
        sizes.append(np.sqrt(np.square(compute(name, block_of(relations))).mean()))
    assert sizes[1] < min(1, 1.8 * sizes[0])


@pytest.mark.parametrize(
    ("name", "width"),
    [("in_degree", 1), ("interval_abundances", 10), ("interval_abundances_3_normalized", 3),
     ("action_2d", 1), ("action_2d_normalized_2d", 1), ("hasse_spectrum_20", 20)],
)  # fmt: skip
def test_a_name_is_found(name, width):
    assert find(name).width == width


@pytest.mark.parametrize(
    "name",
    ["degree", "in_degree_3", "in_degree_normalized_2d", "height_rank_normalized", "",
     "interval_abundances_0", "in degree", "_normalized", "two_order_normalized", "action_2"],
)  # fmt: skip
def test_other_names_are_not(name):
    assert find(name) is None


def test_every_name_is_a_function():
    for name in (*NODE, *GRAPH):
        assert find(name).base == name
