"""Adjacency as bits, index pairs or neighbour lists, and conversions between them.

Every function works on many graphs at once. The forms are described in
:mod:`qgpipe.data.graphs.packed`; ``sizes`` are the numbers of nodes of the graphs, int64 [N].
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from qgpipe.data.graphs.packed import (
    BLOCK,
    WORD,
    BitAdjacency,
    BitRows,
    EdgePairs,
    Edges,
    NeighborLists,
    edge_counts,
    offsets,
    ranges,
)

LIMIT = 1 << 20  # pairs of nodes, or edges, in a run of several graphs: fit into a cache

StoredEdges = TypeVar("StoredEdges", bound=BitAdjacency | EdgePairs)


def in_runs(edges: StoredEdges, sizes: np.ndarray) -> Iterator[tuple[StoredEdges, np.ndarray]]:
    """The edges in runs of consecutive graphs, as views, with the graphs' ``sizes`` (int64 [N]).

    There is at least one run, even if there are no graphs.
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


def smaller_form(adjacency: BitAdjacency, sizes: np.ndarray) -> BitAdjacency | EdgePairs:
    """The same edges as pairs if these take fewer bytes, else as bits."""
    if len(adjacency.bits) <= pair_bytes(int(adjacency.num_edges.sum()), sizes):
        return adjacency
    return as_pairs(adjacency, sizes)


def as_pairs(edges: Edges, sizes: np.ndarray) -> EdgePairs:
    """The same edges, in the same order, as pairs of local indices."""
    if isinstance(edges, EdgePairs):
        return edges
    dtype = index_dtype(sizes)
    runs = in_runs(edges, sizes) if isinstance(edges, BitAdjacency) else [(edges, sizes)]
    local = [_local_pairs(some, of_some).astype(dtype) for some, of_some in runs]
    return EdgePairs(np.concatenate(local, axis=1), offsets(edges.num_edges))


def _local_pairs(edges: Edges, sizes: np.ndarray) -> np.ndarray:
    """Edges as local indices, int64 [2, E]."""
    return edge_index(edges, sizes) - np.repeat(offsets(sizes)[:-1], edge_counts(edges))


def pairs_to_bits(pairs: EdgePairs, sizes: np.ndarray) -> BitAdjacency:
    """The same edges as bits; they must be sorted and without duplicates (not checked)."""
    bits = [_bits(some, of_some) for some, of_some in in_runs(pairs, sizes)]
    return BitAdjacency(np.concatenate(bits), bit_offsets(sizes), np.diff(pairs.edge_ptr))


def _bits(pairs: EdgePairs, sizes: np.ndarray) -> np.ndarray:
    """``bits`` of :func:`pairs_to_bits`."""
    counts = np.diff(pairs.edge_ptr)
    ptr = bit_offsets(sizes)
    source, target = pairs.edge_index.astype(np.int64)
    row = np.repeat(ptr[:-1], counts) + source * np.repeat(row_bytes(sizes), counts)
    unpacked = np.zeros(int(ptr[-1]) * 8, bool)
    unpacked[row * 8 + target] = True
    return np.packbits(unpacked, bitorder="little")


