"""Zarr groups as nested dicts of arrays."""

from pathlib import Path
from typing import Any

import zarr


def zarr_group_to_dict(group: Any, target: dict[str, Any]) -> None:
    """Read all arrays of ``group`` into ``target``, groups in it as nested dicts."""
    for name in group:
        value = group[name]
        if isinstance(value, zarr.Group):
            zarr_group_to_dict(value, target.setdefault(name, {}))
        else:
            target[name] = value[...]


def zarr_file_to_dict(path: str | Path) -> dict[str, Any]:
    """All arrays of the store in the folder ``path``, groups as nested dicts."""
    found: dict[str, Any] = {}
    zarr_group_to_dict(zarr.open_group(path, mode="r"), found)
    return found
