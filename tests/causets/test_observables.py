from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

from qgpipe.causets.generators.random_orders import random_order
from qgpipe.causets.observables import (
    GRAPH_OBSERVABLES,
    MAX_DIMENSION,
    NODE_OBSERVABLES,
    Order,
    interval_abundances,
    link_fraction,
    longest_chain_fraction,
    myrheim_meyer_dimension,
    ordering_fraction,
)
from qgpipe.causets.order import transitive_closure

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


def antichain(n: int) -> Order:
    return Order(np.zeros((n, n), bool))


def chain(n: int) -> Order:
    return Order(np.triu(np.ones((n, n), bool), 1))


def test_there_are_twelve_node_and_four_graph_observables():
    assert list(NODE_OBSERVABLES) == list(BY_HAND)
    assert list(GRAPH_OBSERVABLES) == [
        "ordering_fraction",
        "myrheim_meyer_dimension",
        "link_fraction",
        "longest_chain_fraction",
    ]


@pytest.mark.parametrize("name", NODE_OBSERVABLES)
def test_node_observables_of_a_kite_are_those_counted_by_hand(name):
    values = NODE_OBSERVABLES[name](Order(KITE))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, BY_HAND[name], rtol=1e-6)


def test_graph_observables_of_a_kite_are_those_counted_by_hand():
    order = Order(KITE)
    assert ordering_fraction(order) == pytest.approx(9 / 15)
    assert link_fraction(order) == pytest.approx(5 / 9)
    assert longest_chain_fraction(order) == pytest.approx(4 / 6)
    assert interval_abundances(order).tolist() == [5, 2, 1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", NODE_OBSERVABLES)
def test_node_observables_of_an_antichain_are_zero(name):
    assert not NODE_OBSERVABLES[name](antichain(5)).any()


def test_chains_through_past_and_future_count_the_same_chains(rng):
    order = Order(random_order(rng, 60).relations)
    past, future, through = (
        NODE_OBSERVABLES[f"two_chain_density_{where}"](order).sum()
        for where in ("past", "future", "through")
    )
    assert past == pytest.approx(future, rel=1e-5)
    assert past == pytest.approx(through, rel=1e-5)


def test_ordering_fraction_of_a_past_is_that_of_its_subgraph(rng):
    relations = random_order(rng, 40).relations
    graph = nx.from_numpy_array(relations.astype(int), create_using=nx.DiGraph)
    values = NODE_OBSERVABLES["ordering_fraction_past"](Order(relations))
    for i in graph:
        past = graph.subgraph(nx.ancestors(graph, i))
        expected = nx.density(past) * 2 if len(past) > 1 else 0
        assert values[i] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("dimension", "fraction"), [(1, 1), (2, 1 / 2), (3, 8 / 35), (4, 1 / 10)])
def test_the_dimension_inverts_the_ordering_fraction_of_a_diamond(dimension, fraction):
    n = 1001
    pairs = n * (n - 1) // 2
    relations = np.zeros((n, n), bool)
    rows, columns = (indices[: round(fraction * pairs)] for indices in np.triu_indices(n, 1))
    relations[rows, columns] = True
    assert myrheim_meyer_dimension(Order(relations)) == pytest.approx(dimension, abs=1e-4)


def test_the_dimension_of_a_sparse_order_is_bounded():
    assert myrheim_meyer_dimension(antichain(10)) == MAX_DIMENSION
    relations = np.zeros((200, 200), bool)
    relations[0, 1] = True
    assert myrheim_meyer_dimension(Order(relations)) == MAX_DIMENSION


def test_interval_abundances_of_a_chain_fall_one_by_one():
    assert interval_abundances(chain(30)).tolist() == [29 - m for m in range(10)]


@pytest.mark.parametrize("order", [antichain(1), antichain(2), chain(2)])
def test_observables_of_the_smallest_orders_are_finite(order):
    for observable in [*NODE_OBSERVABLES.values(), *GRAPH_OBSERVABLES.values()]:
        assert np.isfinite(observable(order)).all()
    assert math.isfinite(interval_abundances(order).sum())
