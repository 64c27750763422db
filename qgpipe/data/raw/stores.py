"""What a raw zarr store holds, read from its metadata JSON alone: no chunk is touched.

Two layouts are known: *stacked* arrays with the samples along axis 0, and *groups*
``cset_1 ... cset_N``, one for each causal set. Zarr formats 2 and 3, consolidated or not:
the metadata file of each array is read itself, because a consolidated copy may be older.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

from qgpipe.data.raw import naming
from qgpipe.data.raw.store_files import read_file, refusal
from qgpipe.errors import DataError, shown

Layout = Literal["stacked", "groups"]

GROUP_NAME = re.compile(r"cset_(\d+)")

LARGEST_NUMBER = 2**60  # of a shape: products with sizes of types are still exact
MOST_AXES = 32  # numpy's
MOST_BYTES = 2**40  # of a chunk: such an array has been described wrongly, not written

_V2_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


@dataclass(frozen=True)
class ArrayInfo:
    """Metadata of one array.

    ``dtype`` is a numpy name (``float32``), or the store's own word for any other type.
    ``chunks`` is what is decoded at once: the inner chunks if the array is sharded.
    ``grid`` is what one file holds: a chunk, or a shard of several. ``key_prefix``,
    ``separator``: of the names of these files.
    """

    name: str
    path: Path
    zarr_format: int
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    grid: tuple[int, ...] = ()
    key_prefix: tuple[str, ...] = ()
    separator: str = "."

    def chunk_files(self, places: Iterable[range]) -> Iterator[str]:
        """The files of chunks, or shards, at these ``places`` on each axis of the grid."""
        folder, prefix, join = str(self.path), self.key_prefix, self.separator.join
        for index in product(*(map(str, axis) for axis in places)):
            yield f"{folder}/{join((*prefix, *index)) or '0'}"

    @property
    def metadata_file(self) -> Path:
        """The JSON file that describes the array."""
        return self.path / (".zarray" if self.zarr_format == 2 else "zarr.json")

    @property
    def item_bytes(self) -> int:
        """Bytes of an element; 8 where the store's word for the type does not say."""
        bits = re.search(r"\d{1,9}$", self.dtype)
        return 1 if self.dtype == "bool" else int(bits[0]) // 8 if bits else 8

    @property
    def is_square(self) -> bool:
        """Whether the last two axes have equal lengths."""
        return len(self.shape) >= 2 and self.shape[-1] == self.shape[-2]


@dataclass(frozen=True)
class StoreInfo:
    """Metadata of a store.

    ``arrays``: those of the root (stacked), or of the first group.
    ``groups``: the numbers of the ``cset_<i>`` groups, ascending; empty if stacked.
    ``digits``: with how many digits, at least, the groups are named: 3 for ``cset_001``.
    ``num_samples``: number of groups, or length of the sample axis.
    ``count``: the array that says how many samples there are, if the store has one. It is a
    chunk, not metadata, so what it says is applied where samples are read.
    """

    path: Path
    layout: Layout
    zarr_format: int
    arrays: Mapping[str, ArrayInfo]
    attributes: Mapping[str, Any]
    num_samples: int
    groups: tuple[int, ...] = ()
    count: ArrayInfo | None = None
    digits: int = 1

    @property
    def metadata_file(self) -> Path:
        """The JSON file that describes the root group."""
        return self.path / (".zgroup" if self.zarr_format == 2 else "zarr.json")

    def group_name(self, index: int) -> str:
        """The group of the sample ``index``."""
        return f"cset_{self.groups[index]:0{self.digits}d}"

    def sample_name(self, index: int) -> str:
        """The sample ``index`` as a message names it."""
        return f"{index} ({self.group_name(index)})" if self.groups else str(index)

    def sample_bytes(self) -> int:
        """What the arrays of one sample decode to: of any if stacked, else of the first group."""
        skip = 1 if self.layout == "stacked" else 0
        return sum(
            array.item_bytes * math.prod(array.shape[skip:]) for array in self.arrays.values()
        )

    def array(self, name: str) -> ArrayInfo:
        """The array ``name``; ``DataError`` naming the nearest one if there is none."""
        if name in self.arrays:
            return self.arrays[name]
        raise DataError(
            f"there is no array '{name}'",
            store=str(self.path),
            remedy=naming.did_you_mean(name, self.arrays),
        )

    def adjacency(self, name: str | None = None) -> ArrayInfo:
        """The array with the relations: ``name``, or the one with a usual name.

        Raises ``DataError`` if there is none, or if it does not hold square matrices.
        """
        name = name or next((n for n in naming.ADJACENCY if n in self.arrays), None)
        if name is None:
            raise DataError(
                f"there is no adjacency array ({', '.join(naming.ADJACENCY)})",
                store=str(self.path),
                remedy="name it with 'adjacency' in the reader's kwargs: "
                f"{naming.did_you_mean(naming.ADJACENCY[0], self.arrays)}",
            )
        array = self.array(name)
        expected = 3 if self.layout == "stacked" else 2
        if len(array.shape) != expected or not array.is_square:
            shape = "(samples, n, n)" if self.layout == "stacked" else "(n, n)"
            raise DataError(
                f"expected shape {shape}, got {array.shape}",
                store=str(self.path),
                array=name,
                remedy="name the adjacency with 'adjacency' in the reader's kwargs",
            )
        return array


