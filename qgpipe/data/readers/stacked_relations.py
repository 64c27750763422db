"""Reading the relations of stacked samples, in blocks that follow the chunks.

The adjacency is cut into blocks of whole chunks along the sample axis, so that each chunk is
decoded once. A block is cut into bands of whole chunks along the target axis, which limits the
memory for decoded values. While a block or band is packed, the next ones are decoded.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorstore

from qgpipe.data.graphs.adjacency import bit_offsets, count_bits
from qgpipe.data.graphs.packed import BitAdjacency
from qgpipe.data.graphs.relation_bits import adjacency_rows, block_side, mark_relations, write_bits
from qgpipe.data.raw.arrays import (
    aligned,
    describe,
    open_arrays,
    require_chunks,
    require_memory,
)
from qgpipe.data.raw.validation import Checks
from qgpipe.system.read_ahead import ahead

BLOCK_BYTES = 4 << 20  # of a block, and of a band: about the size of a core's cache
AHEAD = 2  # blocks or bands that are read while one is packed
MEMORY = 1 << 30  # bytes for blocks and bands; limits the threads for large chunks


def read_relations(
    checks: Checks, sizes: np.ndarray, start: int, threads: int, context: tensorstore.Context
) -> BitAdjacency:
    """The relations of the samples from ``start`` on; ``sizes``: int64 [N].

    ``threads``: number of threads that pack; fewer if they would need more than ``MEMORY``. Each
    holds three blocks, or a block and three bands (see ``_Target``). ``context``: for decoding.

    Samples whose relations are invalid or cannot be read are reported to ``checks.bad``. Raises
    ``DataError`` if the array cannot be opened.
    """
    info = checks.columns.adjacency
    largest = int(sizes.max(initial=0))
    require_chunks(checks.store, info, range(start, start + len(sizes)), largest)
    require_memory(checks.store, info, (1, largest, largest))
    array = open_arrays(checks.store, [info], context)[info.name]
    ptr = bit_offsets(sizes)
    bits = np.empty(int(ptr[-1]), np.uint8)
    target = _Target(checks, array, sizes, start, ptr, bits)
    workers = max(1, min(threads, MEMORY // target.worker_bytes, len(target.blocks)))
    queue = _Queue(target.blocks)
    with ThreadPoolExecutor(workers) as pool:
        done = [pool.submit(_Worker(target).work, queue) for _ in range(workers)]
        try:
            for future in done:
                future.result()
        finally:
            queue.close()
    queue.raise_first()
    return BitAdjacency(bits, ptr, count_bits(bits, ptr))


class _Target:
    """The input of the workers, its blocks, and the arrays for the results.

    ``depth``: samples in a block: at most ``BLOCK_BYTES`` of relations and as much of a band, in
    whole chunks, at least one. ``worker_bytes``: memory of a worker.
    """

    def __init__(
        self,
        checks: Checks,
        array: tensorstore.TensorStore,
        sizes: np.ndarray,
        start: int,
        ptr: np.ndarray,
        bits: np.ndarray,
    ):
        self.checks, self.array, self.sizes, self.start = checks, array, sizes, start
        self.ptr, self.bits = ptr, bits
        self.chunks = checks.columns.adjacency.chunks
        self.dtype = np.dtype(array.dtype.numpy_dtype)
        self.side = block_side(int(sizes.max(initial=0)))
        # Values of one byte are decoded directly into blocks, and checked there.
        self.direct = self.dtype.kind in "biu" and self.dtype.itemsize == 1
        of_sample = self.side**2
        of_band = 0 if self.direct else self.side * min(self.chunks[1], self.side)
        of_band *= self.dtype.itemsize
        depth = BLOCK_BYTES // max(of_sample, of_band) // self.chunks[0] * self.chunks[0]
        self.depth = max(depth, self.chunks[0])
        self.blocks = list(aligned(start, start + len(sizes), self.depth))
        held = min(self.depth, len(sizes))
        self.worker_bytes = 1 + held * (
            (1 + AHEAD) * of_sample if self.direct else of_sample + (1 + AHEAD) * of_band
        )

    def sizes_of(self, block: tuple[int, int]) -> np.ndarray:
        """Sizes of the samples of a block."""
        return self.sizes[block[0] - self.start : block[1] - self.start]

    def bits_of(self, block: tuple[int, int]) -> np.ndarray:
        """The part of ``bits`` for a block."""
        first, last = self.ptr[block[0] - self.start], self.ptr[block[1] - self.start]
        return self.bits[first:last]


class _Queue:
    """Hands out blocks in order, and none after a failure.

    All blocks before one that fails have been handed out and are finished. So the failure of the
    first block is raised, whatever the number of workers.
    """

    def __init__(self, blocks: list[tuple[int, int]]):
        self._blocks = iter(blocks)
        self._lock = threading.Lock()
        self._closed = False
        self._failures: list[tuple[int, Exception]] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while True:
            with self._lock:
                block = None if self._closed else next(self._blocks, None)
            if block is None:
                return
            yield block

    def close(self) -> None:
        """Hand out no more blocks."""
        self._closed = True

    def fail(self, block: tuple[int, int], error: Exception) -> None:
        """Note that ``block`` failed."""
        self._failures.append((block[0], error))
        self.close()

    def raise_first(self) -> None:
        """Raise the error of the first block that failed."""
        if self._failures:
            raise min(self._failures, key=lambda failure: failure[0])[1]


@dataclass(frozen=True)
class _Band:
    """Targets ``first`` and following of the matrices of a block, while they are read.

    ``values``: [samples, targets, sources].
    """

    samples: tuple[int, int]
    first: int
    is_last: bool
    block: np.ndarray
    values: np.ndarray
    read: tensorstore.WriteFutures


class _Worker:
    """Packs blocks. Its arrays are reused: allocating memory takes as long as decoding."""

    def __init__(self, target: _Target):
        self._target = target
        held, side = min(target.depth, len(target.sizes)), target.side
        self._blocks = np.zeros((1 + AHEAD if target.direct else 1, held, side, side), np.uint8)
        width = side if target.direct else min(target.chunks[1], side)
        self._bands = np.empty(
            (0 if target.direct else 1 + AHEAD, held * side * width), target.dtype
        )

    def work(self, queue: _Queue) -> None:
        """Pack blocks of ``queue`` until there are none left."""
        damaged = False
        for band in ahead(self._bands_of(queue), AHEAD):
            try:
                try:
                    band.read.result()
                except ValueError:
                    damaged = True
                if not damaged:
                    self._mark(band)
                if band.is_last:
                    if damaged:
                        self._salvage(band)
                        damaged = False
                    self._pack(band)
            except Exception as error:
                queue.fail(band.samples, error)
                return

    def _bands_of(self, queue: _Queue) -> Iterator[_Band]:
        """The bands of all blocks; reading has begun when a band is yielded."""
        target, count = self._target, 0
        for number, samples in enumerate(queue):
            first, last = samples
            largest = int(target.sizes_of(samples).max())
            block = self._blocks[number % len(self._blocks), : last - first]
            height = max(1, largest) if target.direct else target.chunks[1]
            for top, bottom in aligned(0, max(1, largest), height):
                shape = (last - first, min(bottom, largest) - top, largest)
                if target.direct:
                    values = block[:, :largest, :largest].view(target.dtype)
                else:
                    values = self._bands[count % len(self._bands), : np.prod(shape)].reshape(shape)
                part = target.array[first:last, top : top + shape[1], :largest]
                read = tensorstore.array(values, copy=False).write(part)
                yield _Band(samples, top, bottom >= largest, block, values, read)
                count += 1

    def _mark(self, band: _Band) -> None:
        """Write a band's values into its block, as zeros and ones."""
        height, width = band.values.shape[1:]
        inside = band.block[:, band.first : band.first + height, :width]
        values = band.values
        if self._target.direct:
            if inside.max(initial=0) <= 1:
                return
            values = values.copy()
        sizes = self._target.sizes_of(band.samples)
        self._mark_checked(values, inside, sizes, band.samples[0], band.first)

    def _salvage(self, band: _Band) -> None:
        """Read the block of a band again chunk by chunk, without the damaged chunks.

        Samples that need the same chunks are read, and reported, together.
        """
        target, checks = self._target, self._target.checks
        band.block[:] = 0
        for first, last in aligned(*band.samples, target.chunks[0]):
            sizes = target.sizes_of((first, last))
            chunks = -(-sizes // min(target.chunks[1:]))
            for count in np.unique(chunks):
                together = np.flatnonzero(chunks == count).tolist()
                largest = int(sizes[together].max())
                try:
                    values = target.array[first:last, :largest, :largest].read().result()
                except ValueError as error:
                    problem, remedy = describe(checks.store, error)
                    for place in together:
                        name = checks.columns.adjacency.name
                        checks.bad.report(first + place, problem, name, remedy)
                    continue
                for place in together:
                    inside = band.block[first - band.samples[0] + place, :largest, :largest]
                    one = slice(place, place + 1)
                    self._mark_checked(values[one], inside[None], sizes[one], first + place, 0)

    def _mark_checked(
        self,
        values: np.ndarray,
        out: np.ndarray,
        sizes: np.ndarray,
        first_sample: int,
        first_target: int,
    ) -> None:
        checks = self._target.checks
        if not mark_relations(values, out) and checks.values:
            checks.entries(values, sizes, first_sample, first_target)

    def _pack(self, band: _Band) -> None:
        target, sizes = self._target, self._target.sizes_of(band.samples)
        rows = adjacency_rows(band.block, sizes)
        target.checks.relations(band.block, rows, band.samples[0])
        write_bits(rows, sizes, target.bits_of(band.samples))
