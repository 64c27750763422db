from __future__ import annotations

from unittest.mock import patch

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qgpipe.causets import order
from qgpipe.causets.generators.layered import layered
from qgpipe.causets.generators.perturbed import destroyed
from qgpipe.causets.generators.sprinklings import minkowski
from qgpipe.causets.order import (
    interval_sizes,
    is_natural,
    longest_chains,
    order_violation,
    transitive_closure,
    transitive_reduction,
)

PROPERTY = settings(max_examples=30, deadline=None, derandomize=True)


@st.composite
def acyclic_graphs(draw, largest: int = 40):
    n = draw(st.integers(1, largest))
    density = draw(st.sampled_from([0.05, 0.2, 0.5, 1.0]))
    thresholds = draw(arrays(np.float64, (n, n), elements=st.floats(0, 1, width=16)))
    return np.triu(thresholds <= density, 1)


def graph_of(relations: np.ndarray) -> nx.DiGraph:
    return nx.from_numpy_array(relations.astype(int), create_using=nx.DiGraph)


def matrix_of(graph: nx.DiGraph) -> np.ndarray:
    return nx.to_numpy_array(graph, nodelist=sorted(graph)) > 0


@PROPERTY
@given(acyclic_graphs())
def test_closure_agrees_with_networkx(relations):
    expected = matrix_of(nx.transitive_closure_dag(graph_of(relations)))
    np.testing.assert_array_equal(transitive_closure(relations), expected)


@PROPERTY
@given(acyclic_graphs())
def test_reduction_of_the_closure_agrees_with_networkx(relations):
    expected = matrix_of(nx.transitive_reduction(graph_of(relations)))
    np.testing.assert_array_equal(transitive_reduction(transitive_closure(relations)), expected)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 31, 32, 33, 100, 128, 257])
def test_closure_of_a_path_is_the_total_order_for_any_size(n):
    path = np.eye(n, k=1, dtype=bool)
    np.testing.assert_array_equal(transitive_closure(path), np.triu(np.ones((n, n), bool), 1))


def test_closure_of_a_large_random_graph_agrees_with_networkx(rng):
    relations = np.triu(rng.random((300, 300)) < 0.01, 1)
    expected = matrix_of(nx.transitive_closure_dag(graph_of(relations)))
    np.testing.assert_array_equal(transitive_closure(relations), expected)


@PROPERTY
@given(acyclic_graphs())
def test_closing_the_links_gives_back_the_order(relations):
    closed = transitive_closure(relations)
    np.testing.assert_array_equal(transitive_closure(transitive_reduction(closed)), closed)


def test_interval_sizes_of_a_diamond_count_its_two_middle_elements():
    diamond = np.array([[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    assert interval_sizes(diamond)[0, 3] == 2
    assert interval_sizes(diamond).sum() == 2


@pytest.mark.parametrize("n", [3, 129, 300])
def test_interval_sizes_are_the_square_of_the_relations_in_any_labelling(n, rng):
    natural = np.triu(rng.random((3, n, n)) < 0.1, 1)
    for relations in (natural, natural[:, ::-1, ::-1], natural[0]):
        expected = relations.astype(int) @ relations.astype(int)
        np.testing.assert_array_equal(interval_sizes(relations), expected)


@pytest.mark.parametrize("n", [127, 128, 129, 130, 150])
def test_interval_sizes_are_exact_up_to_the_largest_number_that_fits_twice(n):
    total, all_related = np.triu(np.ones((n, n), bool), 1), np.ones((n, n), bool)
    with patch.multiple(order, _PACKED=128, _UNDIVIDED=64):
        for relations in (total, total[::-1, ::-1], all_related):
            expected = relations.astype(int) @ relations.astype(int)
            np.testing.assert_array_equal(interval_sizes(relations), expected)


@pytest.mark.parametrize("n", [1, 127, 128, 129, 300])
def test_a_labelling_is_natural_without_entries_on_or_below_the_diagonal(n, rng):
    relations = np.triu(np.ones((2, n, n), bool), 1)
    assert is_natural(relations)
    i = int(rng.integers(n))
    relations[1, i, rng.integers(i + 1)] = True
    assert not is_natural(relations)
    assert is_natural(relations[0])


@pytest.mark.parametrize("together", [0, 256])
@PROPERTY
@given(acyclic_graphs())
def test_longest_chains_agree_with_networkx(together, relations):
    relations = transitive_closure(relations)
    graph = graph_of(relations)
    with patch.object(order, "_LARGEST_TOGETHER", together):
        past, future = longest_chains(relations)
    assert past.max() == future.max() == nx.dag_longest_path_length(graph, weight=None)
    for i in graph:
        below = graph.subgraph([*nx.ancestors(graph, i), i])
        assert past[i] == nx.dag_longest_path_length(below, weight=None)
        above = graph.subgraph([*nx.descendants(graph, i), i])
        assert future[i] == nx.dag_longest_path_length(above, weight=None)


def test_longest_chains_of_large_orders_agree_with_those_of_their_past(rng):
    relations = transitive_closure(np.triu(rng.random((400, 400)) < 0.02, 1))
    past, future = longest_chains(relations)
    first_past, _ = longest_chains(relations[:200, :200])
    _, last_future = longest_chains(relations[200:, 200:])
    np.testing.assert_array_equal(past[:200], first_past)
    np.testing.assert_array_equal(future[200:], last_future)


def heights(relations: np.ndarray) -> np.ndarray:
    found = np.zeros(len(relations))
    for j in range(1, len(relations)):
        found[j] = (relations[:j, j] * (found[:j] + 1)).max()
    return found


@pytest.mark.parametrize(
    "make",
    [
        minkowski,
        lambda rng, n: layered(rng, n, 2),  # more minimal elements than a byte counts
        lambda rng, n: destroyed(rng, n, 0.001),
        lambda rng, n: destroyed(rng, n, 0.5),  # nearly total
    ],
)
@pytest.mark.parametrize("natural", [True, False])
def test_longest_chains_of_many_elements_are_those_of_the_definition(make, natural, rng):
    relations = make(rng, 600).relations
    labels = np.arange(600) if natural else rng.permutation(600)
    past, future = longest_chains(relations[np.ix_(labels, labels)])
    np.testing.assert_array_equal(past, heights(relations)[labels])
    np.testing.assert_array_equal(future, heights(relations.T[::-1, ::-1])[::-1][labels])


def test_a_partial_order_has_no_violation():
    assert order_violation(np.triu(np.ones((5, 5), bool), 1)) is None


def test_an_element_that_precedes_itself_is_a_violation():
    relations = np.zeros((3, 3), bool)
    relations[1, 1] = True
    assert order_violation(relations) == "element 1 precedes itself"


def test_a_relation_against_the_labels_is_a_violation():
    relations = np.zeros((3, 3), bool)
    relations[2, 0] = True
    assert order_violation(relations) == "element 2 precedes element 0, which has the smaller label"


def test_a_missing_relation_is_a_violation_and_named():
    relations = np.eye(3, k=1, dtype=bool)
    assert order_violation(relations) == "it is not transitive: 0 ≺ 1 ≺ 2, but not 0 ≺ 2"
