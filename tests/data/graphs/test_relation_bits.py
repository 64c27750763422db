from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qgpipe.data.graphs import relation_bits
from qgpipe.data.graphs.adjacency import bit_offsets
from qgpipe.data.graphs.relation_bits import (
    adjacency_rows,
    block_side,
    contradictions,
    intransitive,
    mark_relations,
    write_bits,
)


def test_the_side_of_a_block_is_a_multiple_of_eight_and_at_least_64():
    assert [block_side(n) for n in (0, 1, 64, 65, 72, 73)] == [64, 64, 64, 72, 72, 80]


def test_what_is_not_zero_is_marked():
    values = np.array([[[0, 1], [1, 0]], [[0, 0], [0, 1]]], "f4")
    out = np.full((2, 2, 2), 9, np.uint8)
    assert mark_relations(values, out)
    np.testing.assert_array_equal(out, values)


def test_a_value_other_than_zero_and_one_is_reported():
    for value in (2, -1, 0.25, np.nan):
        values = np.zeros((3, 4, 4))
        values[2, 1, 3] = value
        out = np.empty((3, 4, 4), np.uint8)
        assert not mark_relations(values, out)
        assert out.sum() == 1


def test_rows_hold_targets_in_little_bit_order():
    block = np.zeros((1, 64, 64), np.uint8)
    block[0, 9, 2] = block[0, 0, 2] = 1  # 2 precedes 9 and 0
    block[0, 12, 2] = block[0, 1, 12] = 1  # beyond the size
    rows = adjacency_rows(block, np.array([10]))
    assert rows[0, 2].tolist() == [1, 2, 0, 0, 0, 0, 0, 0]
    assert rows.sum() == 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 130), min_size=1, max_size=5), st.integers(0, 99))
def test_bits_are_rows_without_padding_and_end_with_a_whole_word(sizes, seed):
    side = block_side(max(sizes))
    block = np.random.default_rng(seed).integers(0, 2, (len(sizes), side, side), np.uint8)
    sizes = np.array(sizes)
    ptr = bit_offsets(sizes)
    bits = np.empty(ptr[-1], np.uint8)
    write_bits(adjacency_rows(block, sizes), sizes, bits)
    for i, n in enumerate(sizes):
        expected = np.packbits(block[i, :n, :n].T, axis=1, bitorder="little").reshape(-1)
        np.testing.assert_array_equal(bits[ptr[i] : ptr[i] + len(expected)], expected)
        assert not bits[ptr[i] + len(expected) : ptr[i + 1]].any()


def test_contradictions_are_found_within_the_size_only():
    block = np.zeros((2, 64, 64), np.uint8)
    block[1, 3, 3] = 1
    block[1, 4, 7] = block[1, 7, 4] = 1
    block[0, 9, 9] = 1
    found = contradictions(block, adjacency_rows(block, np.array([9, 8])))
    assert found.tolist() == [[1, 3, 3], [1, 4, 7], [1, 7, 4]]


def test_an_order_has_no_contradictions():
    block = np.tri(64, k=-1, dtype=np.uint8)[None].copy()
    assert contradictions(block, adjacency_rows(block, np.array([64]))).shape == (0, 3)


def rows_of(matrices):
    """Rows of bits of boolean relation matrices ``[source, target]``."""
    side = block_side(max(map(len, matrices)))
    block = np.zeros((len(matrices), side, side), np.uint8)
    for place, matrix in zip(block, matrices, strict=True):
        place[: len(matrix), : len(matrix)] = matrix.T
    return adjacency_rows(block, np.array([len(matrix) for matrix in matrices]))


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    density=st.sampled_from([0.02, 0.1, 0.9]),
    closed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_chains_whose_ends_are_not_related_are_found(sizes, density, closed, seed):
    rng = np.random.default_rng(seed)
    matrices = [np.triu(rng.random((n, n)) < density, 1) for n in sizes]
    if closed:
        for matrix in matrices:
            for through in range(len(matrix)):
                matrix |= matrix[:, through : through + 1] & matrix[through]
    found = intransitive(rows_of(matrices))
    expected = [((m.astype("f4") @ m > 0) & ~m).any() for m in matrices]
    assert found[:, 0].tolist() == np.flatnonzero(expected).tolist()
    for place, first, second, third in found:
        matrix = matrices[place]
        assert matrix[first, second]
        assert matrix[second, third]
        assert not matrix[first, third]


def test_chains_are_found_in_slices_of_the_relations(monkeypatch):
    monkeypatch.setattr(relation_bits, "CACHED", 3)
    matrix = np.triu(np.ones((20, 20), bool), 1)
    matrix[4, 15] = matrix[16, 19] = False
    found = intransitive(rows_of([np.eye(2, k=1) > 0, matrix, matrix]))
    assert found.tolist() == [[1, 4, 5, 15], [2, 4, 5, 15]]
