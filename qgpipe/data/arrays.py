"""Raw arrays through TensorStore, which decodes chunks on its own threads."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import tensorstore

from qgpipe.data.bad_samples import MEND, BadSamples
from qgpipe.data.chunk_files import chunk_format
from qgpipe.data.reading_errors import remedy_for, says_of_system
from qgpipe.data.stores import ArrayInfo, StoreInfo
from qgpipe.errors import DataError, ReadingError

T = TypeVar("T")

NEEDED = "every causal set needs this array: write it, or leave it out of the reader's kwargs"
READS_IN_FLIGHT = 8  # files read at once: hides the latency of a network file system


def decoding_context(threads: int) -> tensorstore.Context:
    """A TensorStore context that decodes on ``threads`` threads and caches nothing."""
    return tensorstore.Context(
        {
            "data_copy_concurrency": {"limit": threads},
            "file_io_concurrency": {"limit": max(READS_IN_FLIGHT, threads)},
            "cache_pool": {"total_bytes_limit": 0},
        }
    )


def open_array(path: str, zarr_format: int, context: tensorstore.Context) -> tensorstore.Future:
    """Begin to open the array in the folder ``path`` (absolute), for reading."""
    spec = {
        "driver": "zarr" if zarr_format == 2 else "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
    }
    return tensorstore.open(spec, open=True, read=True, context=context)


def open_arrays(
    store: StoreInfo, arrays: Sequence[ArrayInfo], context: tensorstore.Context
) -> dict[str, tensorstore.TensorStore]:
    """``arrays`` of ``store`` by name, opened all at once.

    Raises ``DataError`` if one cannot be opened.
    """
    futures = [open_array(str(a.path.absolute()), a.zarr_format, context) for a in arrays]
    opened = {}
    for array, future in zip(arrays, futures, strict=True):
        with reading(store, array.name):
            opened[array.name] = future.result()
    return opened


def read_columns(
    arrays: Sequence[ArrayInfo], bad: BadSamples, context: tensorstore.Context, samples: range
) -> dict[str, np.ndarray]:
    """The rows of ``samples`` of stacked arrays by name, all read at once.

    Rows that lie in a damaged chunk are reported to ``bad``; they are zero.
    Raises ``DataError`` if an array cannot be opened.
    """
    window = slice(samples.start, samples.stop)
    opened = open_arrays(bad.store, arrays, context)
    started = {name: array[window].read() for name, array in opened.items()}
    values = {}
    for info in arrays:
        try:
            values[info.name] = started[info.name].result()
        except ValueError:
            values[info.name] = _undamaged_rows(opened[info.name], info, bad, samples)
    return values


def _undamaged_rows(
    array: tensorstore.TensorStore, info: ArrayInfo, bad: BadSamples, samples: range
) -> np.ndarray:
    """What can be read of the rows of ``samples``, chunk by chunk."""
    values = np.zeros((len(samples), *array.shape[1:]), array.dtype.numpy_dtype)
    for first, last in aligned(samples.start, samples.stop, info.chunks[0]):
        try:
            values[first - samples.start : last - samples.start] = array[first:last].read().result()
        except ValueError as error:
            problem, remedy = describe(error)
            for index in range(first, last):
                bad.report(index, problem, info.name, remedy)
    return values


def count_samples(store: StoreInfo) -> int:
    """The number of samples: what the store's count array says, else what its arrays hold.

    A store whose arrays were made larger than what has been written so far has fewer samples
    than its sample axis is long. Raises ``DataError`` if it claims to have more.
    """
    if store.count is None:
        return store.num_samples
    count = int(_read_small(store, store.count).flat[0])
    if not 0 <= count <= store.num_samples:
        raise DataError(
            f"says {count} samples, but there are {store.num_samples}",
            store=str(store.path),
            array=store.count.name,
            remedy="write the store again",
        )
    return count


def _read_small(store: StoreInfo, array: ArrayInfo) -> np.ndarray:
    """All of an array; without TensorStore if that is possible, as processes may be forked."""
    with reading(store, array.name):
        form = chunk_format(array.metadata_file.read_bytes(), array.zarr_format)
        if form is not None and form.shape:
            return form.read_rows(str(array.path), 0, form.shape[0])
        return open_arrays(store, [array], decoding_context(1))[array.name].read().result()


@contextmanager
def reading(store: StoreInfo, array: str) -> Iterator[None]:
    """Turn what TensorStore says about a damaged file into a ``DataError``."""
    try:
        yield
    except ValueError as error:
        problem, remedy = describe(error)
        raise DataError(problem, store=str(store.path), array=array, remedy=remedy) from error


def describe(error: ValueError) -> tuple[str, str]:
    """What TensorStore says about a file, as problem and remedy.

    Raises ``ReadingError`` if that is no fault of the file's.
    """
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
    return f"the file is damaged: {MEND}"


def ahead(items: Iterable[T], number: int) -> Iterator[T]:
    """The same items, of which the next ``number`` are made while one is being worked on."""
    made: deque[T] = deque()
    for item in items:
        made.append(item)
        if len(made) > number:
            yield made.popleft()
    yield from made


def aligned(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """``start:stop`` cut at the multiples of ``step``."""
    first = start
    while first < stop:
        last = min(stop, (first // step + 1) * step)
        yield first, last
        first = last
