"""Checksums of artifacts, and whether the files on disk still match them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import continues, observe
from qgpipe.errors import DataError, ReadingError
from qgpipe.system.files import sha256

_PART = re.compile(r".+-\d{9}\.safetensors")  # from ``plan_parts``: <store>-<first sample>
Status = Literal["holds", "changed", "missing"]


def checksum(path: Path) -> str:
    """``sha256:<hex>`` of a file; for a part the checksum of its data, from the header."""
    if _PART.fullmatch(path.name):
        from qgpipe.data.storage.part_file import read_part_info  # imports numpy

        return read_part_info(path)["checksum"]
    return sha256(path)


def status(path: Path, recorded: str, store: Mapping[str, Any] | None = None) -> Status:
    """Whether the artifact at ``path`` still has the checksum ``recorded``.

    Files are read completely. ``store``: the recorded state of a raw store; a store that only
    gained samples holds.
    """
    if not path.exists():
        return "missing"
    try:
        if store is not None:
            known = open_store(path)
            return "holds" if continues(observe(known, store), store) else "changed"
        if _PART.fullmatch(path.name):
            from qgpipe.data.storage.part_file import verify_part

            verify_part(path)
        return "holds" if checksum(path) == recorded else "changed"
    except ReadingError:
        raise
    except DataError:
        return "changed"
