"""The forms in which edges are held in memory and put into batches.

They are made once a data set, or once a batch where the graphs are mapped from disk.
``sizes`` are the numbers of nodes of the graphs, int64 [N]; ``largest`` is that of the largest
graph of all with which these are to be joined.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from qgpipe.data.adjacency import (
    edge_counts,
    edge_index,
    pairs_to_bits,
    row_bytes,
    sorted_and_unique,
    sorted_by_source,
)
from qgpipe.data.gathering import join_offsets
from qgpipe.data.packed import (
    BLOCK,
    BitAdjacency,
    BitRows,
    EdgeLists,
    EdgePairs,
    Form,
    Packed,
    offsets,
    ranges,
)
from qgpipe.data.runs import in_runs


def in_form(packed: Packed, form: Form, largest: int | None = None) -> Packed:
    """The same graphs with their edges as batches of ``form`` are made from.

    ``largest`` is that of these graphs if it is not given. Pairs stay as they are if their order
    (for ``dense``, also their number) would be lost.
    """
    edges, sizes = packed.edges, packed.sizes
    if not isinstance(edges, EdgePairs | BitAdjacency):
        return packed
    if isinstance(edges, EdgePairs):
        fits = sorted_and_unique(edges) if form == "dense" else sorted_by_source(edges)
        if not fits:
            return packed
    return replace(packed, edges=_converted(edges, sizes, form, largest))


def sorted_in_form(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, form: Form
) -> EdgeLists | BitRows:
    """The same edges, sorted; those with duplicates are listed also for ``dense``."""
    if isinstance(edges, EdgePairs):
        graph = np.repeat(np.arange(len(sizes)), np.diff(edges.edge_ptr))
        order = np.lexsort((edges.edge_index[1], edges.edge_index[0], graph))
        edges = EdgePairs(edges.edge_index[:, order], edges.edge_ptr)
        if form == "dense" and not sorted_and_unique(edges):
            form = "csr"
    return _converted(edges, sizes, form, None)


def _converted(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, form: Form, largest: int | None
) -> EdgeLists | BitRows:
    largest = int(sizes.max(initial=0)) if largest is None else largest
    if form == "dense":
        return as_bit_rows(edges, sizes, largest)
    return as_lists(edges, sizes, largest, both_ends=form == "csr")


def as_lists(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, largest: int, both_ends: bool = True
) -> EdgeLists:
    """The same edges listed from their sources, and from their targets too if ``both_ends``.

    They must be sorted by source.
    """
    runs = [_listed(some, few, largest, both_ends) for some, few in in_runs(edges, sizes)]
    return EdgeLists(
        np.concatenate([run.lists for run in runs]),
        join_offsets(run.ptr for run in runs),
        np.concatenate([run.num_edges for run in runs]),
        np.concatenate([run.degrees for run in runs]),
    )


def _listed(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, largest: int, both_ends: bool
) -> EdgeLists:
    source, target = edge_index(edges, sizes)
    counts = edge_counts(edges)
    num_nodes = int(sizes.sum())
    out_degree = np.bincount(source, minlength=num_nodes)
    in_degree = np.bincount(target, minlength=num_nodes)
    loops = np.bincount(source[source == target], minlength=num_nodes)
    ends = [target := target.astype(np.int32)]  # half as much to move
    if both_ends:
        matrix = csr_array(
            (np.ones(len(target), np.int8), target, offsets(out_degree)),
            shape=(num_nodes, num_nodes),
        )
        ends.append(matrix.tocsc().indices)
    ptr = offsets(-(-counts // BLOCK))
    lists = np.empty((int(ptr[-1]), len(ends), BLOCK), list_dtype(largest))
    place = ranges(ptr[:-1] * BLOCK, counts)
    start = np.repeat(offsets(sizes)[:-1].astype(np.int32), counts)
    for k, end in enumerate(ends):
        padded = np.zeros(len(lists) * BLOCK, lists.dtype)
        padded[place] = (end - start).astype(lists.dtype)
        lists[:, k] = padded.reshape(-1, BLOCK)
    degrees = np.zeros((num_nodes, 4), np.int32)
    degrees[:, 0], degrees[:, 1], degrees[:, 2] = out_degree, in_degree, loops
    return EdgeLists(lists, ptr, counts, degrees)


def as_bit_rows(edges: BitAdjacency | EdgePairs, sizes: np.ndarray, largest: int) -> BitRows:
    """The same edges as rows of bits, as long as a graph of ``largest`` nodes needs them.

    They must be sorted and without duplicates.
    """
    packed = pairs_to_bits(edges, sizes) if isinstance(edges, EdgePairs) else edges
    widths = row_bytes(sizes)
    filled = sizes * widths
    runs = np.stack([filled, np.diff(packed.ptr) - filled], axis=1).ravel()
    in_rows = np.repeat(np.arange(len(runs)) % 2 == 0, runs)
    bits = np.zeros((int(sizes.sum()), -(-largest // 8)), np.uint8)
    bits[np.arange(bits.shape[1]) < np.repeat(widths, sizes)[:, None]] = packed.bits[in_rows]
    return BitRows(bits, packed.num_edges)


def list_bytes(num_edges: int, num_nodes: int, num_graphs: int, largest: int) -> int:
    """Upper bound of the bytes that edges take, listed from both ends."""
    return 2 * list_dtype(largest).itemsize * (num_edges + BLOCK * num_graphs) + 16 * num_nodes


def list_dtype(largest: int) -> np.dtype:
    """The smallest type for the node indices of so large a graph with which torch can count."""
    return np.dtype(np.uint8 if largest <= 1 << 8 else np.int16 if largest <= 1 << 15 else np.int32)
