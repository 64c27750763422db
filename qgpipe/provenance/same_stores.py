"""Checks that stores have not changed since the parts of a data set were read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import continues, is_state, observe
from qgpipe.data.raw.objects import store_path
from qgpipe.data.storage.part_file import read_part_info
from qgpipe.provenance.record import find_record, refuse_changed


def require_same_stores(parts: Sequence[Path], stores: Sequence[Mapping[str, Any]]) -> None:
    """Raise ``DataError`` if a store has changed since its first or last part was read.

    ``stores``: their entries for ``dataset.json``. Each part was compared with the planned state
    when it was made. Parts without a record are not checked.
    """
    first_and_last: dict[str, list[Path]] = {}
    for part in parts:
        of_store = first_and_last.setdefault(read_part_info(part)["store"], [])
        of_store[1:] = [part]
    for store in stores:
        path = store_path(store["path"])
        for part in first_and_last.get(store["name"], ()):
            record = find_record(part)
            state = None if record is None else record.content["store"]
            if is_state(state) and not continues(observe(open_store(path), state), state):
                refuse_changed(None, path, f"since {part.name} was read")
