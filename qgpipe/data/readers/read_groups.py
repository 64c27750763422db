"""Reading a range of causal sets that have a group each, many small arrays at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from qgpipe.data.graphs.adjacency import bit_offsets, count_bits
from qgpipe.data.graphs.packed import BitAdjacency, offsets
from qgpipe.data.graphs.relation_bits import adjacency_rows, block_side, mark_relations, write_bits
from qgpipe.data.raw.bad_samples import REMEDY
from qgpipe.data.raw.columns import Columns, is_integer
from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.samples import Samples
from qgpipe.data.raw.validation import Checks
from qgpipe.data.readers.edge_lists import group_edges, pack_edges
from qgpipe.data.readers.group_files import Group, GroupFiles
from qgpipe.system.read_ahead import map_ahead

BLOCK_BYTES = 4 << 20  # of a block of relations, about the size of a core's cache


def read_groups(
    checks: Checks, group_name: Callable[[int], str], start: int, stop: int, threads: int
) -> Samples:
    """The samples ``start:stop`` of a store with a group for each, in their order.

    ``group_name``: the group of a sample, by its index.
    ``threads``: number of threads that decode and pack batches; the result does not depend on it.
    The files of two batches are read ahead.

    Samples with an array that is missing, damaged or of a wrong shape, and those with invalid
    relations, are reported to ``checks.bad``; the values returned for them are undefined.
    """
    columns = checks.columns
    names = [array.name for array in dict.fromkeys((*columns.relations, *columns.arrays))]
    files = GroupFiles(checks.bad, names, group_name)
    results = list(_in_order(checks, files, range(start, stop), threads))
    sizes = np.concatenate([np.empty(0, np.int64), *(sizes for sizes, _, _ in results)])
    bits = np.concatenate([np.empty(0, np.uint8), *(bits for _, bits, _ in results)])
    ptr = bit_offsets(sizes)
    return Samples(
        index=np.arange(start, stop, dtype=np.int64),
        sizes=sizes,
        edges=BitAdjacency(bits, ptr, count_bits(bits, ptr)),
        node={array.name: _join(array, results, _row(columns, array)) for array in columns.node},
        graph={array.name: _join(array, results, array.shape) for array in columns.of_graphs},
    )


def _row(columns: Columns, array: ArrayInfo) -> tuple[int, ...]:
    """The shape of an element's row in a node feature."""
    return array.shape[:1] if array.name in columns.transposed else array.shape[1:]


Packed = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]


def _in_order(checks: Checks, files: GroupFiles, samples: range, threads: int) -> Iterator[Packed]:
    """Sizes, adjacency bits and arrays by name of each batch, packed on several threads."""
    pool = ThreadPoolExecutor(threads)
    try:
        pack = partial(_pack_batch, checks, files)
        yield from map_ahead(pool, pack, files.batches(samples), threads)
    finally:
        pool.shutdown(cancel_futures=True)


