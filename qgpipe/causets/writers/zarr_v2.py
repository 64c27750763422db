"""Zarr v2 directory stores, written straight to disk.

zarr-python needs about a millisecond to write an array, longer than it takes to generate a causal
set. Metadata and chunks are the same as those of Zarr.jl: Blosc (lz4, level 9, bit shuffle),
separator ".", fill value 0, empty chunks not written.
"""

import functools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numpy as np
from numpy.typing import NDArray

ATTRIBUTES = ".zattrs"
_COMPRESSOR = numcodecs.blosc.Blosc(cname="lz4", clevel=9, shuffle=numcodecs.blosc.BITSHUFFLE)
_GROUP = b'{"zarr_format":2}'
_NO_ATTRIBUTES = b"{}"


@contextmanager
def single_threaded_compression() -> Iterator[None]:
    """Compress in the calling thread: with several threads the bytes would vary."""
    before = numcodecs.blosc.use_threads
    numcodecs.blosc.use_threads = False
    try:
        yield
    finally:
        numcodecs.blosc.use_threads = before


def create_group(folder: Path, attributes: Mapping[str, Any] | None = None) -> None:
    """Make ``folder`` a group with ``attributes`` (values of JSON)."""
    folder.mkdir()
    _write_file(folder, ".zgroup", _GROUP)
    text = json.dumps(attributes).encode() if attributes else _NO_ATTRIBUTES
    _write_file(folder, ATTRIBUTES, text)


def is_written_here(store: Path) -> bool:
    """Whether all of ``store``, which may be incomplete, was written by this module.

    Other writers format the JSON of metadata differently. One array of each group is checked.
    """
    if not store.is_dir():
        return False
    folders = [entry for entry in store.iterdir() if entry.is_dir()]
    files = {entry.name for entry in store.iterdir()} - {folder.name for folder in folders}
    return files <= {".zgroup", ATTRIBUTES} and all(map(_is_own, folders))


def _is_own(folder: Path) -> bool:
    """Whether the first array in ``folder``, or ``folder`` itself, was written by this module."""
    file = next(folder.rglob(".zarray"), None)
    if file is None:
        return False
    text = file.read_text(errors="replace")
    try:
        return text == json.dumps(json.loads(text))
    except ValueError:
        return False


def create_array(
    folder: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype
) -> None:
    """Make ``folder`` an array without chunks, so all zeros."""
    folder.mkdir()
    _write_file(folder, ".zarray", _array_metadata(shape, chunks, dtype.str))
    _write_file(folder, ATTRIBUTES, _NO_ATTRIBUTES)


def write_chunks(folder: Path, values: NDArray, chunks: tuple[int, ...], first: int = 0) -> None:
    """Write ``values`` into the array in ``folder``, except for chunks that are all zeros.

    ``values`` begin at chunk ``first`` of the leading axis, and at index 0 of the other axes.
    Incomplete chunks are padded with zeros, so ``values`` have to end at the end of a chunk or of
    the array.
    """
    counts = [-(-size // chunk) for size, chunk in zip(values.shape, chunks, strict=True)]
    for index in product(*map(range, counts)):
        part = values[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))]
        if not part.any():
            continue
        if part.shape != chunks:
            part = np.pad(part, [(0, c - s) for c, s in zip(chunks, part.shape, strict=True)])
        name = ".".join(map(str, (first + index[0], *index[1:])))
        _write_file(folder, name, _COMPRESSOR.encode(np.ascontiguousarray(part)))


def write_array(folder: Path, values: NDArray, chunks: tuple[int, ...]) -> None:
    """Make ``folder`` an array that holds ``values``."""
    create_array(folder, values.shape, chunks, values.dtype)
    write_chunks(folder, values, chunks)


def _write_file(folder: Path, name: str, data: bytes) -> None:
    # A store of groups has dozens of small files per causal set: system calls take half as long as
    # Path.write_bytes.
    descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:  # a full disk accepts a part of the data without an error
            rest = rest[file.write(rest) :]


@functools.lru_cache(maxsize=4096)
def _array_metadata(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str) -> bytes:
    fill: bool | int | float = {"b": False, "f": 0.0}.get(np.dtype(dtype).kind, 0)
    metadata = {
        "zarr_format": 2,
        "shape": shape,
        "chunks": chunks,
        "dtype": dtype,
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 9, "shuffle": 2, "blocksize": 0},
        "fill_value": fill,
        "order": "C",
        "filters": None,
        "dimension_separator": ".",
    }
    return json.dumps(metadata).encode()
