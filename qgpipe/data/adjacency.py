"""Adjacency as bits or as index pairs, and the way from one to the other.

All functions work on many graphs at once: bits of graph ``i`` are ``n_i`` rows of
``ceil(n_i / 8)`` bytes (see :class:`qgpipe.data.packed.BitAdjacency`).
"""

from __future__ import annotations

import numpy as np

from qgpipe.data.packed import WORD, BitAdjacency, EdgePairs, offsets, ranges


def pack_dense(
    block: np.ndarray, sizes: np.ndarray, transposed: bool = False
) -> BitAdjacency | EdgePairs:
    """Pack a block of dense adjacency matrices, in the smaller of the two forms.

    ``block``: any dtype [B, nmax, nmax]; an entry is a relation if it is not zero.
    ``sizes``: integers [B], at most nmax; what lies beyond row and column ``n`` is ignored.
    ``transposed``: the block holds ``[target, source]`` instead of ``[source, target]``.
    """
    return smaller_form(dense_to_bits(block, sizes, transposed), sizes)


def dense_to_bits(block: np.ndarray, sizes: np.ndarray, transposed: bool = False) -> BitAdjacency:
    """Pack a block of dense adjacency matrices as bits; arguments as :func:`pack_dense`."""
    sizes = np.asarray(sizes, np.int64)
    largest = int(sizes.max(initial=0))
    relations = block[:, :largest, :largest]
    relations = relations.view(np.uint8) if relations.dtype.itemsize == 1 else relations != 0
    if transposed:
        packed = np.packbits(relations, axis=1, bitorder="little").swapaxes(1, 2)
    else:
        packed = np.packbits(relations, axis=2, bitorder="little")
    inside = np.arange(largest) < sizes[:, None]
    packed &= np.packbits(inside, axis=1, bitorder="little")[:, None, :]

    widths = row_bytes(sizes)
    used = inside[:, :, None] & (np.arange(packed.shape[2]) < widths[:, None])[:, None, :]
    ptr = bit_offsets(sizes)
    bits = np.zeros(int(ptr[-1]), np.uint8)
    bits[ranges(ptr[:-1], sizes * widths)] = packed[used]
    return BitAdjacency(bits, ptr, count_bits(bits, ptr))


def smaller_form(adjacency: BitAdjacency, sizes: np.ndarray) -> BitAdjacency | EdgePairs:
    """The same edges as pairs if these take fewer bytes, else as bits."""
    dtype = index_dtype(sizes)
    pair_bytes = 2 * np.dtype(dtype).itemsize * int(adjacency.num_edges.sum())
    if len(adjacency.bits) <= pair_bytes:
        return adjacency
    return EdgePairs(bits_to_pairs(adjacency, sizes), offsets(adjacency.num_edges))


def bits_to_pairs(adjacency: BitAdjacency, sizes: np.ndarray) -> np.ndarray:
    """Local (source, target) indices of all edges, sorted graph by graph, [2, E]."""
    edge_index = expand_bits(adjacency.bits, adjacency.ptr, sizes)
    edge_index -= np.repeat(offsets(sizes)[:-1], adjacency.num_edges)
    return edge_index.astype(index_dtype(sizes))


def expand_bits(bits: np.ndarray, ptr: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Edges of the disjoint union of the graphs, sorted by (source, target).

    ``bits``, ``ptr``: as in ``BitAdjacency``; ``sizes``: int64 [N].
    Returns int64 [2, E]; node ``k`` of graph ``i`` is ``sum(sizes[:i]) + k``.
    """
    sizes = np.asarray(sizes, np.int64)
    widths = row_bytes(sizes) * 8
    first_bit = np.repeat(ptr[:-1] * 8, sizes) + _local_index(sizes) * np.repeat(widths, sizes)
    first_node = np.repeat(offsets(sizes)[:-1], sizes)
    positions = np.flatnonzero(np.unpackbits(bits, bitorder="little").view(bool))
    counts = np.diff(np.searchsorted(positions, np.append(first_bit, 8 * len(bits))))
    edge_index = np.empty((2, len(positions)), np.int64)
    edge_index[0] = np.repeat(np.arange(len(first_bit)), counts)
    np.subtract(positions, np.repeat(first_bit - first_node, counts), out=edge_index[1])
    return edge_index


def pairs_to_bits(edge_index: np.ndarray, edge_ptr: np.ndarray, sizes: np.ndarray) -> BitAdjacency:
    """Pack local index pairs [2, E], sorted and without duplicates, as bits."""
    sizes = np.asarray(sizes, np.int64)
    counts = np.diff(edge_ptr)
    ptr = bit_offsets(sizes)
    start, width = np.repeat(ptr[:-1], counts), np.repeat(row_bytes(sizes), counts)
    source, target = edge_index.astype(np.int64)
    unpacked = np.zeros(int(ptr[-1]) * 8, bool)
    unpacked[(start + source * width) * 8 + target] = True
    return BitAdjacency(np.packbits(unpacked, bitorder="little"), ptr, counts)


def row_bytes(sizes: np.ndarray) -> np.ndarray:
    """Bytes of one row of the adjacency bits of graphs with ``sizes`` nodes."""
    return (sizes + 7) // 8


def bit_offsets(sizes: np.ndarray) -> np.ndarray:
    """Byte offsets of the adjacency bits of graphs with ``sizes`` nodes, int64 [N+1]."""
    lengths = sizes * row_bytes(sizes)
    return offsets(-(-lengths // WORD) * WORD)


def index_dtype(sizes: np.ndarray) -> type[np.uint16] | type[np.uint32]:
    """The smallest of uint16, uint32 that holds every local node index."""
    return np.uint16 if int(np.max(sizes, initial=0)) <= 1 << 16 else np.uint32


def count_bits(bits: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """Number of ones between ``ptr[i]`` and ``ptr[i+1]`` (byte offsets), int64 [N]."""
    running = offsets(np.bitwise_count(bits.view(np.uint64)))
    return np.diff(running[ptr // WORD])


def _local_index(sizes: np.ndarray) -> np.ndarray:
    """``0..n_i-1`` for each graph, one after the other."""
    return ranges(np.zeros(len(sizes), np.int64), sizes)
