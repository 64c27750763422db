"""The store that is passed to a user's reader, which reads sample by sample.

A chunk of a stacked array holds many samples, so a reader of single samples would decode every
chunk once per sample. Here a block of samples is decoded once and kept until the reader leaves it.
This works for ``store[name][i]`` and for ``store.root`` opened with zarr, for which each sample of
a stacked array appears as an uncompressed chunk.

zarr needs three milliseconds to open a group and four of its arrays, for parsing metadata and
passing tasks between threads. :meth:`SampleStore.kept_open` avoids this for readers that open the
group for each sample.
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
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from qgpipe.data.quantumgrav.sample_array import SampleArray, plain_files
from qgpipe.data.raw.stores import StoreInfo

METADATA_FILES = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")


READING = ("r", "r+", "a")  # modes that do not replace an existing group


class OpenGroup:
    """A zarr group that returns stacked arrays itself, without parsing metadata again.

    Everything else is delegated to zarr's own group.
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


class SampleStore(WrapperStore[Store]):
    """The raw store ``info`` for a reader of samples, read-only.

    ``store[name]`` is an array or a group; ``zarr.open_group(store.root)`` is the root group.
    """

    def __init__(self, info: StoreInfo):
        super().__init__(plain_files(info.path))
        self._path = info.path
        self._zarr_format = info.zarr_format
        self._group_file = info.metadata_file.name
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
        is_group = (self._path / self._group_file).exists()
        return zarr.open_group(plain_files(self._path) if is_group else self, mode="r")[name]

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

        ``zarr.open_group`` of this process is replaced, and restored afterwards: zarr has no way
        for a store to provide an open group. Calls for any other store, or with arguments other
        than a reading mode, go to zarr. So do calls of a reader that imported the function by name:
        it gets the same values, more slowly.
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
        """False, because ``zarr.open_group(root)`` opens for writing by default.

        The wrapped store refuses to write.
        """
        return False

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same store."""
        return self

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of ``key``: generated for the stacked arrays, else from disk.

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
        if array.needs_zarr:  # zarr cannot be called on its own event loop
            sample = await asyncio.to_thread(array.sample, index)
        else:
            sample = array.sample(index)
        return prototype.buffer.from_bytes(sample.tobytes())

    def _implied(self, file: Path) -> bytes | None:
        """The metadata ``file`` of a group that has none; None if there is no such group."""
        folder = file.parent
        if file.name != self._group_file or (folder / ".zarray").exists() or not folder.is_dir():
            return None
        kind = {} if self._zarr_format == 2 else {"node_type": "group"}
        return json.dumps({"zarr_format": self._zarr_format, **kind}).encode()

    def _read_metadata(self, key: str) -> bytes | None:
        """A metadata file, with chunks of single samples for the stacked arrays."""
        file = self._path / key
        if key == ".zmetadata":
            return None
        if not file.exists():
            return self._implied(file)
        array = self._arrays.get(key.partition("/")[0])
        if array is not None and file == array.info.metadata_file:
            return array.metadata()
        if key == "zarr.json":
            node = json.loads(file.read_bytes())
            node.pop("consolidated_metadata", None)
            return json.dumps(node).encode()
        return file.read_bytes()
