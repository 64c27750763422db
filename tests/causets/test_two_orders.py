from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from qgpipe.causets import two_orders
from qgpipe.causets.generators.layered import kr
from qgpipe.causets.generators.random_orders import random_order
from qgpipe.causets.generators.sprinklings import minkowski, polynomial
from qgpipe.causets.orders import Orders
from qgpipe.causets.two_orders import are_two_orders


def is_two_order(relations: np.ndarray) -> bool:
    return are_two_orders(Orders.of(relations)).item()


def standard_example(k: int) -> np.ndarray:
    """k minimal and k maximal elements, each below all but one: of dimension k."""
    relations = np.zeros((2 * k, 2 * k), bool)
    relations[:k, k:] = ~np.eye(k, dtype=bool)
    return relations


def beside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Both orders, unrelated to each other."""
    relations = np.zeros((len(a) + len(b),) * 2, bool)
    relations[: len(a), : len(a)], relations[len(a) :, len(a) :] = a, b
    return relations


def golumbic(relations: np.ndarray) -> bool:
    """Whether no implication class of the unrelated pairs holds one in both directions."""
    n = len(relations)
    unrelated = ~(relations | relations.T | np.eye(n, dtype=bool))
    forcing = nx.Graph()
    forcing.add_nodes_from(map(tuple, np.argwhere(unrelated).tolist()))
    for a in range(n):
        for b, c in itertools.combinations(np.flatnonzero(unrelated[a]).tolist(), 2):
            if not unrelated[b, c]:
                forcing.add_edge((a, b), (a, c))
                forcing.add_edge((b, a), (c, a))
    classes = nx.connected_components(forcing)
    return not any((b, a) in pairs for pairs in classes for a, b in pairs)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_the_two_orders_of_few_elements_are_the_intersections_of_two_total_orders(n):
    """All orders in a natural labelling, as bits, and all pairs of total orders."""
    i, j = np.triu_indices(n, 1)
    bits = 1 << np.arange(len(i))
    codes = np.arange(1 << len(i))
    relations = np.zeros((len(codes), n, n), bool)
    relations[:, i, j] = (codes[:, None] & bits) > 0
    ordered = Orders(relations).transitive
    orders = Orders(relations[ordered])

    places = np.array(list(itertools.permutations(range(n))))
    forward = (places[:, i] < places[:, j]) @ bits
    backward = (places[:, i] > places[:, j]) @ bits
    natural = (backward[:, None] & backward) == 0
    intersections = np.unique((forward[:, None] & forward)[natural])
    np.testing.assert_array_equal(codes[ordered][are_two_orders(orders)], intersections)


def test_the_test_agrees_with_golumbics_implication_classes(rng):
    relations = [minkowski(rng, 11, 3).relations for _ in range(40)]
    relations += [random_order(rng, 11).relations for _ in range(40)]
    expected = [golumbic(matrix) for matrix in relations]
    assert 10 < sum(expected) < 70
    assert are_two_orders(Orders(np.stack(relations))).tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 50, 150])
def test_chains_and_antichains_are_two_orders(n):
    assert is_two_order(np.zeros((n, n), bool))
    assert is_two_order(np.triu(np.ones((n, n), bool), 1))


def test_the_standard_example_is_none_until_an_element_is_removed():
    example = standard_example(3)
    assert not is_two_order(example)
    for left_out in range(6):
        assert is_two_order(np.delete(np.delete(example, left_out, 0), left_out, 1))


@pytest.mark.parametrize("n", [40, 300])
def test_sprinklings_into_conformally_flat_spacetimes_of_two_dimensions_are(n, rng):
    relations = [make(rng, n).relations for make in (minkowski, polynomial) for _ in range(6)]
    assert are_two_orders(Orders(np.stack(relations))).all()


def test_sprinklings_into_three_dimensions_and_layered_orders_are_mostly_not(rng):
    relations = [minkowski(rng, 64, 3).relations for _ in range(20)]
    assert are_two_orders(Orders(np.stack(relations))).mean() < 0.1
    assert not is_two_order(kr(rng, 64).relations)


@pytest.mark.parametrize("n", [59, 130])
def test_six_elements_in_a_large_two_order_are_found(n, rng):
    relations = beside(minkowski(rng, n, 2).relations, standard_example(3))
    assert not is_two_order(relations)
    assert is_two_order(relations[:-1, :-1])


def test_the_answer_does_not_depend_on_the_pieces_or_the_padding(rng, monkeypatch):
    parts = [minkowski(rng, n, d).relations for n, d in ((90, 2), (12, 2), (33, 3), (5, 2))]
    parts.append(beside(minkowski(rng, 70, 2).relations, standard_example(3)))
    sizes = np.array([len(part) for part in parts])
    block = np.zeros((len(parts), 90, 90), bool)
    for padded, part in zip(block, parts, strict=True):
        padded[: len(part), : len(part)] = part
    expected = [True, True, False, True, False]
    assert are_two_orders(Orders(block, sizes)).tolist() == expected
    monkeypatch.setattr(two_orders, "_AT_ONCE", 2000)
    assert are_two_orders(Orders(block, sizes)).tolist() == expected
    assert [is_two_order(part) for part in parts] == expected
