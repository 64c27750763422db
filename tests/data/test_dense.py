from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qgpipe.data.adjacency import bit_offsets
from qgpipe.data.dense import (
    adjacency_rows,
    block_side,
    contradictions,
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
