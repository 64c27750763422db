"""Relations that are stored as lists of edges or sparse matrices, of many samples at once.

They are marked in the same blocks of matrices as dense relations, and checked and packed there.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorstore

from qgpipe.data.graphs.adjacency import bit_offsets, count_bits
from qgpipe.data.graphs.packed import BitAdjacency, offsets, ranges
from qgpipe.data.graphs.relation_bits import adjacency_rows, block_side, write_bits
from qgpipe.data.raw.arrays import (
    aligned,
    describe,
    open_arrays,
    reading,
    require_memory,
)
from qgpipe.data.raw.bad_samples import REMEDY
from qgpipe.data.raw.columns import EdgeArrays
from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.objects import ObjectPath
from qgpipe.data.raw.store_files import require_plain
from qgpipe.data.raw.validation import Checks

BLOCK_BYTES = 4 << 20  # of a block of relations, about the size of a core's cache
REMEDIES = (
    "set 'index_base' of the reader's kwargs to 1 if the first element is 1; else ",
    "leave out 'index_base' of the reader's kwargs if the first element is 0; else ",
)

Values = Mapping[str, Sequence[np.ndarray | None]]


def read_edges(
    checks: Checks, sizes: np.ndarray, start: int, threads: int, context: tensorstore.Context
) -> BitAdjacency:
    """The relations of the samples from ``start`` on, of which those of all samples are joined.

    Arguments, result and errors: as ``stacked_relations.read_relations``.
    """
    edges = _of(checks)
    begins, counts = _places(checks, edges, start, len(sizes), context)
    counts = np.where(sizes > 0, counts, 0)
    used = np.flatnonzero(counts)
    first = int(begins[used].min(initial=_length(edges)))
    last = int((begins + counts)[used].max(initial=first))
    ends = []
    for array in edges.arrays:
        values, damaged = _window(checks, array, first, last, context, edges.transposed)
        for problem, remedy, low, high in damaged:
            for place in np.flatnonzero((begins < high) & (begins + counts > low) & (counts > 0)):
                checks.bad.report(start + int(place), problem, array.name, remedy)
                counts[place] = 0
        ends.append(values)
    pairs = ends[0] if len(ends) == 1 else np.stack(ends)
    pairs = pairs[:, ranges(begins - first, counts)] if len(used) else pairs[:, :0]
    return _packed(checks, pairs, counts, sizes, start, threads)


def group_edges(
    checks: Checks, samples: range, values: Values
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges [2, E], their numbers [N], and the sizes [N] of samples that have their own arrays.

    ``values``: by name, of each sample; None for an array that cannot be read, as reported. Samples
    that are reported have a size of zero, and no edges.
    """
    edges = _of(checks)
    pairs, sizes = [], []
    for place, sample in enumerate(samples):
        arrays = [values[array.name][place] for array in edges.arrays]
        found = [array for array in arrays if array is not None]
        pair, size = None, 0
        if len(found) == len(arrays):
            problem, pair = (_sparse if edges.sparse else _listed)(edges, found, checks)
            if problem:
                checks.bad.report(sample, problem, edges.arrays[0].name)
            else:
                size = _size(checks, sample, place, values, found)
        sizes.append(size)
        pairs.append(pair if pair is not None and size else np.empty((2, 0), np.int64))
    checked = checks.sizes(np.array(sizes, np.int64), samples.start)
    pairs = [pair[:, :0] if not n else pair for pair, n in zip(pairs, checked, strict=True)]
    counts = np.array([pair.shape[1] for pair in pairs], np.int64)
    return np.concatenate(pairs, axis=1), counts, checked


def pack_edges(
    checks: Checks, pairs: np.ndarray, counts: np.ndarray, sizes: np.ndarray, first_sample: int
) -> np.ndarray:
    """The adjacency bits of the samples from ``first_sample`` on, as ``write_bits`` writes them.

    ``pairs``: integers [2, E], earlier and later elements as in the store. ``counts``, ``sizes``:
    numbers of edges and elements, int64 [N]. Samples with an index that is no element are reported.
    """
    edges = _of(checks)
    place = np.repeat(np.arange(len(sizes)), counts)
    local = pairs.astype(np.int64) - edges.base
    is_element = ((local >= 0) & (local < sizes[place])).all(axis=0)
    if not is_element.all():
        wrong = np.flatnonzero(~is_element)
        bad, first = np.unique(place[wrong], return_index=True)
        for k, edge in zip(bad.tolist(), wrong[first].tolist(), strict=True):
            source, target = pairs[:, edge].tolist()
            checks.bad.report(
                first_sample + k,
                f"the edge from {source} to {target} is between no elements: the {sizes[k]} are "
                f"counted from {edges.base} to {sizes[k] - 1 + edges.base}",
                edges.arrays[-1 if len(edges.arrays) == 2 and not edges.sparse else 0].name,
                REMEDIES[edges.base] + REMEDY,
            )
        kept = ~np.isin(place, bad)
        place, local = place[kept], local[:, kept]
    side = block_side(int(sizes.max(initial=0)))
    block = np.zeros((len(sizes), side, side), np.uint8)
    block.reshape(-1)[(place * side + local[1]) * side + local[0]] = 1
    rows = adjacency_rows(block, sizes)
    checks.relations(block, rows, first_sample)
    bits = np.empty(int(bit_offsets(sizes)[-1]), np.uint8)
    write_bits(rows, sizes, bits)
    return bits


