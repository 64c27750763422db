"""A stacked array that is read sample by sample and decoded block by block."""

import asyncio
import json
import math
import operator
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.storage import LocalStore

from qgpipe.data.raw.bad_samples import REMEDY
from qgpipe.data.raw.chunk_files import chunk_format
from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.objects import ObjectPath, list_objects, read_object
from qgpipe.data.raw.store_files import children, read_file, require_plain
from qgpipe.errors import DataError


class PlainFiles(LocalStore):
    """A folder of which only regular files are read: zarr would wait for a FIFO."""

    async def get(
        self, key: str, prototype: Any = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a file. Raises ``DataError`` if it is not a regular file."""
        try:
            require_plain(self.root / key)
        except ValueError as error:
            raise DataError(str(error), remedy=f"the store is damaged: {REMEDY}") from None
        return await super().get(key, prototype, byte_range)


class Objects(Store):
    """The objects of a store on a server or in a zip file, for zarr, read-only."""

    supports_writes = supports_deletes = supports_listing = True

    def __init__(self, root: ObjectPath):
        super().__init__(read_only=True)
        self.root = root
        self._keys = list_objects(root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objects) and other.root == self.root

    async def get(
        self, key: str, prototype: Any = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of an object, or some of them."""
        content = await asyncio.to_thread(read_object, self.root / key)
        if content is None:
            return None
        buffer = (prototype or default_buffer_prototype()).buffer.from_bytes(content)
        match byte_range:
            case RangeByteRequest(first, last):
                return buffer[first:last]
            case OffsetByteRequest(first):
                return buffer[first:]
            case SuffixByteRequest(length):
                return buffer[-length:]
        return buffer

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Buffer | None]:
        """Some bytes of several objects."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return await self.get(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Raises ``ValueError``: raw stores are only read."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Raises ``ValueError``."""
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """The keys of all objects."""
        for key in self._keys:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """The keys that begin with ``prefix``."""
        for key in self._keys:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names in a folder."""
        for name in children(self.root / prefix, self.root, self._keys):
            yield name


def plain_files(path: Path) -> Store:
    """The files or objects below ``path``, for zarr."""
    if isinstance(path, ObjectPath):
        return Objects(path)
    return PlainFiles(path, read_only=True)


BLOCK_BYTES = 16 << 20  # of the decoded block, unless a chunk is larger


class SampleArray:
    """One stacked array. ``array[i]`` and ``array[i, ...]`` are copies from the block around it.

    Everything else is delegated to zarr's own array.
    """

    def __init__(self, info: ArrayInfo):
        self.info = info
        self._array: zarr.Array | None = None
        self._form = chunk_format(read_file(info.metadata_file) or b"", info.zarr_format)
        self._block = np.empty(0)
        self._start = 0
        self._damaged: set[int] = set()
        chunk = info.chunks[0]
        sample_bytes = 8 * math.prod(info.shape[1:])
        self._samples = max(1, BLOCK_BYTES // sample_bytes // chunk) * chunk

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        try:
            index = self._index(operator.index(first))
        except TypeError:
            return self._opened()[key]
        return self.sample(index)[tuple(rest)].copy()

    def __len__(self) -> int:
        return self.info.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._opened()[...], dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)

    @property
    def needs_zarr(self) -> bool:
        """Whether only zarr can read the chunks."""
        return self._form is None

    def sample(self, index: int) -> np.ndarray:
        """The values of one sample, which must not be modified.

        Raises ``DataError`` if they cannot be read.
        """
        if not self._start <= index < self._start + len(self._block):
            self._load(index)
        return self._block[index - self._start]

    def _load(self, index: int) -> None:
        """Decode the block of a sample, or only the sample if the block is damaged."""
        start = index // self._samples * self._samples
        if start not in self._damaged:
            try:
                self._block = self._rows(start, min(start + self._samples, len(self)))
                self._start = start
                return
            except Exception:  # zarr and its codecs raise many kinds
                self._damaged.add(start)
        try:
            self._block, self._start = self._rows(index, index + 1), index
        except Exception as error:
            raise DataError(
                f"cannot be read: {error}",
                store=str(self.info.path.parent),
                sample=index,
                array=self.info.name,
                remedy=f"the file is damaged: {REMEDY}",
            ) from error

    def _rows(self, first: int, last: int) -> np.ndarray:
        if self._form is not None:
            return self._form.read_rows(self.info.path, first, last)
        return np.asarray(self._opened()[first:last], np.dtype(self.info.dtype))

    def sample_of(self, chunk_key: str) -> int:
        """The sample of ``chunk_key``, in the chunk grid of :meth:`metadata`."""
        separator = "." if self.info.zarr_format == 2 else "/"
        return int(chunk_key.removeprefix("c/").split(separator)[0])

    def metadata(self) -> bytes:
        """Metadata of the array as if each sample were an uncompressed chunk, JSON."""
        node = json.loads(read_file(self.info.metadata_file) or b"")
        chunks = [1, *self.info.shape[1:]]
        if self.info.zarr_format == 2:
            plain = {"compressor": None, "filters": None, "order": "C", "dimension_separator": "."}
            kind = np.dtype(self.info.dtype).str
            node |= {"chunks": chunks, "dtype": kind, **plain}
        else:
            grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
            keys = {"name": "default", "configuration": {"separator": "/"}}
            codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
            node |= {"chunk_grid": grid, "chunk_key_encoding": keys, "codecs": codecs}
        return json.dumps(node).encode()

    def _index(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"'{self.info.name}' has {len(self)} samples, there is no {index}")
        return index % len(self)

    def _opened(self) -> zarr.Array:
        if self._array is None:
            self._array = zarr.open_array(plain_files(self.info.path), mode="r")
        return self._array
