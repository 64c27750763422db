"""Zarr v2 directory stores, written straight to disk.

zarr-python needs about a millisecond for an array, which is longer than it takes to make a
causal set. The metadata and chunks written here are those of Zarr.jl: Blosc (lz4, level 9,
bit shuffle), separator ".", fill value 0, chunks that equal it left out.
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
    """Compress within the calling thread: several threads write blocks in varying order."""
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
    """Whether ``store``, of which files may be missing, is nothing but arrays written here.

    Other writers space the JSON of metadata in another way. One array of each group is looked at.
    """
    if not store.is_dir():
        return False
    folders = [entry for entry in store.iterdir() if entry.is_dir()]
    files = {entry.name for entry in store.iterdir()} - {folder.name for folder in folders}
    return files <= {".zgroup", ATTRIBUTES} and all(map(_is_own, folders))


def _is_own(folder: Path) -> bool:
    """Whether the metadata of the first array in ``folder``, or of itself, is written here."""
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

    ``values`` begin at chunk ``first`` of the leading axis, and at the beginning of the others.
    Chunks that they fill only in part are padded with zeros, so they have to end at the
    end of a chunk or of the array.
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
    # A store of groups has dozens of small files for each causal set: plain system calls take
    # half as long as Path.write_bytes.
    descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:  # the last write before a disk is full takes a part, and says nothing
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
