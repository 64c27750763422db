"""Reading a range of samples from stacked arrays, in blocks that follow the chunks.

The adjacency is cut into blocks of whole chunks along the sample axis, so that each of its
chunks is decoded once, and a block into bands of whole chunks of sources, so that what is
decoded at once stays small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import tensorstore

from qgpipe.data.adjacency import bit_offsets, count_bits
from qgpipe.data.arrays import ahead, decoding_context, open_array, read_arrays, reading
from qgpipe.data.columns import Columns
from qgpipe.data.dense import (
    adjacency_rows,
    block_side,
    contradictions,
    mark_relations,
    write_bits,
)
from qgpipe.data.packed import BitAdjacency
from qgpipe.data.samples import Samples
from qgpipe.data.stores import StoreInfo
from qgpipe.data.validation import check_relations, check_sizes, refuse_values

BLOCK_BYTES = 16 << 20  # of a block of relations: stays near the processor's caches
MEMORY = 1 << 30  # for blocks in work; fewer threads if a store's chunks are larger


def read_stacked(
    store: StoreInfo, columns: Columns, start: int, stop: int, threads: int, validate: bool
) -> Samples:
    """The samples ``start:stop`` of a stacked store.

    ``threads``: how many decode, and how many pack. ``validate``: check values of the
    relations. The result does not depend on ``threads``.

    Raises ``DataError`` for sizes that do not fit, relations that are none, and files that
    cannot be read.
    """
    context = decoding_context(threads)
    arrays = read_arrays(store, columns.arrays, context, slice(start, stop))
    samples = np.arange(start, stop, dtype=np.int64)
    largest = columns.adjacency.shape[1]
    if columns.size is None:
        sizes = np.full(len(samples), largest, np.int64)
    else:
        sizes = arrays[columns.size.name].reshape(-1).astype(np.int64)
    check_sizes(store, columns, sizes, samples)
    edges = _read_relations(store, columns, sizes, start, threads, context, validate)
    inside = np.arange(largest) < sizes[:, None]
    node = {array.name: arrays[array.name][inside] for array in columns.node}
    graph = {array.name: arrays[array.name] for array in (*columns.graph, *columns.target)}
    return Samples(samples, sizes, edges, node, graph)


def _read_relations(
    store: StoreInfo,
    columns: Columns,
    sizes: np.ndarray,
    start: int,
    threads: int,
    context: tensorstore.Context,
    validate: bool,
) -> BitAdjacency:
    info = columns.adjacency
    with reading(store.path, info.name):
        array = open_array(str(info.path.absolute()), info.zarr_format, context).result()
    side = block_side(int(sizes.max(initial=0)))
    ptr = bit_offsets(sizes)
    bits = np.empty(int(ptr[-1]), np.uint8)
    depth = max(1, BLOCK_BYTES // side**2 // info.chunks[0]) * info.chunks[0]
    samples = min(depth, len(sizes))
    workers = max(1, min(threads, MEMORY // max(1, samples * side**2)))
    workspaces: SimpleQueue[_Workspace] = SimpleQueue()
    for _ in range(workers):
        workspaces.put(_Workspace(samples, side, info.chunks[2], array.dtype))

    def pack(first: int, last: int) -> None:
        local = slice(first - start, last - start)
        workspace = workspaces.get()
        try:
            block = _fill(
                store, columns, array, workspace, range(first, last), sizes[local], validate
            )
            rows = adjacency_rows(block, sizes[local])
            if validate:
                check_relations(store, columns, contradictions(block, rows), first)
            write_bits(rows, sizes[local], bits[ptr[local.start] : ptr[local.stop]])
        finally:
            workspaces.put(workspace)

    blocks = list(_aligned(start, start + len(sizes), depth))
    pool = ThreadPoolExecutor(workers)
    try:
        for done in [pool.submit(pack, *block) for block in blocks]:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return BitAdjacency(bits, ptr, count_bits(bits, ptr))


class _Workspace:
    """What a thread needs for a block: kept, because fresh memory costs as much as decoding."""

    def __init__(self, samples: int, side: int, width: int, dtype: tensorstore.dtype):
        self.block = np.zeros((samples, side, side), np.uint8)
        width = min(width, side)
        self._bands = np.empty((2, samples * side * width), dtype.numpy_dtype)

    def band(self, number: int, shape: tuple[int, int, int]) -> np.ndarray:
        """Memory for a band's values: two bands at a time, one being read, one being packed."""
        return self._bands[number % 2, : math.prod(shape)].reshape(shape)


def _fill(
    store: StoreInfo,
    columns: Columns,
    array: tensorstore.TensorStore,
    workspace: _Workspace,
    samples: range,
    sizes: np.ndarray,
    validate: bool,
) -> np.ndarray:
    """The block with the relations of ``samples``, read band by band."""
    largest = int(sizes.max())
    block = workspace.block[: len(samples)]
    block[:, largest:] = 0
    block[:, :, largest:] = 0
    bands = list(_aligned(0, largest, columns.adjacency.chunks[2]))

    def reads() -> Iterator[tuple[int, np.ndarray, tensorstore.WriteFutures]]:
        for number, (first, last) in enumerate(bands):
            values = workspace.band(number, (len(samples), largest, last - first))
            part = array[samples.start : samples.stop, :largest, first:last]
            yield first, values, tensorstore.array(values, copy=False).write(part)

    for first, values, read in ahead(reads()):
        with reading(store.path, columns.adjacency.name, samples):
            read.result()
        clean = mark_relations(values, block[:, :largest, first : first + values.shape[2]])
        if validate and not clean:
            refuse_values(store, columns, values, sizes, samples.start, first)
    return block


def _aligned(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """``start:stop`` cut at the multiples of ``step``."""
    first = start
    while first < stop:
        last = min(stop, (first // step + 1) * step)
        yield first, last
        first = last
