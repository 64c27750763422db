"""Several blocks of graphs, addressed by one range of positions.

A block is a part file mapped from disk, or all parts joined in memory.
"""

import mmap
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from qgpipe.data.graphs.packed import EdgePairs, Packed, offsets, ranges
from qgpipe.data.graphs.row_axis import rebuild, row_ptr, table
from qgpipe.data.graphs.select import concatenate, follows, harmonised, join_offsets, select, take

RELEASE_AFTER = 1 << 28  # bytes
MAPPED_AT_LEAST = 1 << 16  # bytes for each graph: the system maps several pages at once


class Blocks:
    """``blocks`` one after the other; they have the same attributes, and none is empty."""

    def __init__(self, blocks: Sequence[Packed]):
        self.blocks = harmonised(blocks)
        self._first = offsets(np.array([block.num_graphs for block in blocks], np.int64))
        self._of_one_form = len({type(block.edges) for block in blocks}) == 1
        self._tables = [table(block) for block in self.blocks]
        self._follows = follows(self._tables[0]) if self._of_one_form else {"node"}
        self._ptrs = {
            follow: join_offsets(row_ptr(block, follow) for block in self.blocks)
            for follow in self._follows - {"graph"}
        }
        self._since_release = 0

    def __len__(self) -> int:
        """Number of graphs."""
        return int(self._first[-1])

    def gather(self, positions: np.ndarray) -> Packed:
        """The graphs at ``positions`` (int64 [M]), in that order, copied into memory."""
        if len(self.blocks) == 1:
            gathered = take(self.blocks[0], self._tables[0], self._ptrs, positions)
            self._release(gathered)
            return gathered
        block = np.searchsorted(self._first, positions, side="right") - 1
        order = np.argsort(block, kind="stable")
        gathered = self._gather(positions[order], block[order])
        self._release(gathered)
        if (order[1:] > order[:-1]).all():
            return gathered
        return select(gathered, np.argsort(order))

    def _gather(self, positions: np.ndarray, block: np.ndarray) -> Packed:
        """As ``gather``, for positions that are ordered by block.

        A shuffled batch takes a graph from each of many blocks, so there is little work for
        each block: one ``take`` for each of its arrays.
        """
        used, starts = np.unique(block, return_index=True)
        cuts = [*starts.tolist(), len(positions)]
        local = positions - self._first[block]
        if not self._of_one_form:
            groups = np.split(local, starts[1:])
            return concatenate(
                [select(self.blocks[k], group) for k, group in zip(used, groups, strict=True)]
            )
        rows, bounds, ptrs = {"graph": local}, {"graph": cuts}, {}
        for follow, ptr in self._ptrs.items():
            lengths = ptr[positions + 1] - ptr[positions]
            ptrs[follow] = offsets(lengths)
            rows[follow] = ranges(ptr[positions] - ptr[self._first[block]], lengths)
            bounds[follow] = ptrs[follow][cuts].tolist()
        values = {}
        for name, (_, follow) in self._tables[0].items():
            pieces = [
                self._tables[k][name].values.take(rows[follow][start:stop], axis=0)
                for k, (start, stop) in zip(used.tolist(), pairwise(bounds[follow]), strict=True)
            ]
            values[name] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return rebuild(self.blocks[0], values, ptrs)

    def without_edges(self) -> "Blocks":
        """The same graphs without edges and their attributes."""
        return Blocks([_without_edges(block) for block in self.blocks])

    def _release(self, gathered: Packed) -> None:
        """Release the mapped pages from the memory of this process, once in a while.

        They stay in the system's page cache. Otherwise the whole data set would count as memory of
        a process that has read it once.
        """
        size = sum(values.nbytes for values, _ in table(gathered).values())
        self._since_release += max(size, MAPPED_AT_LEAST * gathered.num_graphs)
        if self._since_release < RELEASE_AFTER:
            return
        self._since_release = 0
        for block in self.blocks:
            if block.mapping is not None:
                block.mapping.madvise(mmap.MADV_DONTNEED)


def _without_edges(packed: Packed) -> Packed:
    none = EdgePairs(np.zeros((2, 0), np.uint16), np.zeros(packed.num_graphs + 1, np.int64))
    attributes = {name: a for name, a in packed.attributes.items() if a.kind != "edge"}
    return replace(packed, edges=none, attributes=attributes, constants={})
