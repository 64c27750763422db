"""Cutting many graphs into runs of a few, so that what is computed in between stays small."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from qgpipe.data.graphs.packed import BitAdjacency, EdgePairs

LIMIT = 1 << 20  # pairs of nodes, or edges, of a run that has more than one graph: fit a cache

StoredEdges = TypeVar("StoredEdges", bound=BitAdjacency | EdgePairs)


def in_runs(edges: StoredEdges, sizes: np.ndarray) -> Iterator[tuple[StoredEdges, np.ndarray]]:
    """The edges of some graphs after the other, as views, with the graphs' ``sizes`` (int64 [N]).

    There is at least one run, also of no graphs.
    """
    ends = edges.ptr[1:] * 8 if isinstance(edges, BitAdjacency) else edges.edge_ptr[1:]
    cuts = np.flatnonzero(np.diff((ends - 1) // LIMIT)) + 1
    for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(sizes)], strict=True):
        bounds = slice(first, last + 1)
        if isinstance(edges, BitAdjacency):
            begin, end = edges.ptr[first], edges.ptr[last]
            bits, ptr = edges.bits[begin:end], edges.ptr[bounds] - begin
            counts = edges.num_edges[first:last]
            yield replace(edges, bits=bits, ptr=ptr, num_edges=counts), sizes[first:last]
        else:
            begin, end = edges.edge_ptr[first], edges.edge_ptr[last]
            pairs, ptr = edges.edge_index[:, begin:end], edges.edge_ptr[bounds] - begin
            yield replace(edges, edge_index=pairs, edge_ptr=ptr), sizes[first:last]
