"""Raw arrays through TensorStore, which decodes chunks on its own threads."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import tensorstore

from qgpipe.data.stores import ArrayInfo, StoreInfo
from qgpipe.errors import DataError

T = TypeVar("T")

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


def read_arrays(
    store: StoreInfo,
    arrays: Sequence[ArrayInfo],
    context: tensorstore.Context,
    window: slice = slice(None),
) -> dict[str, np.ndarray]:
    """The values of ``array[window]`` by name, all read at once.

    Raises ``DataError`` if an array cannot be read.
    """
    opened = [open_array(str(a.path.absolute()), a.zarr_format, context) for a in arrays]
    started, values = [], {}
    for array, future in zip(arrays, opened, strict=True):
        with reading(store.path, array.name):
            started.append(future.result()[window].read())
    for array, read in zip(arrays, started, strict=True):
        with reading(store.path, array.name):
            values[array.name] = read.result()
    return values


def count_samples(store: StoreInfo) -> int:
    """The number of samples: what the store's count array says, else what its arrays hold.

    A store whose arrays were made larger than what has been written so far has fewer samples
    than its sample axis is long. Raises ``DataError`` if it claims to have more.
    """
    if store.count is None:
        return store.num_samples
    values = read_arrays(store, [store.count], decoding_context(1))
    count = int(values[store.count.name].flat[0])
    if not 0 <= count <= store.num_samples:
        raise DataError(
            f"says {count} samples, but there are {store.num_samples}",
            store=str(store.path),
            array=store.count.name,
            remedy="write the store again",
        )
    return count


@contextmanager
def reading(store: Path, array: str, samples: range | None = None) -> Iterator[None]:
    """Turn what TensorStore says about a damaged file into a ``DataError``.

    ``samples``: the samples that were being read.
    """
    try:
        yield
    except ValueError as error:
        text = re.sub(r"\s*\[(tensorstore_spec|source locations)=.*", "", str(error), flags=re.S)
        text = re.sub(r"^[A-Z_]+: ", "", text.strip())
        raise DataError(
            f"cannot be read: {text}",
            store=str(store),
            sample=None if samples is None else sample_range(samples),
            array=array,
            remedy=_remedy(text),
        ) from error


def _remedy(text: str) -> str:
    if "does not exist" in text:
        return "every causal set needs this array: write it, or leave it out of the reader's kwargs"
    if "Error opening" in text:
        return (
            "write the array again, compressed with blosc, zstd or gzip and without filters; "
            "a reader of your own can read whatever zarr can"
        )
    return "the file is damaged: write the store again"


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each made while the one before it is being worked on."""
    made: deque[T] = deque()
    for item in items:
        made.append(item)
        if len(made) > 1:
            yield made.popleft()
    yield from made


def sample_range(samples: range) -> str:
    """``5`` or ``5-9``."""
    return str(samples[0]) if len(samples) == 1 else f"{samples[0]}-{samples[-1]}"
