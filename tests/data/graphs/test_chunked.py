from dataclasses import astuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.data.graphs import adjacency
from qgpipe.data.graphs.adjacency import as_pairs, in_runs, pairs_to_bits
from qgpipe.data.graphs.edge_formats import as_neighbor_lists
from qgpipe.data.graphs.packed import EdgePairs, offsets


def pairs_of(matrices: list[np.ndarray]) -> EdgePairs:
    edges = [np.argwhere(matrix).T for matrix in matrices]
    joined = np.concatenate([np.empty((2, 0), np.int64), *edges], axis=1)
    return EdgePairs(joined.astype(np.uint16), offsets(np.array([e.shape[1] for e in edges])))


def test_runs_end_where_the_limit_is_passed(monkeypatch):
    monkeypatch.setattr(adjacency, "LIMIT", 10)
    full = [np.ones((n, n), bool) for n in (2, 2, 3, 0, 4, 1)]  # 4, 8, 17, 17, 33, 34 edges
    sizes = np.array([2, 2, 3, 0, 4, 1])
    assert [s.tolist() for _, s in in_runs(pairs_of(full), sizes)] == [[2, 2], [3, 0], [4, 1]]


@given(
    sizes=st.lists(st.integers(0, 20), max_size=8),
    seed=st.integers(0, 1000),
    limit=st.sampled_from([1, 100, 1000]),
)
@pytest.mark.parametrize("both_ends", [True, False])
def test_what_is_made_in_runs_is_what_is_made_at_once(sizes, seed, limit, both_ends):
    rng, array = np.random.default_rng(seed), np.array(sizes, np.int64)
    pairs = pairs_of([rng.random((n, n)) < 0.4 for n in sizes])

    def made():
        bits = pairs_to_bits(pairs, array)
        lists = [as_neighbor_lists(edges, array, 20, both_ends) for edges in (bits, pairs)]
        return [
            array
            for edge_format in (bits, as_pairs(bits, array), *lists)
            for array in astuple(edge_format)
        ]

    at_once = made()
    with patch.object(adjacency, "LIMIT", limit):
        in_pieces = made()
    for one, other in zip(at_once, in_pieces, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