def open_store(path: str | Path, named_in: str = "data.files") -> StoreInfo:
    """Read the metadata of the zarr store at ``path``; ``named_in``: by whom, for messages.

    Raises ``DataError`` if there is no store, if it is a bare array or no zarr store, if its
    metadata is damaged, if it holds no samples, if its arrays disagree on their number, or if its
    groups are named in different ways; ``ReadingError`` if it may not be read.
    """
    try:
        return _open_store(Path(path), named_in)
    except OSError as error:
        refused = refusal(os.fsdecode(error.filename or path), error)
        raise refused if isinstance(refused, DataError) else DataError(str(refused)) from error


def _open_store(path: Path, named_in: str) -> StoreInfo:
    zarr_format, node = _root(path, named_in)
    groups: list[str] = []
    folders: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            match = GROUP_NAME.fullmatch(entry.name)
            if match and not _is_folder(entry):
                raise DataError(
                    f"'{entry.name}' is not a group but a file",
                    store=str(path),
                    remedy="write the store again, or rename the file",
                )
            if match:
                groups.append(match[1])
            elif _is_folder(entry):
                folders.append(entry.name)
    numbers, digits = _numbers(path, groups)
    root_arrays = _arrays(path, zarr_format, sorted(folders))
    count = next((root_arrays[name] for name in naming.COUNT if name in root_arrays), None)
    attributes = _attributes(path, zarr_format, node)
    if groups:
        first = path / f"cset_{numbers[0]:0{digits}d}"
        arrays = _arrays(first, zarr_format, sorted(e.name for e in first.iterdir()))
        return StoreInfo(
            path, "groups", zarr_format, arrays, attributes, len(numbers), numbers, count, digits
        )
    arrays = {name: array for name, array in root_arrays.items() if name not in naming.COUNT}
    num_samples = _sample_axis(path, arrays, named_in)
    return StoreInfo(path, "stacked", zarr_format, arrays, attributes, num_samples, (), count)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _numbers(path: Path, digits: Iterable[str]) -> tuple[tuple[int, ...], int]:
    """The numbers of groups, ascending, and with how many digits, at least, they are written."""
    found = sorted((int(text), text) for text in digits)
    width = min((len(text) for _, text in found), default=1)
    for number, text in found:
        if text != f"{number:0{width}d}":
            other = next(other for _, other in found if len(other) == width)
            raise DataError(
                f"the groups 'cset_{other}' and 'cset_{text}' are named in different ways",
                store=str(path),
                remedy="name all as cset_1, cset_2, … or all as cset_001, cset_002, …",
            )
    return tuple(number for number, _ in found), width


def _root(path: Path, named_in: str) -> tuple[int, dict[str, Any]]:
    """Zarr format and metadata of the root group."""
    if not path.exists():
        raise DataError("no such store", store=str(path), remedy=f"check {named_in}")
    problem, remedy = "this is not a zarr store", "name the folder that holds .zgroup or zarr.json"
    if not path.is_dir():
        raise DataError(f"{problem} but a file", store=str(path), remedy=remedy)
    node = _json(path / "zarr.json", {})
    is_array = node.get("node_type") == "array" or (path / ".zarray").exists()
    if is_array:
        raise DataError(
            "this is a single array, not a group of arrays",
            store=str(path),
            remedy="name the folder above it, or put the array in a group as 'adjacency_matrix'",
        )
    if node.get("node_type") == "group":
        return 3, node
    if (path / ".zgroup").exists():
        return 2, {}
    raise DataError(problem, store=str(path), remedy=remedy)


def _arrays(folder: Path, zarr_format: int, children: list[str]) -> dict[str, ArrayInfo]:
    found = (array_info(folder / child, zarr_format) for child in children)
    return {array.name: array for array in found if array is not None}


