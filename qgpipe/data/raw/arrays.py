"""Raw arrays through TensorStore, which decodes chunks on its own threads."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorstore

from qgpipe.data.raw.bad_samples import REMEDY, BadSamples
from qgpipe.data.raw.chunk_files import chunk_format
from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.objects import (
    ObjectPath,
    kvstore_spec,
    patient,
    remote_context,
    server_error,
)
from qgpipe.data.raw.reading_errors import remedy_for, says_of_system
from qgpipe.data.raw.store_files import memory, read_file, require_plain
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import ReadingError, shown

NEEDED = "every causal set needs this array: write it, or leave it out of the reader's kwargs"
MOST_CHUNKS = 10**6  # of an array that may be read for a part
READS_IN_FLIGHT = 8  # concurrent reads, which hide the latency of network file systems


def decoding_context(store: StoreInfo, threads: int) -> tensorstore.Context:
    """A TensorStore context that decodes on ``threads`` threads.

    Of files nothing is cached; of objects at most ``objects.CACHE_BYTES``.
    """
    if isinstance(store.path, ObjectPath):
        patient()
        return tensorstore.Context(remote_context(threads))
    return tensorstore.Context(
        {
            "data_copy_concurrency": {"limit": threads},
            "file_io_concurrency": {"limit": max(READS_IN_FLIGHT, threads)},
            "cache_pool": {"total_bytes_limit": 0},
        }
    )


def open_array(path: Path, zarr_format: int, context: tensorstore.Context) -> tensorstore.Future:
    """Begin to open the array in the folder ``path``, for reading."""
    is_object = isinstance(path, ObjectPath)
    file = {"driver": "file", "path": f"{path.absolute()}/"}
    spec = {
        "driver": "zarr" if zarr_format == 2 else "zarr3",
        "kvstore": kvstore_spec(path) if is_object else file,
    }
    return tensorstore.open(spec, open=True, read=True, context=context)


def open_arrays(
    store: StoreInfo, arrays: Sequence[ArrayInfo], context: tensorstore.Context
) -> dict[str, tensorstore.TensorStore]:
    """``arrays`` of ``store`` by name, opened all at once.

    Raises ``DataError`` if one cannot be opened, or if memory cannot hold a chunk of it.
    """
    for array in arrays:
        require_memory(store, array, array.chunks)
    futures = [open_array(a.path, a.zarr_format, context) for a in arrays]
    opened = {}
    for array, future in zip(arrays, futures, strict=True):
        with reading(store, array.name):
            opened[array.name] = future.result()
    return opened


def read_columns(
    arrays: Sequence[ArrayInfo], bad: BadSamples, context: tensorstore.Context, samples: range
) -> dict[str, np.ndarray]:
    """The rows of ``samples`` of arrays by name, all read at once.

    Rows in a damaged chunk are reported to ``bad``, and are zero in the result. Raises
    ``DataError`` if an array cannot be opened.
    """
    window = slice(samples.start, samples.stop)
    for info in arrays:
        require_memory(bad.store, info, (len(samples), *info.shape[1:]))
        require_chunks(bad.store, info, samples)
    opened = open_arrays(bad.store, arrays, context)
    started = {name: array[window].read() for name, array in opened.items()}
    values = {}
    for info in arrays:
        try:
            values[info.name] = started[info.name].result()
        except ValueError as error:
            describe(bad.store, error)  # raises if the server is to blame
            values[info.name] = _undamaged_rows(opened[info.name], info, bad, samples)
    return values


def require_memory(store: StoreInfo, array: ArrayInfo, shape: Sequence[int]) -> None:
    """Raise ``DataError`` if values of ``array`` of this ``shape`` are more than memory holds."""
    needed, there = array.item_bytes * math.prod(shape), memory()
    if needed > there:
        raise store.error(
            f"{shown(tuple(shape))} values take {needed / 1e9:,.0f} GB, more than the memory "
            f"({there / 1e9:,.0f} GB)",
            array=array.name,
            remedy="lower data.chunksize, or write the store again in smaller chunks",
        )


def require_chunks(store: StoreInfo, array: ArrayInfo, samples: range, side: int = 0) -> None:
    """Raise ``DataError`` if one of the chunks to be read is not a regular file but, say, a FIFO.

    TensorStore would wait for it forever. The rows ``samples`` of ``array`` are read, and of each
    row the first ``side`` entries on all axes (0: all). Also raised if there are too many chunks.
    """
    lengths = [min(n, side or n) for n in array.shape[1:]]
    counts = [-(-n // c) for n, c in zip(lengths, array.grid[1:], strict=True)]
    rows = [range(samples.start // n, -(-samples.stop // n)) for n in array.grid[:1]]
    number = math.prod([*map(len, rows), *counts])
    if number > MOST_CHUNKS:
        raise store.error(
            f"{len(samples):,} samples are cut into {number:,} chunks of shape {array.grid}",
            array=array.name,
            remedy="write the array again in larger chunks, or lower data.chunksize",
        )
    if isinstance(store.path, ObjectPath):
        return
    with reading(store, array.name):
        for file in array.chunk_files([*rows, *map(range, counts)]):
            require_plain(file)


def _undamaged_rows(
    array: tensorstore.TensorStore, info: ArrayInfo, bad: BadSamples, samples: range
) -> np.ndarray:
    """The rows of ``samples``, read chunk by chunk; those that cannot be read are zero."""
    values = np.zeros((len(samples), *array.shape[1:]), array.dtype.numpy_dtype)
    for first, last in aligned(samples.start, samples.stop, info.chunks[0]):
        try:
            values[first - samples.start : last - samples.start] = array[first:last].read().result()
        except ValueError as error:
            problem, remedy = describe(bad.store, error)
            for index in range(first, last):
                bad.report(index, problem, info.name, remedy)
    return values


def count_samples(store: StoreInfo) -> int:
    """The number of samples: the value of the count array, else the length of the arrays.

    The arrays of a store may be longer than what has been written so far. Raises ``DataError`` if
    the count array has a larger number than the arrays have rows.
    """
    if store.count is None:
        return store.num_samples
    values = _read_first(store, store.count)
    is_number = values.size > 0 and values.dtype.kind in "iuf" and np.isfinite(values.flat[0])
    count = int(values.flat[0]) if is_number else -1
    if not 0 <= count <= store.num_samples:
        said = count if is_number else "no number of"
        raise store.error(
            f"says {said} samples, but there are {store.num_samples}",
            array=store.count.name,
            remedy="write the store again",
        )
    return count


def _read_first(store: StoreInfo, array: ArrayInfo) -> np.ndarray:
    """The first row of an array, or all if it has no rows.

    TensorStore is avoided where possible, because this process may be forked later.
    """
    require_memory(store, array, (1, *array.shape[1:]))
    with reading(store, array.name):
        form = chunk_format(read_file(array.metadata_file) or b"", array.zarr_format)
        if form is not None and form.shape:
            return form.read_rows(array.path, 0, min(1, form.shape[0]))
        require_chunks(store, array, range(1))
        opened = open_arrays(store, [array], decoding_context(store, 1))[array.name]
        return (opened[:1] if opened.rank else opened).read().result()


@contextmanager
def reading(store: StoreInfo, array: str) -> Iterator[None]:
    """Turn errors of TensorStore about a damaged file into ``DataError``."""
    try:
        yield
    except ValueError as error:
        problem, remedy = describe(store, error)
        raise store.error(problem, array=array, remedy=remedy) from error


def describe(store: StoreInfo, error: ValueError) -> tuple[str, str]:
    """Problem and remedy for an error of TensorStore about a file of ``store``.

    Raises ``ReadingError`` if the file is not to blame.
    """
    if (of_server := server_error(store.path, str(error))) is not None:
        raise of_server from error
    code = says_of_system(str(error))
    text = re.sub(r"\s*\[(tensorstore_spec|source locations)=.*", "", str(error), flags=re.S)
    text = re.sub(r"^[A-Z_]+: ", "", text.strip())
    if code is not None:
        raise ReadingError(f"cannot be read: {text}", remedy=remedy_for(code)) from error
    return f"cannot be read: {text}", _remedy(text)


def _remedy(text: str) -> str:
    if "does not exist" in text:
        return NEEDED
    if "Error opening" in text:
        return (
            "write the array again, compressed with blosc, zstd or gzip and without filters; "
            "a reader of your own can read whatever zarr can"
        )
    return f"the file is damaged: {REMEDY}"


def aligned(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """``start:stop`` cut at the multiples of ``step``."""
    first = start
    while first < stop:
        last = min(stop, (first // step + 1) * step)
        yield first, last
        first = last
