import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.data.graphs.adjacency import (
    as_pairs,
    count_bits,
    edge_index,
    index_dtype,
    pair_bytes,
    pairs_to_bits,
    smaller_form,
    sorted_and_unique,
    sorted_by_source,
)
from qgpipe.data.graphs.edge_formats import as_neighbor_lists
from qgpipe.data.graphs.packed import EdgePairs, offsets


def random_matrices(sizes: list[int], seed: int, density: float) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((n, n)) < density for n in sizes]


def pairs_of(matrices: list[np.ndarray]) -> EdgePairs:
    edges = [np.argwhere(matrix).T for matrix in matrices]
    joined = np.concatenate([np.empty((2, 0), np.int64), *edges], axis=1)
    counts = np.array([part.shape[1] for part in edges], np.int64)
    return EdgePairs(joined.astype(np.uint16), offsets(counts))


def union_edges(matrices: list[np.ndarray]) -> np.ndarray:
    """Edges of the block-diagonal matrix, in row-major order."""
    starts = np.cumsum([0, *(len(m) for m in matrices)])
    edges = [np.argwhere(m).T + start for m, start in zip(matrices, starts, strict=False)]
    return np.concatenate([np.empty((2, 0), np.int64), *edges], axis=1)


graph_sets = given(
    sizes=st.lists(st.integers(0, 20), max_size=6),
    seed=st.integers(0, 1000),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


def test_the_bits_of_a_chain_of_three_are_as_worked_out_by_hand() -> None:
    relations = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    packed = pairs_to_bits(pairs_of([relations]), np.array([3]))
    assert packed.bits.tolist() == [0b110, 0b100, 0, 0, 0, 0, 0, 0]
    assert packed.ptr.tolist() == [0, 8]
    assert packed.num_edges.tolist() == [3]


def test_rows_of_nine_nodes_take_two_bytes() -> None:
    relations = np.zeros((9, 9), bool)
    relations[0, 8] = True
    packed = pairs_to_bits(pairs_of([relations]), np.array([9]))
    assert packed.bits[:4].tolist() == [0, 1, 0, 0]
    assert packed.ptr.tolist() == [0, 24]


@graph_sets
def test_bits_give_the_edges_of_the_disjoint_union(
    sizes: list[int], seed: int, density: float
) -> None:
    matrices = random_matrices(sizes, seed, density)
    bits = pairs_to_bits(pairs_of(matrices), np.array(sizes, np.int64))
    found = edge_index(bits, np.array(sizes, np.int64))
    assert found.dtype == np.int64
    assert np.array_equal(found, union_edges(matrices))


@graph_sets
def test_bits_and_pairs_can_be_turned_into_each_other(
    sizes: list[int], seed: int, density: float
) -> None:
    array = np.array(sizes, np.int64)
    pairs = pairs_of(random_matrices(sizes, seed, density))
    bits = pairs_to_bits(pairs, array)
    back = as_pairs(bits, array)
    assert np.array_equal(back.edge_index, pairs.edge_index)
    assert np.array_equal(back.edge_ptr, pairs.edge_ptr)
    assert np.array_equal(
        as_pairs(as_neighbor_lists(bits, array, 20), array).edge_index, pairs.edge_index
    )
    assert np.array_equal(count_bits(bits.bits, bits.ptr), bits.num_edges)


def test_dense_relations_stay_bits_and_sparse_ones_become_pairs() -> None:
    sizes = np.array([40])
    full = pairs_to_bits(pairs_of([np.ones((40, 40), bool)]), sizes)
    single = np.zeros((40, 40), bool)
    single[3, 5] = True
    assert smaller_form(full, sizes) is full
    sparse = smaller_form(pairs_to_bits(pairs_of([single]), sizes), sizes)
    assert isinstance(sparse, EdgePairs)
    assert sparse.edge_index.tolist() == [[3], [5]]


@pytest.mark.parametrize(("sizes", "dtype"), [([], "u2"), ([65536], "u2"), ([3, 65537], "u4")])
def test_indices_take_two_bytes_as_long_as_they_fit(sizes: list[int], dtype: str) -> None:
    assert index_dtype(np.array(sizes, np.int64)) == np.dtype(dtype)
    assert pair_bytes(5, np.array(sizes, np.int64)) == 10 * np.dtype(dtype).itemsize


def test_large_indices_do_not_overflow() -> None:
    sizes = np.array([70_000, 70_000])
    pairs = EdgePairs(np.array([[69_999, 0], [0, 69_998]], np.uint32), np.array([0, 1, 2]))
    expected = [[69_999, 70_000], [0, 139_998]]
    assert edge_index(pairs, sizes).tolist() == expected
    assert edge_index(as_neighbor_lists(pairs, sizes, 70_000), sizes).tolist() == expected


@pytest.mark.parametrize(
    ("edges", "by_source", "unique"),
    [
        ([[0, 0, 1], [1, 2, 0]], True, True),
        ([[0, 0, 1], [2, 1, 0]], True, False),
        ([[0, 0, 1], [1, 1, 0]], True, False),
        ([[1, 0, 0], [0, 1, 2]], False, False),
    ],
)
def test_the_order_of_edges_is_recognised(
    edges: list[list[int]], by_source: bool, unique: bool
) -> None:
    pairs = EdgePairs(np.array(edges, np.uint16), np.array([0, 3]))
    assert sorted_by_source(pairs) is by_source
    assert sorted_and_unique(pairs) is unique


def test_the_order_counts_within_each_graph_only() -> None:
    pairs = EdgePairs(np.array([[5, 0], [6, 1]], np.uint16), np.array([0, 1, 1, 2]))
    assert sorted_by_source(pairs)
    assert sorted_and_unique(pairs)
