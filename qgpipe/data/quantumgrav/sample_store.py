"""The store that a user's reader gets, for reading one sample after the other.

A chunk of a stacked array holds many samples, so a reader that takes them one by one would
decode every chunk once for each of them. Here a block of samples is decoded once and kept
until the reader moves on, whether it asks ``store[name][i]`` or opens ``store.root`` with
zarr: to zarr the stacked arrays look as if each sample had an uncompressed chunk of its own.

zarr takes three milliseconds to open a group and four arrays of it, all of it parsing metadata
and passing tasks between threads. A reader that opens the group for each sample need not wait
for that: see :meth:`SampleStore.kept_open`.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from qgpipe.data.quantumgrav.sample_array import PlainFiles, SampleArray
from qgpipe.data.raw.stores import StoreInfo

METADATA_FILES = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")


READING = ("r", "r+", "a")  # modes that do not make a new group where there is one


class OpenGroup:
    """A zarr group that answers for stacked arrays itself, without parsing metadata again.

    Whatever else it is asked for is what zarr's own group answers.
    """

    def __init__(self, group: zarr.Group, arrays: Mapping[str, SampleArray]):
        self._group = group
        self._arrays = arrays

    def __getitem__(self, name: str) -> Any:
        array = self._arrays.get(name)
        return self._group[name] if array is None else array

    def __contains__(self, name: object) -> bool:
        return name in self._arrays or name in self._group

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __len__(self) -> int:
        return len(self._group)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group, name)


class SampleStore(WrapperStore[LocalStore]):
    """The raw store ``info`` for a reader of samples; nothing can be written to it.

    ``store[name]`` is an array or a group; ``zarr.open_group(store.root)`` is the root group.
    """

    def __init__(self, info: StoreInfo):
        super().__init__(PlainFiles(info.path, read_only=True))
        self._path = info.path
        self._metadata: dict[str, bytes | None] = {}
        self._group: OpenGroup | None = None
        self._arrays = {
            name: SampleArray(array)
            for name, array in info.sample_arrays.items()
            if array.shape and np.prod(array.shape) > 0
        }

    @property
    def root(self) -> Self:
        """The store itself, which zarr and ``os.fspath`` take like the path of a store."""
        return self

    def __getitem__(self, name: str) -> Any:
        if name in self._arrays:
            return self._arrays[name]
        return zarr.open_group(PlainFiles(self._path, read_only=True), mode="r")[name]

    def __contains__(self, name: object) -> bool:
        return (self._path / str(name)).exists()

    def __fspath__(self) -> str:
        return os.fspath(self._path)

    def __str__(self) -> str:
        return str(self._path)

    def __truediv__(self, name: str) -> Path:
        return self._path / name

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Within the block ``zarr.open_group(store.root)`` returns a group that is kept open.

        It is ``zarr.open_group`` of this process that is replaced, and put back afterwards:
        zarr has no place for a store to say that it has a group already. Calls for any other
        store, or with arguments beyond a mode that reads, go to zarr as ever, and so does a
        reader that has imported the function itself: it gets the same values, more slowly.
        """
        original = zarr.open_group

        def open_group(store: Any = None, *args: Any, **kwargs: Any) -> Any:
            mode = kwargs.get("mode", "a")
            if store is not self or args or kwargs.keys() - {"mode"} or mode not in READING:
                return original(store, *args, **kwargs)
            if self._group is None:
                self._group = OpenGroup(original(self, mode="r"), self._arrays)
            return self._group

        zarr.open_group = open_group
        try:
            yield
        finally:
            zarr.open_group = original

    @property
    def read_only(self) -> bool:
        """False, because ``zarr.open_group(root)`` means to open for writing.

        The wrapped store refuses when something is written.
        """
        return False

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same store."""
        return self

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of ``key``: made up for the stacked arrays, else from disk.

        Consolidated metadata is left out: it describes the chunks on disk.
        """
        name, _, rest = key.partition("/")
        array = self._arrays.get(name)
        if key.endswith(METADATA_FILES):
            if key not in self._metadata:
                self._metadata[key] = self._read_metadata(key)
            text = self._metadata[key]
            return None if text is None else prototype.buffer.from_bytes(text)
        if array is None:
            return await super().get(key, prototype, byte_range)
        index = array.sample_of(rest)
        if array.needs_zarr:  # which answers on this event loop only to another thread
            sample = await asyncio.to_thread(array.sample, index)
        else:
            sample = array.sample(index)
        return prototype.buffer.from_bytes(sample.tobytes())

    def _read_metadata(self, key: str) -> bytes | None:
        """A metadata file, with chunks of single samples for the stacked arrays."""
        file = self._path / key
        if key == ".zmetadata" or not file.exists():
            return None
        array = self._arrays.get(key.partition("/")[0])
        if array is not None and file == array.info.metadata_file:
            return array.metadata()
        if key == "zarr.json":
            node = json.loads(file.read_bytes())
            node.pop("consolidated_metadata", None)
            return json.dumps(node).encode()
        return file.read_bytes()