def _pack_batch(checks: Checks, files: GroupFiles, batch: tuple[range, list[Group]]) -> Packed:
    (samples, groups), columns = batch, checks.columns
    values = files.decode(samples, groups)
    if columns.edges is None:
        matrices = values.pop(columns.adjacency.name)
        expected = _sides(checks, samples, matrices)
    else:
        pairs, counts, sizes_of = group_edges(checks, samples, values)
        expected, edge_ptr = sizes_of.tolist(), offsets(counts)
    arrays: dict[str, np.ndarray] = {}
    for array in columns.arrays:
        is_node = array in columns.node
        is_transposed = array.name in columns.transposed
        rest = _row(columns, array)
        found = []
        for k, value in enumerate(values[array.name]):
            shape = (expected[k], *rest) if is_node else array.shape
            if is_transposed and value is not None and value.ndim == 2:
                value = value.T[: expected[k]]
            if value is not None and value.shape != shape and expected[k]:
                problem = f"expected shape {shape}, got {value.shape}"
                remedy = REMEDY
                if is_node and value.shape == shape[::-1]:
                    axis = "first" if is_transposed else "last"
                    remedy = f"set 'element_axis' of the reader's kwargs to {axis}"
                checks.bad.report(samples[k], problem, array.name, remedy)
            if value is not None and (misfit := _misfit(value, array)) is not None:
                checks.bad.report(samples[k], misfit, array.name)
                value = None
            if value is None or value.shape != shape:
                value = np.zeros(shape, array.dtype)
            found.append(value)
        arrays[array.name] = np.concatenate(found) if is_node else np.stack(found)
    sizes, bits = [], []
    side = block_side(max(expected))
    step = max(1, BLOCK_BYTES // side**2)
    for first in range(0, len(samples), step):
        some = np.array(expected[first : first + step], np.int64)
        sizes.append(some)
        if columns.edges is None:
            packed = _pack(checks, matrices[first : first + step], some, samples[first])
        else:
            of_some = counts[first : first + step]
            listed = pairs[:, edge_ptr[first] : edge_ptr[first + len(some)]]
            packed = pack_edges(checks, listed, of_some, some, samples[first])
        bits.append(packed)
    return np.concatenate(sizes), np.concatenate(bits), arrays


def _misfit(value: np.ndarray, array: ArrayInfo) -> str | None:
    """Why the type of ``value`` does not fit ``array`` of the first group; None if it does."""
    if value.dtype.kind not in "biuf":
        return f"expected numbers, got {value.dtype}"
    if is_integer(array) and value.dtype.kind == "f" and not (value == np.trunc(value)).all():
        return f"expected integers, as in the first causal set ({array.dtype}), got {value.dtype}"
    return None


def _sides(checks: Checks, samples: range, matrices: list[np.ndarray | None]) -> list[int]:
    """The numbers of elements; matrices that hold no numbers are replaced by None."""
    for k, matrix in enumerate(matrices):
        if matrix is not None and matrix.dtype.kind not in "biuf":
            problem = f"expected numbers, got {matrix.dtype}"
            checks.bad.report(samples[k], problem, checks.columns.adjacency.name)
            matrices[k] = None
    return [_side(checks, samples[k], matrix) for k, matrix in enumerate(matrices)]


def _side(checks: Checks, sample: int, matrix: np.ndarray | None) -> int:
    """The number of elements, 0 if there is no square matrix."""
    if matrix is None:
        return 0
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        problem = f"expected shape (n, n), got {matrix.shape}"
        checks.bad.report(sample, problem, checks.columns.adjacency.name)
        return 0
    return len(matrix)


def _pack(
    checks: Checks, matrices: Sequence[np.ndarray | None], sizes: np.ndarray, first_sample: int
) -> np.ndarray:
    """The adjacency bits of relation matrices; those of size 0 are left out."""
    side = block_side(int(sizes.max()))
    block = np.zeros((len(sizes), side, side), np.uint8)
    for place, (matrix, n) in enumerate(zip(matrices, sizes.tolist(), strict=True)):
        if not n or matrix is None:
            continue
        inside = block[place, :n, :n]
        if matrix.dtype.kind in "biu" and matrix.dtype.itemsize == 1:
            inside[:] = matrix.view(np.uint8)
            if inside.max() <= 1:
                continue
        if not mark_relations(matrix, inside) and checks.values:
            one = slice(place, place + 1)
            checks.entries(matrix[None], sizes[one], first_sample + place)
    rows = adjacency_rows(block, sizes)
    checks.relations(block, rows, first_sample)
    bits = np.empty(int(bit_offsets(sizes)[-1]), np.uint8)
    write_bits(rows, sizes, bits)
    return bits


def _join(array: ArrayInfo, results: Sequence[Packed], columns: tuple[int, ...]) -> np.ndarray:
    """The array's rows of all batches."""
    if not results:
        return np.empty((0, *columns), array.dtype)
    return np.concatenate([arrays[array.name] for _, _, arrays in results])
