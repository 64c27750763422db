"""The forms in which edges are held in memory and put into batches.

They are made once a data set, or once a batch where the graphs are mapped from disk.
``sizes`` are the numbers of nodes of the graphs, int64 [N]; ``largest`` is that of the largest
graph of all with which these are to be joined.
"""

from dataclasses import replace

import numpy as np

from qgpipe.data.graphs.adjacency import as_bit_rows, sorted_and_unique, sorted_by_source
from qgpipe.data.graphs.neighbor_lists import as_neighbor_lists
from qgpipe.data.graphs.packed import BitAdjacency, BitRows, EdgePairs, NeighborLists, Packed
from qgpipe.message_passing.edge_format import EdgeFormat


def in_edge_format(packed: Packed, edge_format: EdgeFormat, largest: int | None = None) -> Packed:
    """The same graphs with their edges as batches of ``edge_format`` are made from.

    ``largest`` is that of these graphs if it is not given. Pairs stay as they are if their order
    (for ``dense``, also their number) would be lost.
    """
    edges, sizes = packed.edges, packed.sizes
    if not isinstance(edges, EdgePairs | BitAdjacency):
        return packed
    if isinstance(edges, EdgePairs):
        fits = sorted_and_unique(edges) if edge_format == "dense" else sorted_by_source(edges)
        if not fits:
            return packed
    return replace(packed, edges=_converted(edges, sizes, edge_format, largest))


def sorted_in_edge_format(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, edge_format: EdgeFormat
) -> NeighborLists | BitRows:
    """The same edges, sorted; those with duplicates are listed also for ``dense``."""
    if isinstance(edges, EdgePairs):
        graph = np.repeat(np.arange(len(sizes)), np.diff(edges.edge_ptr))
        order = np.lexsort((edges.edge_index[1], edges.edge_index[0], graph))
        edges = EdgePairs(edges.edge_index[:, order], edges.edge_ptr)
        if edge_format == "dense" and not sorted_and_unique(edges):
            edge_format = "csr"
    return _converted(edges, sizes, edge_format, None)


def _converted(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, edge_format: EdgeFormat, largest: int | None
) -> NeighborLists | BitRows:
    largest = int(sizes.max(initial=0)) if largest is None else largest
    if edge_format == "dense":
        return as_bit_rows(edges, sizes, largest)
    return as_neighbor_lists(edges, sizes, largest, both_ends=edge_format == "csr")