def _packed(
    checks: Checks,
    pairs: np.ndarray,
    counts: np.ndarray,
    sizes: np.ndarray,
    start: int,
    threads: int,
) -> BitAdjacency:
    """The relations of all samples, packed block by block on several threads."""
    step = max(1, BLOCK_BYTES // block_side(int(sizes.max(initial=0))) ** 2)
    edge_ptr, ptr = offsets(counts), bit_offsets(sizes)
    bits = np.empty(int(ptr[-1]), np.uint8)

    def pack(first: int) -> None:
        some = slice(first, first + step)
        last = min(first + step, len(sizes))
        of_block = pairs[:, edge_ptr[first] : edge_ptr[last]]
        bits[ptr[first] : ptr[last]] = pack_edges(
            checks, of_block, counts[some], sizes[some], start + first
        )

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(pack, range(0, len(sizes), step)):
            pass
    return BitAdjacency(bits, ptr, count_bits(bits, ptr))


def _of(checks: Checks) -> EdgeArrays:
    edges = checks.columns.edges
    if edges is None:
        raise TypeError("the relations are matrices")
    return edges


def _length(edges: EdgeArrays) -> int:
    """The number of edges that fit into the arrays of all samples."""
    return edges.arrays[0].shape[0 if edges.transposed else -1]


def _places(
    checks: Checks, edges: EdgeArrays, start: int, number: int, context: tensorstore.Context
) -> tuple[np.ndarray, np.ndarray]:
    """Where the edges of each sample begin, and how many there are, int64 [N]."""
    store, info = checks.store, edges.ptr
    if info is None:
        raise TypeError("each sample has its own edges")
    stop, are_offsets = start + number, info.shape[0] > store.num_samples
    read = stop + are_offsets
    require_memory(store, info, (read,))
    _require_plain(checks, info, 0, read, axis=0)
    opened = open_arrays(store, [info], context)[info.name]
    with reading(store, info.name):
        values = opened[:read].read().result().astype(np.int64)
    ptr = values if are_offsets else offsets(values)
    if edges.base and are_offsets and ptr[0] == 1:
        ptr = ptr - 1
    if not are_offsets and (values < 0).any():
        sample = int(np.argmax(values < 0))
        raise store.error(
            f"{values[sample]} is no number of edges",
            sample=sample,
            array=info.name,
            remedy="write the store again",
        )
    begins, ends = ptr[start:stop], ptr[start + 1 :]
    wrong = (begins < 0) | (ends < begins) | (ends > _length(edges))
    for place in np.flatnonzero(wrong):
        problem = f"its edges are those from {begins[place]} to {ends[place]}, of {_length(edges)}"
        checks.bad.report(start + int(place), problem, info.name)
    return np.where(wrong, 0, begins), np.where(wrong, 0, ends - begins)


Damaged = tuple[str, str, int, int]  # problem, remedy, the first edge and the one after the last


def _window(
    checks: Checks,
    info: ArrayInfo,
    first: int,
    last: int,
    context: tensorstore.Context,
    transposed: bool,
) -> tuple[np.ndarray, list[Damaged]]:
    """The edges ``first:last`` of an array, [2, E] or [E], and the ranges that are damaged."""
    store, axis = checks.store, 0 if transposed else len(info.shape) - 1
    shape = (*info.shape[:axis], last - first, *info.shape[axis + 1 :])
    require_memory(store, info, shape)
    _require_plain(checks, info, first, last, axis)
    opened = open_arrays(store, [info], context)[info.name]
    cut = opened[first:last] if axis == 0 else opened[:, first:last]
    damaged: list[Damaged] = []
    try:
        values = cut.read().result()
    except ValueError as error:
        describe(store, error)  # raises if the server is to blame
        values = np.zeros(shape, opened.dtype.numpy_dtype)
        edges_of = values.swapaxes(0, axis)
        for low, high in aligned(first, last, info.chunks[axis]):
            part = opened[low:high] if axis == 0 else opened[:, low:high]
            try:
                edges_of[low - first : high - first] = part.read().result().swapaxes(0, axis)
            except ValueError as found:
                damaged.append((*describe(store, found), low, high))
    return (values.T if transposed else values), damaged


def _require_plain(checks: Checks, info: ArrayInfo, first: int, last: int, axis: int) -> None:
    """As ``arrays.require_chunks``, for the chunks of ``first:last`` on one ``axis``."""
    if isinstance(checks.store.path, ObjectPath):
        return
    places = [range(-(-n // c)) for n, c in zip(info.shape, info.grid, strict=True)]
    places[axis] = range(first // info.grid[axis], -(-last // info.grid[axis]))
    with reading(checks.store, info.name):
        for file in info.chunk_files(places):
            require_plain(file)


Decoded = tuple[str | None, np.ndarray | None]  # what is wrong with the arrays, or the edges [2, E]


def _listed(edges: EdgeArrays, arrays: Sequence[np.ndarray], checks: Checks) -> Decoded:
    """The edges of one array [2, E], or of two [E]."""
    for array in arrays:
        if array.dtype.kind not in "iu":
            return f"indices of elements have to be integers, not {array.dtype}", None
    if len(arrays) == 2:
        shapes = [array.shape for array in arrays]
        if shapes[0] != shapes[1] or len(shapes[0]) != 1:
            return f"expected two arrays of one shape (E,), got {shapes[0]} and {shapes[1]}", None
        return None, np.stack(arrays)
    pairs = arrays[0].T if edges.transposed else arrays[0]
    if pairs.ndim != 2 or len(pairs) != 2:
        expected = "(E, 2), as in the first causal set" if edges.transposed else "(2, E)"
        return f"expected shape {expected}, got {arrays[0].shape}", None
    return None, pairs


def _sparse(edges: EdgeArrays, arrays: Sequence[np.ndarray], checks: Checks) -> Decoded:
    """The entries of a sparse matrix that are not zero."""
    indptr, indices = arrays[:2]
    for array in (indptr, indices):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            return f"expected integers of shape (E,), got {array.dtype} {array.shape}", None
    starts = indptr.astype(np.int64)
    starts -= starts[:1] if edges.base and starts[:1] == 1 else 0
    counts = np.diff(starts)
    if not len(counts) or starts[0] or (counts < 0).any() or starts[-1] != len(indices):
        return (
            f"it does not cut the {len(indices)} entries of '{edges.arrays[1].name}' into rows",
            None,
        )
    rows = np.repeat(np.arange(len(counts)), counts) + edges.base
    pairs = np.stack([indices, rows] if edges.transposed else [rows, indices])
    if len(arrays) == 3:
        data = arrays[2]
        if data.dtype.kind not in "biuf" or data.shape != indices.shape:
            return f"'{edges.arrays[2].name}' has no number for each entry", None
        if checks.values and not np.isin(data, (0, 1)).all():
            value = data[~np.isin(data, (0, 1))][0]
            return f"a relation is 0 or 1, but '{edges.arrays[2].name}' has {value:g}", None
        pairs = pairs[:, data != 0]
    return None, pairs


def _size(
    checks: Checks, sample: int, place: int, values: Values, arrays: Sequence[np.ndarray]
) -> int:
    """The number of elements of a sample with its own arrays; 0 if it is wrong, as reported."""
    columns, edges = checks.columns, _of(checks)
    rows = len(arrays[0]) - 1 if edges.sparse else None
    if columns.size is None:
        return rows if rows is not None else _rows_of_features(checks, place, values)
    size = values[columns.size.name][place]
    if size is None:
        return 0
    if size.size != 1 or size.dtype.kind not in "iu":
        problem = f"expected one integer, got {size.dtype} {size.shape}"
        checks.bad.report(sample, problem, columns.size.name)
        return 0
    number = int(size.flat[0])
    if rows is not None and rows != number:
        problem = f"it has {rows} rows, but '{columns.size.name}' is {number}"
        checks.bad.report(sample, problem, edges.arrays[0].name)
        return 0
    return number


def _rows_of_features(checks: Checks, place: int, values: Values) -> int:
    """The number of rows of the node feature with the fewest axes."""
    columns = checks.columns
    array = min(columns.node, key=lambda array: len(array.shape))
    value = values[array.name][place]
    if value is None or not value.ndim:
        return 0
    return value.shape[-1 if array.name in columns.transposed else 0]
