"""The known layouts, and the function that opens a store with the layout it has."""

import os
from pathlib import Path
from typing import Any

from qgpipe.data.layouts.groups import Groups
from qgpipe.data.layouts.stacked import Stacked
from qgpipe.data.raw.metadata import read_json
from qgpipe.data.raw.store_files import refusal
from qgpipe.data.raw.stores import Root, StoreInfo
from qgpipe.errors import DataError

LAYOUTS: tuple[type[StoreInfo], ...] = (Groups, Stacked)  # in this order; the last opens any


def open_store(path: str | Path, named_in: str = "data.files") -> StoreInfo:
    """Read the metadata of the zarr store at ``path``; ``named_in``: the key that names it, for
    messages.

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
    with os.scandir(path) as entries:
        found = {entry.name: _is_folder(entry) for entry in entries}
    root = Root(path, zarr_format, node, found, named_in)
    return next(store for layout in LAYOUTS if (store := layout.open(root)) is not None)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _root(path: Path, named_in: str) -> tuple[int, dict[str, Any]]:
    """Zarr format and metadata of the root group."""
    if not path.exists():
        raise DataError("no such store", store=str(path), remedy=f"check {named_in}")
    problem, remedy = "this is not a zarr store", "name the folder that holds .zgroup or zarr.json"
    if not path.is_dir():
        raise DataError(f"{problem} but a file", store=str(path), remedy=remedy)
    node = read_json(path / "zarr.json", {})
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
