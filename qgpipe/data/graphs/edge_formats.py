"""The formats in which edges are held in memory and put into batches.

Edges are converted once per data set, or once per batch if the graphs are mapped from disk.
``sizes``: numbers of nodes of the graphs, int64 [N]; ``largest``: number of nodes of the largest of
all graphs that these are joined with.
"""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from qgpipe.data.graphs.adjacency import (
    as_bit_rows,
    filled_entries,
    in_runs,
    sorted_and_unique,
    sorted_by_source,
)
from qgpipe.data.graphs.packed import (
    BLOCK,
    BitAdjacency,
    BitRows,
    EdgePairs,
    NeighborLists,
    Packed,
    edge_counts,
    offsets,
    ranges,
)
from qgpipe.data.graphs.select import join_offsets
from qgpipe.message_passing.edge_format import EdgeFormat


def in_edge_format(packed: Packed, edge_format: EdgeFormat, largest: int | None = None) -> Packed:
    """The same graphs with edges converted for batches of ``edge_format``.

    ``largest`` is by default that of these graphs. Pairs are not converted if their order (for
    ``dense``, also their multiplicity) would be lost.
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
    """The same edges, sorted; edges with duplicates become lists even for ``dense``."""
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


def as_neighbor_lists(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, largest: int, both_ends: bool = True
) -> NeighborLists:
    """The same edges as lists of targets and, if ``both_ends``, also of sources.

    They must be sorted by source. ``sizes``, ``largest``: see the module.
    """
    runs = [_listed(some, few, largest, both_ends) for some, few in in_runs(edges, sizes)]
    return NeighborLists(
        np.concatenate([run.lists for run in runs]),
        join_offsets(run.ptr for run in runs),
        np.concatenate([run.num_edges for run in runs]),
        np.concatenate([run.degrees for run in runs]),
    )


def _listed(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, largest: int, both_ends: bool
) -> NeighborLists:
    counts, num_nodes = edge_counts(edges), int(sizes.sum())
    out_degree, target = _targets(edges, sizes, list_dtype(largest))
    first = np.repeat(offsets(sizes)[:-1].astype(np.int32), counts)
    ends, node = [target], first + target
    if both_ends:
        unused = np.empty(len(target), np.int8)
        matrix = csr_array((unused, node, offsets(out_degree)), shape=(num_nodes, num_nodes))
        ends.append((matrix.tocsc().indices - first).astype(target.dtype))
    ptr = offsets(-(-counts // BLOCK))
    lists = np.zeros((int(ptr[-1]), len(ends), BLOCK), target.dtype)
    filled = filled_entries(counts, ptr)
    for k, end in enumerate(ends):
        lists[:, k][filled] = end
    degrees = np.zeros((num_nodes, 4), np.int32)
    degrees[:, 0] = out_degree
    degrees[:, 1] = np.bincount(node, minlength=num_nodes)
    degrees[:, 2] = _loops(out_degree, target, sizes)
    return NeighborLists(lists, ptr, counts, degrees)


def _targets(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Out-degree of each node, [V], and the local targets of all edges, [E] of ``dtype``."""
    if isinstance(edges, EdgePairs):
        source, target = edges.edge_index
        node = source + np.repeat(offsets(sizes)[:-1], edge_counts(edges))
        return np.bincount(node, minlength=int(sizes.sum())), target.astype(dtype)
    # The row length is a power of two: the lowest bits of an index are its column.
    width = 1 << max(6, int(sizes.max(initial=1) - 1).bit_length())
    bits = as_bit_rows(edges, sizes, width).bits
    out_degree = np.bitwise_count(bits.view(np.uint64)).sum(axis=1, dtype=np.int64)
    places = np.flatnonzero(np.unpackbits(bits.ravel(), bitorder="little").view(bool))
    return out_degree, (places & (width - 1)).astype(dtype)


def _loops(out_degree: np.ndarray, target: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Number of edges from each node to itself, int64 [V]."""
    local = ranges(np.zeros(len(sizes), np.int64), sizes).astype(target.dtype)
    loops = np.flatnonzero(np.repeat(local, out_degree) == target)
    source = np.searchsorted(offsets(out_degree), loops, side="right") - 1
    return np.bincount(source, minlength=len(out_degree))


def list_bytes(num_edges: int, num_nodes: int, num_graphs: int, largest: int) -> int:
    """Upper bound of the bytes of edges as lists of targets and sources."""
    return 2 * list_dtype(largest).itemsize * (num_edges + BLOCK * num_graphs) + 16 * num_nodes


def list_dtype(largest: int) -> np.dtype:
    """The smallest type that torch can index with for nodes of a graph of this size."""
    return np.dtype(np.uint8 if largest <= 1 << 8 else np.int16 if largest <= 1 << 15 else np.int32)
