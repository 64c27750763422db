"""The metadata of zarr groups and arrays, read from their JSON files.

Zarr formats 2 and 3, consolidated or not: the metadata file of each array is read itself, because
a consolidated copy may be older.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from qgpipe.data.raw.store_files import read_file
from qgpipe.errors import DataError, shown

LARGEST_NUMBER = 2**60  # in a shape
MOST_AXES = 32  # numpy's limit
MOST_BYTES = 2**40  # of a chunk; the metadata of larger ones must be wrong

_V2_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


@dataclass(frozen=True)
class ArrayInfo:
    """Metadata of one array.

    ``dtype``: a numpy name (``float32``), or the name in the metadata for any other type.
    ``chunks``: shape of what is decoded at once: the inner chunks if the array is sharded.
    ``grid``: shape of the content of one file: a chunk, or a shard of several. ``key_prefix``,
    ``separator``: parts of the names of these files.
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
        """The files of the chunks or shards at ``places``, the ranges of indices on each axis."""
        folder, prefix, join = str(self.path), self.key_prefix, self.separator.join
        for index in product(*(map(str, axis) for axis in places)):
            yield f"{folder}/{join((*prefix, *index)) or '0'}"

    @property
    def metadata_file(self) -> Path:
        """The JSON file that describes the array."""
        return self.path / (".zarray" if self.zarr_format == 2 else "zarr.json")

    @property
    def item_bytes(self) -> int:
        """Bytes of an element; 8 if the name of the type does not say."""
        bits = re.search(r"\d{1,9}$", self.dtype)
        return 1 if self.dtype == "bool" else int(bits[0]) // 8 if bits else 8


def arrays_in(
    folder: Path,
    zarr_format: int,
    names: Iterable[str],
    names_in: Callable[[Path], Mapping[str, bool]],
    within: str = "",
) -> dict[str, ArrayInfo]:
    """The arrays among the ``names`` in the group ``folder``, and those in its subgroups, sorted.

    An array in a subgroup has the name ``subgroup/array``. ``names_in``: the names in a folder, and
    whether each is a folder. ``within``: what the names begin with. Raises ``DataError`` if an
    array is damaged.
    """
    found = {}
    for name in sorted(names):
        array = array_info(folder / name, zarr_format, within + name)
        if array is not None:
            found[array.name] = array
        elif (below := _names_in_group(folder / name, zarr_format, names_in)) is not None:
            inside = f"{within}{name}/"
            found |= arrays_in(folder / name, zarr_format, below, names_in, inside)
    return found


def _names_in_group(
    folder: Path, zarr_format: int, names_in: Callable[[Path], Mapping[str, bool]]
) -> list[str] | None:
    """The names of the folders in a group; None if there is no group."""
    try:
        below = names_in(folder)
    except NotADirectoryError:
        return None
    is_group = (".zgroup" if zarr_format == 2 else "zarr.json") in below
    return [name for name, is_folder in below.items() if is_folder] if is_group else None


def array_info(path: Path, zarr_format: int, name: str | None = None) -> ArrayInfo | None:
    """The array in the folder ``path``, named after it unless there is a ``name``; None if none.

    Raises ``DataError`` if it is damaged.
    """
    file = path / (".zarray" if zarr_format == 2 else "zarr.json")
    node = read_json(file, {})
    if not node or node.get("node_type") == "group":
        return None
    attributes = read_attributes(path, zarr_format, node)
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
            name or path.name,
            path,
            zarr_format,
            shape,
            dtype,
            chunks,
            attributes,
            grid,
            *chunk_keys(node),
        )
        check_chunk(grid, array.item_bytes)
        return array
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = str(error) if isinstance(error, ValueError) else repr(error)
        raise DataError(
            f"{file} is no array metadata: {said}", remedy="write the store again"
        ) from None


def check_shapes(shape: Any, chunks: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of an array and of its chunks, given as in the metadata.

    Raises ``ValueError`` if they are invalid.
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
    """The prefix of the names of an array's chunk files, and the separator of their indices.

    ``node``: the array's metadata. Raises ``ValueError`` for an invalid separator.
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


def read_attributes(path: Path, zarr_format: int, node: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of the group or array at ``path``; ``node``: its metadata, for format 3.

    Raises ``DataError`` if they are damaged.
    """
    if zarr_format == 2:
        return read_json(path / ".zattrs", {})
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


def read_json(path: Path, default: Any) -> Any:
    """The JSON object in the file ``path``, ``default`` if there is no file; ``DataError``."""
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
