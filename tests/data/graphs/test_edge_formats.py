import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.data.graphs.adjacency import as_bit_rows, edge_index, pairs_to_bits
from qgpipe.data.graphs.edge_formats import (
    as_neighbor_lists,
    in_edge_format,
    list_dtype,
    sorted_in_edge_format,
)
from qgpipe.data.graphs.packed import BitRows, EdgePairs, NeighborLists, Packed, offsets


def pairs_of(*matrices: np.ndarray) -> EdgePairs:
    edges = [np.argwhere(matrix).T for matrix in matrices]
    joined = np.concatenate([np.empty((2, 0), np.int64), *edges], axis=1)
    return EdgePairs(joined.astype(np.uint16), offsets(np.array([e.shape[1] for e in edges])))


def packed_of(edges: EdgePairs, sizes: list[int]) -> Packed:
    return Packed(np.arange(len(sizes)), offsets(np.array(sizes, np.int64)), edges)


graph_sets = given(
    sizes=st.lists(st.integers(0, 20), max_size=6),
    seed=st.integers(0, 1000),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


def test_the_lists_of_a_small_order_are_as_worked_out_by_hand() -> None:
    relations = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    lists = as_neighbor_lists(pairs_of(relations), np.array([3]), 3)
    assert lists.lists.shape == (1, 2, 64)
    assert lists.lists[0, 0, :4].tolist() == [1, 2, 2, 0]  # targets
    assert lists.lists[0, 1, :4].tolist() == [0, 0, 1, 0]  # sources, by target
    assert lists.degrees.tolist() == [[2, 0, 0, 0], [1, 1, 0, 0], [0, 2, 0, 0]]
    assert lists.num_edges.tolist() == [3]


def test_every_graph_starts_a_row_of_its_own() -> None:
    full, none = np.ones((9, 9), bool), np.zeros((2, 2), bool)
    lists = as_neighbor_lists(pairs_of(full, none, full), np.array([9, 2, 9]), 9)
    assert lists.ptr.tolist() == [0, 2, 2, 4]
    assert lists.num_edges.tolist() == [81, 0, 81]
    assert lists.degrees[:, 2].tolist() == [1] * 9 + [0] * 2 + [1] * 9


@graph_sets
def test_lists_and_rows_of_bits_give_the_edges_of_the_disjoint_union(
    sizes: list[int], seed: int, density: float
) -> None:
    rng, array = np.random.default_rng(seed), np.array(sizes, np.int64)
    pairs = pairs_of(*(rng.random((n, n)) < density for n in sizes))
    expected = edge_index(pairs, array)
    for edges in (
        as_neighbor_lists(pairs, array, 300),
        as_neighbor_lists(pairs, array, 300, both_ends=False),
        as_bit_rows(pairs, array, 300),
        as_bit_rows(pairs_to_bits(pairs, array), array, 300),
    ):
        assert np.array_equal(edge_index(edges, array), expected)


@graph_sets
def test_sources_are_listed_by_target(sizes: list[int], seed: int, density: float) -> None:
    rng, array = np.random.default_rng(seed), np.array(sizes, np.int64)
    matrices = [rng.random((n, n)) < density for n in sizes]
    lists = as_neighbor_lists(pairs_of(*matrices), array, 300)
    for i, matrix in enumerate(matrices):
        found = lists.lists[lists.ptr[i] : lists.ptr[i + 1], 1].ravel()[: matrix.sum()]
        assert found.tolist() == np.argwhere(matrix.T)[:, 1].tolist()


def test_rows_of_bits_are_as_long_as_the_largest_graph_needs() -> None:
    rows = as_bit_rows(pairs_of(np.ones((3, 3), bool)), np.array([3]), 17)
    assert rows.bits.tolist() == [[0b111, 0, 0]] * 3


@pytest.mark.parametrize(
    ("largest", "dtype"), [(256, "u1"), (257, "i2"), (32768, "i2"), (32769, "i4")]
)
def test_lists_hold_every_node_of_the_largest_graph(largest: int, dtype: str) -> None:
    assert list_dtype(largest) == np.dtype(dtype)


def test_duplicate_edges_survive_as_lists() -> None:
    pairs = EdgePairs(np.array([[0, 0, 1], [2, 2, 0]], np.uint16), np.array([0, 3]))
    lists = as_neighbor_lists(pairs, np.array([3]), 3)
    assert edge_index(lists, np.array([3])).tolist() == [[0, 0, 1], [2, 2, 0]]


@pytest.mark.parametrize(
    ("edges", "kinds"),
    [
        ([[0, 0, 1], [1, 2, 2]], {"edges": NeighborLists, "csr": NeighborLists, "dense": BitRows}),
        (
            [[0, 0, 1], [2, 1, 2]],
            {"edges": NeighborLists, "csr": NeighborLists, "dense": EdgePairs},
        ),
        (
            [[0, 0, 1], [2, 2, 0]],
            {"edges": NeighborLists, "csr": NeighborLists, "dense": EdgePairs},
        ),
        ([[1, 0, 0], [2, 1, 2]], {"edges": EdgePairs, "csr": EdgePairs, "dense": EdgePairs}),
    ],
)
def test_pairs_whose_order_would_be_lost_stay_pairs(
    edges: list[list[int]], kinds: dict[str, type]
) -> None:
    packed = packed_of(EdgePairs(np.array(edges, np.uint16), np.array([0, 3])), [3])
    assert {
        edge_format: type(in_edge_format(packed, edge_format).edges) for edge_format in kinds
    } == kinds


def test_duplicates_are_listed_also_for_dense_products() -> None:
    twice = EdgePairs(np.array([[1, 0, 1], [2, 1, 2]], np.uint16), np.array([0, 3]))
    lists = sorted_in_edge_format(twice, np.array([3]), "dense")
    assert isinstance(lists, NeighborLists)
    assert edge_index(lists, np.array([3])).tolist() == [[0, 1, 1], [1, 2, 2]]
    unsorted = EdgePairs(np.array([[1, 0], [2, 1]], np.uint16), np.array([0, 2]))
    rows = sorted_in_edge_format(unsorted, np.array([3]), "dense")
    assert isinstance(rows, BitRows)
    assert rows.bits.tolist() == [[0b010], [0b100], [0]]
