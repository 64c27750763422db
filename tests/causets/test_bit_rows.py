from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from qgpipe.causets.bit_rows import WORD, close, column_counts, packed, row_counts, transposed
from qgpipe.causets.order import transitive_closure

PROPERTY = settings(max_examples=30, deadline=None, derandomize=True)
MATRICES = arrays(np.bool_, array_shapes(min_dims=2, max_dims=3, max_side=70))


@PROPERTY
@given(MATRICES)
def test_counts_are_sums_of_rows_and_columns(matrices):
    np.testing.assert_array_equal(row_counts(matrices), matrices.sum(axis=-1))
    np.testing.assert_array_equal(column_counts(matrices), matrices.sum(axis=-2))


def test_counts_beyond_what_a_byte_holds():
    ones = np.ones((2, 600, 300), bool)
    assert (column_counts(ones) == 600).all()
    assert (row_counts(ones) == 300).all()


@PROPERTY
@given(MATRICES)
def test_the_bits_of_words_are_the_entries_of_rows(matrices):
    bits = np.unpackbits(packed(matrices).view(np.uint8), axis=-1, bitorder="little")
    assert bits.shape[-1] % WORD == 0
    np.testing.assert_array_equal(bits[..., : matrices.shape[-1]], matrices)
    assert not bits[..., matrices.shape[-1] :].any()


@pytest.mark.parametrize("n", [1, 5, 256, 257, 300, 519, 520])
def test_a_transpose_is_that_of_numpy_and_contiguous(n, rng):
    matrix = rng.random((n, n)) < 0.3
    result = transposed(matrix)
    np.testing.assert_array_equal(result, matrix.T)
    assert result.flags.c_contiguous


@PROPERTY
@given(st.integers(1, 200), st.floats(0.1, 4), st.integers(0, 99))
def test_the_closure_by_bits_is_that_of_networkx(n, links, seed):
    relations = np.triu(np.random.default_rng(seed).random((n, n)) < links / n, 1)
    blocks = np.zeros((-(-n // WORD), WORD, WORD), bool)
    for block, start in zip(blocks, range(0, n, WORD), strict=True):
        part = transitive_closure(relations[start : start + WORD, start : start + WORD])
        block[: len(part), : len(part)] = part
    graph = nx.transitive_closure_dag(nx.from_numpy_array(relations, create_using=nx.DiGraph))
    expected = nx.to_numpy_array(graph, nodelist=range(n)) > 0
    np.testing.assert_array_equal(close(relations, blocks), expected)
