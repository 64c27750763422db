"""The known layouts, and the function that opens a store with the layout it has."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qgpipe.data.layouts.groups import Groups
from qgpipe.data.layouts.stacked import Stacked
from qgpipe.data.raw.metadata import read_json
from qgpipe.data.raw.objects import ObjectPath, list_objects, store_path
from qgpipe.data.raw.store_files import children, refusal
from qgpipe.data.raw.stores import Root, StoreInfo
from qgpipe.errors import DataError

LAYOUTS: tuple[type[StoreInfo], ...] = (Groups, Stacked)  # in this order; the last opens any
NO_STORE = "this is not a zarr store"
NAME_A_STORE = "name the folder that holds .zgroup or zarr.json"
NAMES_LOOKED_AT = 20  # of a folder without metadata, to find out whether it is a store


def open_store(path: str | Path, named_in: str = "data.files") -> StoreInfo:
    """Read the metadata of the zarr store at ``path``; ``named_in``: the key that names it, for
    messages.

    ``path``: a folder, a zip file, or a URL (s3, gs, http, https) of one of these.

    Raises ``DataError`` if there is no store, if it is a bare array or no zarr store, if its
    metadata is damaged, if it holds no samples, if its arrays disagree on their number, or if its
    groups are named in different ways; ``ReadingError`` if it may not be read, or if its server
    does not answer.
    """
    try:
        return _open_store(store_path(path), named_in)
    except OSError as error:
        refused = refusal(os.fsdecode(error.filename or path), error)
        raise refused if isinstance(refused, DataError) else DataError(str(refused)) from error


def _open_store(path: Path, named_in: str) -> StoreInfo:
    if path.suffix.lower() == ".zip" and path.is_file():
        path = ObjectPath(path)
    listed = list_objects(path) if isinstance(path, ObjectPath) else None
    entries = _entries(path, listed, named_in)
    zarr_format, node = _root(path, listed, entries)
    root = Root(path, zarr_format, node, entries, listed, named_in)
    return next(store for layout in LAYOUTS if (store := layout.open(root)) is not None)


def _entries(path: Path, listed: Sequence[str] | None, named_in: str) -> dict[str, bool]:
    """The names in the root group, and whether each is a folder."""
    if not (path.exists() if listed is None else listed):
        raise DataError("no such store", store=str(path), remedy=f"check {named_in}")
    if listed is None and not path.is_dir():
        raise DataError(f"{NO_STORE} but a file", store=str(path), remedy=NAME_A_STORE)
    return children(path, path, listed)


def _root(
    path: Path, listed: Sequence[str] | None, names: Mapping[str, bool]
) -> tuple[int, dict[str, Any]]:
    """Zarr format and metadata of the root group, which need not be there."""
    node = read_json(path / "zarr.json", {}) if "zarr.json" in names else {}
    if node.get("node_type") == "array" or ".zarray" in names:
        raise DataError(
            "this is a single array, not a group of arrays",
            store=str(path),
            remedy="name the folder above it, or put the array in a group as 'adjacency_matrix'",
        )
    if node.get("node_type") == "group":
        return 3, node
    if ".zgroup" in names:
        return 2, {}
    found = _format_below(path, listed, path, depth=2)
    if found is None:
        raise DataError(NO_STORE, store=str(path), remedy=NAME_A_STORE)
    return found, {}


def _format_below(
    folder: Path, listed: Sequence[str] | None, store: Path, depth: int
) -> int | None:
    """The zarr format of the arrays in ``folder`` or its subfolders; None if there are none.

    Subfolders ``*.zarr`` are stores of their own.
    """
    found_in = children(folder, store, listed).items()
    names = [name for name, is_folder in found_in if is_folder and not name.endswith(".zarr")]
    for name in sorted(names)[:NAMES_LOOKED_AT]:
        inside = children(folder / name, store, listed)
        if ".zarray" in inside or ".zgroup" in inside:
            return 2
        if "zarr.json" in inside:
            return 3
        found = _format_below(folder / name, listed, store, depth - 1) if depth > 1 else None
        if found is not None:
            return found
    return None