def array_info(path: Path, zarr_format: int) -> ArrayInfo | None:
    """The array in the folder ``path``; None if there is none. Raises ``DataError``."""
    file = path / (".zarray" if zarr_format == 2 else "zarr.json")
    node = _json(file, {})
    if not node or node.get("node_type") == "group":
        return None
    attributes = _attributes(path, zarr_format, node)
    try:
        if zarr_format == 2:
            dtype, chunks = _v2_dtype(node["dtype"]), node["chunks"]
            grid = node["chunks"]
        else:
            dtype, chunks = str(node["data_type"]), _v3_chunks(node)
            grid = node["chunk_grid"]["configuration"]["chunk_shape"]
        shape, chunks = check_shapes(node["shape"], chunks)
        _, grid = check_shapes(node["shape"], grid)
        array = ArrayInfo(
            path.name, path, zarr_format, shape, dtype, chunks, attributes, grid, *chunk_keys(node)
        )
        check_chunk(grid, array.item_bytes)
        return array
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = str(error) if isinstance(error, ValueError) else repr(error)
        raise DataError(
            f"{file} is no array metadata: {said}", remedy="write the store again"
        ) from None


def check_shapes(shape: Any, chunks: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of an array and of its chunks, as metadata has them.

    Raises ``ValueError`` if there can be no such array.
    """
    for name, value, least in (("shape", shape, 0), ("chunk shape", chunks, 1)):
        if not isinstance(value, list) or not all(
            type(n) is int and least <= n <= LARGEST_NUMBER for n in value
        ):
            raise ValueError(f"the {name} {shown(value)} is none")
    if len(shape) != len(chunks) or len(shape) > MOST_AXES:
        raise ValueError(f"the shape has {len(shape)} axes, that of chunks {len(chunks)}")
    return tuple(shape), tuple(chunks)


def check_chunk(chunk: tuple[int, ...], item_bytes: int) -> None:
    """Raise ``ValueError`` if no file can hold a chunk of this shape."""
    if item_bytes * math.prod(chunk) > MOST_BYTES:
        raise ValueError(f"a chunk of shape {shown(chunk)} would take more than a terabyte")


def chunk_keys(node: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """What the names of an array's chunk files begin with, and what separates their numbers.

    ``node``: the array's metadata. Raises ``ValueError`` for a separator that zarr does not know.
    """
    if node["zarr_format"] == 2:
        is_default, separator = False, node.get("dimension_separator") or "."
    else:
        encoding = node["chunk_key_encoding"]
        is_default = encoding["name"] == "default"
        separator = encoding.get("configuration", {}).get("separator", "/" if is_default else ".")
    if separator not in (".", "/"):
        raise ValueError(f"the separator {shown(separator)} of chunk keys is none")
    return (("c",) if is_default else ()), separator


def _attributes(path: Path, zarr_format: int, node: Mapping[str, Any]) -> dict[str, Any]:
    if zarr_format == 2:
        return _json(path / ".zattrs", {})
    attributes = node.get("attributes", {})
    if not isinstance(attributes, dict):
        raise DataError(
            f"{path / 'zarr.json'} is damaged: the attributes are no JSON object",
            remedy="write the store again",
        )
    return attributes


def _v2_dtype(text: Any) -> str:
    match = re.fullmatch(r"[<>|=]?([biufc])(\d+)", str(text))
    if not match:
        return str(text)
    kind, size = _V2_KINDS[match[1]], int(match[2])
    return kind if kind == "bool" else f"{kind}{8 * size}"


def _v3_chunks(node: dict[str, Any]) -> list[int]:
    for codec in node.get("codecs", []):
        if codec["name"] == "sharding_indexed":
            return codec["configuration"]["chunk_shape"]
    return node["chunk_grid"]["configuration"]["chunk_shape"]


def _sample_axis(path: Path, arrays: dict[str, ArrayInfo], named_in: str) -> int:
    """The number of samples.

    That of the arrays with usual naming, which have to agree. A store that has none of them is
    for a user's own reader: then it is the most frequent length of axis 0.
    """
    lengths = {name: array.shape[0] for name, array in arrays.items() if array.shape}
    known = {name: length for name, length in lengths.items() if name in naming.KNOWN}
    if not lengths:
        raise DataError(
            "the store holds no arrays and no groups cset_1, cset_2, …",
            store=str(path),
            remedy="name a store of causal sets",
        )
    first = next((name for name in naming.ADJACENCY if name in known), next(iter(known), None))
    if first is None:
        num_samples = Counter(lengths.values()).most_common(1)[0][0]
    else:
        num_samples = lengths[first]
    for name, length in known.items():
        if length != num_samples:
            raise DataError(
                f"'{first}' has {num_samples} samples, '{name}' has {length}",
                store=str(path),
                remedy="write the store again with as many samples in each array",
            )
    if num_samples == 0:
        remedy = f"leave it out of {named_in}"
        raise DataError("the store is empty", store=str(path), remedy=remedy)
    return num_samples


def _json(path: Path, default: Any) -> Any:
    try:
        content = read_file(path)
        if content is None:
            return default
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        said = str(error).removeprefix(f"{path} ")
        problem = said if said != str(error) else f"is damaged: {said}"
        raise DataError(f"{path} {problem}", remedy="write the store again") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged: no JSON object", remedy="write the store again")
    return value
