"""The edges of a batch as the loader yields them: compact, and expanded on the device.

They are named tuples, which PyG moves, pins and copies with the batch. ``ptr``: int64 ``[B + 1]``,
node offsets of the graphs.
"""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.message_passing.csr import CsrAdjacency
from qgpipe.message_passing.dense import Block, DenseAdjacency, Group
from qgpipe.message_passing.grouping import Grouping

STRIP = 256  # columns; larger matrices are cut into strips, smaller ones stay whole


class NeighborListBatch(NamedTuple):
    """Edges sorted by source, as lists of neighbours.

    ``lists``: ``[R, 2, width]`` of a small integer type: targets of the edges in their order,
    and sources of the same edges sorted by target, both as indices within their graph. Each graph
    has its own rows, the last one padded with zeros.
    ``degrees``: int32 ``[V, 4]``, out-degree, in-degree, number of self-loops, and zero.
    ``num_edges``: int64 ``[B]``, edges of each graph; ``total`` is their sum.
    """

    lists: Tensor
    degrees: Tensor
    ptr: Tensor
    num_edges: Tensor
    total: int

    def expand(self, dtype: torch.dtype, edge_index: Tensor | None = None) -> Adjacency:
        """The adjacency for layers; ``edge_index`` is computed from it if it is not given."""
        make = self.edge_index if edge_index is None else lambda: edge_index
        graph, _, used = self._rows()
        rows, _, width = self.lists.shape
        values = torch.ones(rows, width, device=self.ptr.device)
        counts = self.degrees[:, :2].clone()
        if rows:
            blocks = self._blocks()
            last = (blocks.cumsum(0) - 1).clamp(min=0)
            entries = torch.arange(width, device=self.ptr.device)
            values[last] = (entries < used[last].unsqueeze(1)).float()
            padding = (blocks * width - self.num_edges).int()
            final_node = (self.ptr[1:] - 1).clamp(min=0)
            counts.index_add_(0, final_node, padding.unsqueeze(1).expand(-1, 2))
        # Cast first, then add in place: adding different dtypes would copy one of them.
        ends = self.lists.transpose(0, 1).to(torch.int32, memory_format=torch.contiguous_format)
        targets, sources = ends.add_(self.ptr[graph].int().unsqueeze(1)).flatten(1)
        out_ptr, in_ptr = (_running_sum(counts[:, end]) for end in (0, 1))
        return CsrAdjacency(
            in_ptr, sources, out_ptr, targets, values.reshape(-1), self.degrees, make
        )

    def edge_index(self) -> Tensor:
        """The edges as int64 ``[2, E]``."""
        graph = _repeated(self.num_edges, self.total)
        _, first, _ = self._rows()
        before = self.num_edges.cumsum(0) - self.num_edges
        width = self.lists.shape[2]
        entry = torch.arange(self.total, device=self.ptr.device)
        entry = entry + (first * width - before)[graph]
        target = self.lists[:, 0].reshape(-1)[entry] + self.ptr[graph]
        return torch.stack([_repeated(self.degrees[:, 0].long(), self.total), target])

    def _blocks(self) -> Tensor:
        """Number of rows of each graph, ``[B]``."""
        width = self.lists.shape[2]
        return (self.num_edges + width - 1) // width

    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """The graph of each row ``[R]``, the first row of each graph ``[B]``, and how many
        entries there are from the start of each row on ``[R]``."""
        blocks = self._blocks()
        rows, _, width = self.lists.shape
        graph = _repeated(blocks, rows)
        first = blocks.cumsum(0) - blocks
        row = torch.arange(rows, device=self.ptr.device)
        return graph, first, self.num_edges[graph] - width * (row - first[graph])


