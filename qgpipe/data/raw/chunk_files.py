"""Zarr chunks read as the files they are, and decoded with numcodecs, as zarr does.

Used where TensorStore cannot be used (in a process forked from one that has used it), or where it
takes longer to open an array than to read it (the many small arrays of a store with a group for
each causal set). Arrays stored in unusual ways are left to TensorStore or zarr.
"""

import json
import math
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numcodecs
import numpy as np

from qgpipe.data.raw.metadata import check_chunk, check_shapes, chunk_keys
from qgpipe.data.raw.store_files import file_reader
from qgpipe.errors import shown

V3_DTYPES = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
}  # fmt: skip
V2_CODECS = {"blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma"}  # others may run code
V3_CODECS = {"blosc", "zstd", "gzip"}
BLOSC_HEADER = struct.Struct("<4xI4xI")  # numbers of bytes of decoded and encoded data

Decoder = Callable[[bytes, int], bytes]


@dataclass(frozen=True)
class ChunkFormat:
    """How an array is stored.

    ``key_prefix``, ``separator``: parts of the names of chunk files. ``decoders``: applied in this
    order; each takes the encoded bytes and the size of the decoded chunk in bytes.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"]
    fill: Any
    key_prefix: tuple[str, ...]
    separator: str
    decoders: tuple[Decoder, ...]

    @property
    def is_single(self) -> bool:
        """Whether the array is a single chunk."""
        return all(n <= c for n, c in zip(self.shape, self.chunks, strict=True))

    @cached_property
    def only_key(self) -> str:
        """Name of the file of a single chunk."""
        return self.key((0,) * len(self.shape))

    def key(self, index: Iterable[int]) -> str:
        """Name of the file of a chunk, below the array."""
        return self.separator.join((*self.key_prefix, *map(str, index))) or "0"

    def decode(self, content: bytes | None) -> np.ndarray:
        """A decoded chunk, read-only; ``content``: the bytes of its file, None if there is no file.

        Raises ``ValueError`` if the content is damaged.
        """
        if content is None:
            return np.broadcast_to(np.array(self.fill, self.dtype), self.chunks)
        size = math.prod(self.chunks) * self.dtype.itemsize
        for decoder in self.decoders:
            content = decoder(content, size)
        if len(content) != size:
            raise ValueError(f"{len(content)} bytes instead of {size}")
        values = np.frombuffer(content, self.dtype).reshape(self.chunks, order=self.order)
        return values if self.dtype.isnative else values.astype(self.dtype.newbyteorder("="))

    def read_rows(self, folder: str | Path, first: int, last: int) -> np.ndarray:
        """``array[first:last]`` of the array in ``folder``.

        Raises ``ValueError``, naming the file, if a chunk is damaged.
        """
        rows = self.chunks[0]
        shape = (last - first, *self.shape[1:])
        values = np.empty(shape, self.dtype.newbyteorder("="))
        read = file_reader(folder)
        counts = [-(-n // c) for n, c in zip(self.shape[1:], self.chunks[1:], strict=True)]
        for index in product(range(first // rows, -(-last // rows)), *map(range, counts)):
            starts = [i * c for i, c in zip(index, self.chunks, strict=True)]
            top, bottom = max(first, starts[0]), min(last, starts[0] + rows)
            chunk = self.read_chunk(folder, index, read)[top - starts[0] : bottom - starts[0]]
            rest = (slice(s, s + n) for s, n in zip(starts[1:], chunk.shape[1:], strict=True))
            out = values[(slice(top - first, bottom - first), *rest)]
            out[...] = chunk[tuple(map(slice, out.shape))]
        return values

    def read_chunk(
        self, folder: str | Path, index: Iterable[int], read: Callable[[str], bytes | None]
    ) -> np.ndarray:
        """The chunk ``index`` of the array in ``folder``; errors as :meth:`read_rows`.

        ``read``: reads a file.
        """
        path = f"{folder}/{self.key(index)}"
        try:
            return self.decode(read(path))
        except ValueError as error:
            raise ValueError(f'Error decoding chunk "{path}": {error}') from None


@lru_cache(maxsize=4096)
def chunk_format(metadata: bytes, zarr_format: int) -> ChunkFormat | None:
    """The format of the array with this metadata; None if it is stored in an unusual way.

    Raises ``ValueError`` if the metadata is damaged.
    """
    try:
        node = json.loads(metadata)
        return _v2(node) if zarr_format == 2 else _v3(node)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no array metadata: {error!r}") from None


def _v2(node: Mapping[str, Any]) -> ChunkFormat | None:
    unusual = node.get("filters") or not isinstance(node["dtype"], str)
    if unusual or not _is_plain(node["fill_value"]):
        return None
    dtype = np.dtype(node["dtype"])
    if dtype.kind not in "biuf":
        return None
    compressor = node.get("compressor")
    if compressor is not None and compressor["id"] not in V2_CODECS:
        return None
    if node["order"] not in ("C", "F"):
        raise ValueError(f"the order {shown(node['order'])} is none")
    decoders = () if compressor is None else (_decoder(compressor),)
    return _format(node, node["chunks"], dtype, node["order"], decoders)


def _v3(node: Mapping[str, Any]) -> ChunkFormat | None:
    to_bytes, *codecs = node["codecs"]
    known = to_bytes["name"] == "bytes" and all(codec["name"] in V3_CODECS for codec in codecs)
    if not known or node["data_type"] not in V3_DTYPES or not _is_plain(node["fill_value"]):
        return None
    endian = to_bytes.get("configuration", {}).get("endian", sys.byteorder)
    dtype = np.dtype(node["data_type"]).newbyteorder(endian)
    decoders = tuple(_decoder({"id": codec["name"]}) for codec in reversed(codecs))
    return _format(node, node["chunk_grid"]["configuration"]["chunk_shape"], dtype, "C", decoders)


def _format(
    node: Mapping[str, Any], chunks: Any, dtype: np.dtype, order: Any, decoders: tuple[Decoder, ...]
) -> ChunkFormat:
    shape, chunks = check_shapes(node["shape"], chunks)
    check_chunk(chunks, dtype.itemsize)
    fill = _fill(node["fill_value"], dtype)
    return ChunkFormat(shape, chunks, dtype, order, fill, *chunk_keys(node), decoders)


def _is_plain(fill: Any) -> bool:
    return not isinstance(fill, str) or fill in ("NaN", "Infinity", "-Infinity")


def _fill(value: Any, dtype: np.dtype) -> Any:
    """The fill value as a number; ``float`` reads "NaN" and "Infinity" as metadata spells them."""
    filled = float(value) if isinstance(value, str) else value or 0
    if np.array(filled, dtype).ndim:
        raise ValueError(f"the fill value {shown(value)} is no number")
    return filled


def _decoder(codec: Mapping[str, Any]) -> Decoder:
    """A decoder for ``codec``; its parameters are in the encoded bytes."""
    if codec["id"] == "blosc":
        blosc = numcodecs.Blosc()

        def decode(content: bytes, size: int) -> bytes:
            # Blosc does not check its header, and would read beyond the end of a truncated file.
            fits = len(content) >= BLOSC_HEADER.size
            if not fits or BLOSC_HEADER.unpack_from(content) != (size, len(content)):
                raise ValueError("the header of the Blosc data does not fit")
            return _decoded(blosc, content)

        return decode
    chosen = numcodecs.get_codec(dict(codec))
    return lambda content, _: _decoded(chosen, content)


def _decoded(codec: Any, content: bytes) -> bytes:
    try:
        return codec.decode(content)
    except Exception as error:  # each codec has its own exceptions
        raise ValueError(f"{type(error).__name__}: {error}") from None