def as_bit_rows(edges: BitAdjacency | EdgePairs, sizes: np.ndarray, largest: int) -> BitRows:
    """The same edges as rows of bits, long enough for a graph of ``largest`` nodes.

    They must be sorted and without duplicates.
    """
    bits = np.zeros((int(sizes.sum()), -(-largest // 8)), np.uint8)
    start = 0
    # Graph by graph if they are large, which takes less memory and time.
    runs = in_runs(edges, sizes) if largest**2 >= LIMIT else [(edges, sizes)]
    for some, of_some in runs:
        packed = pairs_to_bits(some, of_some) if isinstance(some, EdgePairs) else some
        rows = bits[start : start + int(of_some.sum())]
        _fill_rows(rows, packed, of_some)
        start += len(rows)
    return BitRows(bits, edge_counts(edges))


def _fill_rows(rows: np.ndarray, packed: BitAdjacency, sizes: np.ndarray) -> None:
    """Write the bits of graphs into ``rows``, uint8 [V, W], which are zero."""
    widths = row_bytes(sizes)
    filled = sizes * widths
    if len(sizes) == 1:
        rows[:, : widths[0]] = packed.bits[: filled[0]].reshape(len(rows), widths[0])
        return
    runs = np.stack([filled, np.diff(packed.ptr) - filled], axis=1).ravel()
    in_rows = np.repeat(np.arange(len(runs)) % 2 == 0, runs)
    rows[np.arange(rows.shape[1]) < np.repeat(widths, sizes)[:, None]] = packed.bits[in_rows]


def sorted_by_source(pairs: EdgePairs) -> bool:
    """Whether within each graph the sources never decrease."""
    falls = np.flatnonzero(np.diff(pairs.edge_index[0].astype(np.int64)) < 0) + 1
    return bool(np.isin(falls, pairs.edge_ptr).all())


def sorted_and_unique(pairs: EdgePairs) -> bool:
    """Whether within each graph the pairs increase strictly, by source, then target."""
    key = pairs.edge_index[0].astype(np.int64) << 32 | pairs.edge_index[1]
    return bool(np.isin(np.flatnonzero(np.diff(key) <= 0) + 1, pairs.edge_ptr).all())


def edge_index(edges: Edges, sizes: np.ndarray) -> np.ndarray:
    """Edges of the disjoint union of the graphs, int64 [2, E].

    Node ``k`` of graph ``i`` gets the index ``sum(sizes[:i]) + k``.
    """
    node_ptr = offsets(sizes)
    if isinstance(edges, EdgePairs):
        start = np.repeat(node_ptr[:-1], np.diff(edges.edge_ptr))
        return edges.edge_index + start
    if isinstance(edges, NeighborLists):
        out_degree = edges.degrees[:, 0]
        targets = edges.lists[:, 0][filled_entries(edges.num_edges, edges.ptr)]
        return _expand(out_degree, node_ptr[:-1], edges.num_edges, targets)
    if isinstance(edges, BitRows):
        source, target = np.nonzero(np.unpackbits(edges.bits, axis=1, bitorder="little"))
        return np.stack([source, target + np.repeat(node_ptr[:-1], edges.num_edges)])
    first_bytes = _first_bytes(edges.ptr, sizes)
    counts = np.add.reduceat(np.bitwise_count(edges.bits), first_bytes, dtype=np.int64)
    columns = np.repeat(node_ptr[:-1], sizes) - 8 * first_bytes
    set_bits = np.flatnonzero(np.unpackbits(edges.bits, bitorder="little").view(bool))
    return _expand(counts, columns, counts, set_bits)


def _expand(
    out_degree: np.ndarray, shifts: np.ndarray, repeats: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Both rows of an edge index in one allocation and two passes, for speed.

    ``out_degree``: how often each node is a source; ``shifts`` [K], each repeated ``repeats``
    times, are added to ``targets`` [E].
    """
    rows = np.concatenate([np.arange(len(out_degree)), shifts])
    result = np.repeat(rows, np.concatenate([out_degree, repeats])).reshape(2, len(targets))
    result[1] += targets
    return result


def filled_entries(num_edges: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """Whether each entry of the rows of ``NeighborLists`` is an edge, not padding, bool [R, 64].

    ``num_edges``: int64 [N] and ``ptr``: int64 [N+1], as in ``NeighborLists``.
    """
    used = np.repeat(num_edges + BLOCK * ptr[:-1], np.diff(ptr))
    used -= BLOCK * np.arange(len(used))
    filled = np.minimum(used, BLOCK).astype(np.uint8)
    return np.arange(BLOCK, dtype=np.uint8) < filled[:, None]


def _first_bytes(ptr: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Byte at which each node's row of bits starts, int64 [V]."""
    row = ranges(np.zeros(len(sizes), np.int64), sizes)
    return np.repeat(ptr[:-1], sizes) + row * np.repeat(row_bytes(sizes), sizes)


def row_bytes(sizes: np.ndarray) -> np.ndarray:
    """Bytes of one row of the adjacency bits of graphs with ``sizes`` nodes."""
    return (sizes + 7) // 8


def bit_offsets(sizes: np.ndarray) -> np.ndarray:
    """Byte offsets of the adjacency bits of graphs with ``sizes`` nodes, int64 [N+1]."""
    words = -(-sizes * row_bytes(sizes) // WORD)
    return offsets(words * WORD)


def index_dtype(sizes: np.ndarray) -> np.dtype:
    """The smaller of uint16 and uint32 that holds every local node index."""
    return np.dtype(np.uint16 if np.max(sizes, initial=0) <= 1 << 16 else np.uint32)


def pair_bytes(num_edges: int, sizes: np.ndarray) -> int:
    """Bytes that the edges take as pairs."""
    return 2 * index_dtype(sizes).itemsize * num_edges


def count_bits(bits: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """Number of ones between ``ptr[i]`` and ``ptr[i+1]`` (byte offsets), int64 [N]."""
    running = offsets(np.bitwise_count(bits.view(np.uint64)))
    return np.diff(running[ptr // WORD])