class BitEdgeBatch(NamedTuple):
    """Edges without duplicates, sorted by source and target, as bits.

    ``bits``: uint8 ``[V, W]``, lowest bit first; bit ``j`` of row ``v`` says that an edge runs
    from ``v`` to node ``j`` of the same graph.
    ``sizes``: numbers of nodes of the graphs, int64 ``[B]``, in the host's memory.
    ``total`` is the number of edges.
    """

    bits: Tensor
    ptr: Tensor
    sizes: np.ndarray
    total: int

    def expand(self, dtype: torch.dtype, edge_index: Tensor | None = None) -> Adjacency:
        """The adjacency for layers, with blocks of ``dtype``."""
        make = self.edge_index if edge_index is None else lambda: edge_index
        groups = Grouping(self.sizes, self.ptr)
        bytes_of_slot = self.bits.index_select(0, groups.filler) * groups.taken.unsqueeze(1)
        made = []
        for start, graphs, size in groups.extents:
            rows = bytes_of_slot[start : start + graphs * size, : size // 8]
            made.append(Group(graphs, size, _blocks(rows.view(graphs, size, size // 8), dtype)))
        return DenseAdjacency(made, groups.slot, groups.filler, make)

    def edge_index(self) -> Tensor:
        """The edges as int64 ``[2, E]``."""
        table = _bytes_as_numbers(torch.bool, self.bits.device)
        ones = table.index_select(0, self.bits.reshape(-1).int()).view(len(self.bits), -1)
        edges = torch.nonzero_static(ones, size=self.total)
        source, target = edges.unbind(1)
        sizes = self.ptr.diff()
        start = torch.repeat_interleave(self.ptr[:-1], sizes, output_size=len(self.bits))
        return torch.stack([source, target + start[source]])


EdgeBatch = NeighborListBatch | BitEdgeBatch


def _blocks(bits: Tensor, dtype: torch.dtype) -> tuple[Block, ...]:
    """The parts of matrices of bits, uint8 ``[graphs, n, n / 8]``, that have ones, unpacked."""
    table = _bytes_as_numbers(dtype, bits.device)
    blocks = []
    for first, last, left, right in _occupied(bits):
        some = bits[:, first:last, left // 8 : right // 8].reshape(-1).int()
        values = table.index_select(0, some).view(len(bits), last - first, right - left)
        blocks.append(Block(values, first, left))
    return tuple(blocks)


def _occupied(bits: Tensor) -> list[tuple[int, int, int, int]]:
    """First and last row, and first and last column, of strips that have all ones of ``bits``.

    In a natural labelling, in which relations run from lower to higher indices, strips cover the
    upper triangle. On a GPU matrices stay whole: the host would have to wait for the answer.
    """
    size = bits.shape[1]
    if size <= STRIP or bits.device.type != "cpu":
        return [(0, size, 0, size)]
    edges = np.arange(0, size, STRIP)
    of_rows = np.bitwise_or.reduceat(np.bitwise_or.reduce(bits.numpy(), axis=0), edges, axis=0)
    tiles = np.bitwise_or.reduceat(of_rows, edges // 8, axis=1) != 0
    strips = []
    for left, column in zip(edges.tolist(), tiles.T, strict=True):
        filled = np.flatnonzero(column).tolist() or [0]
        first, last = filled[0] * STRIP, min((filled[-1] + 1) * STRIP, size)
        strips.append((first, last, left, min(left + STRIP, size)))
    return strips


def _repeated(counts: Tensor, total: int) -> Tensor:
    """The index i repeated ``counts[i]`` times, for all i; ``total``: sum of the counts."""
    return torch.repeat_interleave(counts, output_size=total)


def _running_sum(counts: Tensor) -> Tensor:
    result = torch.zeros(len(counts) + 1, dtype=torch.int32, device=counts.device)
    torch.cumsum(counts, 0, dtype=torch.int32, out=result[1:])
    return result


@functools.cache
def _bytes_as_numbers(dtype: torch.dtype, device: torch.device) -> Tensor:
    """A table ``[256, 8]``: the bits of every byte, as zeros and ones."""
    byte = torch.arange(256, device=device).unsqueeze(1)
    return (byte >> torch.arange(8, device=device) & 1).to(dtype)
