"""A stacked array that is read sample by sample and decoded block by block."""

from __future__ import annotations

import json
import math
import operator
from typing import Any

import numpy as np
import zarr
from zarr.api.asynchronous import open_array

from qgpipe.data.stores import ArrayInfo

BLOCK_BYTES = 16 << 20  # decoded and kept, unless a chunk is larger


class SampleArray:
    """One stacked array. ``array[i]`` and ``array[i, ...]`` are copies from the block around it.

    Whatever else it is asked for is what zarr's own array answers.
    """

    def __init__(self, info: ArrayInfo):
        self.info = info
        self._array: zarr.Array | None = None
        self._block = np.empty(0)
        self._start = 0
        chunk = info.chunks[0]
        sample_bytes = 8 * math.prod(info.shape[1:])
        self._samples = max(1, BLOCK_BYTES // sample_bytes // chunk) * chunk

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        try:
            index = self._index(operator.index(first))
        except TypeError:
            return self._opened()[key]
        if not self._holds(index):
            window = self._window(index)
            self._keep(window, self._opened()[window])
        return self._block[(index - self._start, *rest)].copy()

    def __len__(self) -> int:
        return self.info.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._opened()[...], dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)

    async def sample(self, index: int) -> np.ndarray:
        """The values of one sample, for callers on zarr's event loop."""
        if not self._holds(index):
            window = self._window(index)
            array = await open_array(store=self.info.path, mode="r")
            self._keep(window, np.asarray(await array.getitem(window)))
        return self._block[index - self._start]

    def sample_of(self, chunk_key: str) -> int:
        """The sample that ``chunk_key`` of the metadata below stands for."""
        separator = "." if self.info.zarr_format == 2 else "/"
        return int(chunk_key.removeprefix("c/").split(separator)[0])

    def metadata(self) -> bytes:
        """The array's metadata as if each sample were an uncompressed chunk."""
        node = json.loads(self.info.metadata_file.read_bytes())
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

    def _holds(self, index: int) -> bool:
        return self._start <= index < self._start + len(self._block)

    def _window(self, index: int) -> slice:
        start = index // self._samples * self._samples
        return slice(start, min(start + self._samples, len(self)))

    def _keep(self, window: slice, values: Any) -> None:
        self._block, self._start = np.asarray(values, np.dtype(self.info.dtype)), window.start

    def _opened(self) -> zarr.Array:
        if self._array is None:
            self._array = zarr.open_array(self.info.path, mode="r")
        return self._array
