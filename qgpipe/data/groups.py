"""Reading a range of causal sets that have a group each, many small arrays at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorstore

from qgpipe.data.adjacency import bit_offsets, count_bits
from qgpipe.data.arrays import ahead, decoding_context, open_array, reading
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
from qgpipe.data.stores import ArrayInfo, StoreInfo
from qgpipe.data.validation import check_relations, refuse_values
from qgpipe.errors import DataError

AT_ONCE = 64  # causal sets whose arrays are opened and read together
BLOCK_BYTES = 16 << 20  # of a block of relations


def read_groups(
    store: StoreInfo, columns: Columns, start: int, stop: int, threads: int, validate: bool
) -> Samples:
    """The samples ``start:stop`` of a store with a group for each, in the order of their numbers.

    Arguments and errors as :func:`qgpipe.data.stacked.read_stacked`.
    """
    context = decoding_context(threads)
    values: dict[str, list[np.ndarray]] = {array.name: [] for array in columns.arrays}
    sizes, bits = [np.empty(0, np.int64)], [np.empty(0, np.uint8)]
    for batch, read in _read(store, columns, range(start, stop), context):
        matrices = read.pop(columns.adjacency.name)
        _check_square(store, columns, matrices, batch)
        for first, some in _blocks(matrices):
            packed = _pack(store, columns, some, batch[first], validate)
            sizes.append(packed[0])
            bits.append(packed[1])
        for name, arrays in read.items():
            values[name] += arrays
    every, ptr = np.concatenate(sizes), bit_offsets(np.concatenate(sizes))
    joined = np.concatenate(bits)
    return Samples(
        index=np.arange(start, stop, dtype=np.int64),
        sizes=every,
        edges=BitAdjacency(joined, ptr, count_bits(joined, ptr)),
        node={a.name: _join(store, a, values[a.name], every, start) for a in columns.node},
        graph={
            a.name: _join(store, a, values[a.name], None, start)
            for a in (*columns.graph, *columns.target)
        },
    )


def _read(
    store: StoreInfo, columns: Columns, samples: range, context: tensorstore.Context
) -> Iterator[tuple[range, dict[str, list[np.ndarray]]]]:
    """Batches of samples with their arrays by name; the next batches are opened meanwhile."""
    names = [array.name for array in (columns.adjacency, *columns.arrays)]
    batches = (samples[place : place + AT_ONCE] for place in range(0, len(samples), AT_ONCE))
    opened = (
        (batch, {name: _open(store, name, batch, context) for name in names}) for batch in batches
    )
    started = (
        (batch, {name: _start(store, name, batch, arrays[name]) for name in names})
        for batch, arrays in ahead(opened)
    )
    for batch, reads in ahead(started):
        result = {}
        for name in names:
            with reading(store.path, name, batch):
                result[name] = [read.result() for read in reads[name]]
        yield batch, result


def _open(
    store: StoreInfo, name: str, batch: range, context: tensorstore.Context
) -> list[tensorstore.Future]:
    root = store.path.absolute()
    return [
        open_array(f"{root}/cset_{store.groups[sample]}/{name}", store.zarr_format, context)
        for sample in batch
    ]


def _start(
    store: StoreInfo, name: str, batch: range, opened: list[tensorstore.Future]
) -> list[tensorstore.Future]:
    with reading(store.path, name, batch):
        return [array.result().read() for array in opened]


def _check_square(
    store: StoreInfo, columns: Columns, matrices: list[np.ndarray], batch: range
) -> None:
    for sample, matrix in zip(batch, matrices, strict=True):
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
            raise DataError(
                f"expected shape (n, n), got {matrix.shape}",
                store=str(store.path),
                sample=store.sample_name(sample),
                array=columns.adjacency.name,
                remedy="mend the store",
            )


def _blocks(matrices: list[np.ndarray]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Neighbours that fit together into a block, with the place of the first."""
    side = block_side(max(len(matrix) for matrix in matrices))
    step = max(1, BLOCK_BYTES // side**2)
    for first in range(0, len(matrices), step):
        yield first, matrices[first : first + step]


def _pack(
    store: StoreInfo,
    columns: Columns,
    matrices: list[np.ndarray],
    first_sample: int,
    validate: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and adjacency bits of relation matrices."""
    sizes = np.array([len(matrix) for matrix in matrices], np.int64)
    side = block_side(int(sizes.max()))
    block = np.zeros((len(sizes), side, side), np.uint8)
    for place, matrix in enumerate(matrices):
        clean = mark_relations(matrix, block[place, : len(matrix), : len(matrix)])
        if validate and not clean:
            refuse_values(
                store, columns, matrix[None], sizes[place : place + 1], first_sample + place
            )
    rows = adjacency_rows(block, sizes)
    if validate:
        check_relations(store, columns, contradictions(block, rows), first_sample)
    bits = np.empty(int(bit_offsets(sizes)[-1]), np.uint8)
    write_bits(rows, sizes, bits)
    return sizes, bits


def _join(
    store: StoreInfo,
    array: ArrayInfo,
    values: list[np.ndarray],
    sizes: np.ndarray | None,
    first_sample: int,
) -> np.ndarray:
    """Node arrays one behind the other (with ``sizes``), or one row a sample (without)."""
    columns = array.shape if sizes is None else array.shape[1:]
    for place, value in enumerate(values):
        expected = columns if sizes is None else (sizes[place], *columns)
        if value.shape != expected:
            raise DataError(
                f"expected shape {tuple(map(int, expected))}, got {value.shape}",
                store=str(store.path),
                sample=store.sample_name(first_sample + place),
                array=array.name,
                remedy="mend the store",
            )
    if not values:
        return np.empty((0, *columns), array.dtype)
    return np.stack(values) if sizes is None else np.concatenate(values)
