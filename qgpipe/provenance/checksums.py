"""Checksums of artifacts, and whether what is on disk still has them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import continues, observe
from qgpipe.errors import DataError, ReadingError
from qgpipe.system.files import sha256

_PART = re.compile(r".+-\d{9}\.safetensors")  # as ``plan_parts`` names them: <store>-<first sample>
Status = Literal["holds", "changed", "missing"]


def checksum(path: Path) -> str:
    """``sha256:<hex>`` of a file; of a part the checksum in its header, of its data alone."""
    if _PART.fullmatch(path.name):
        from qgpipe.data.storage.part_file import read_part_info  # imports numpy

        return read_part_info(path)["checksum"]
    return sha256(path)


def status(path: Path, recorded: str, store: Mapping[str, Any] | None = None) -> Status:
    """Whether the artifact at ``path`` is still the one with the checksum ``recorded``.

    Files are read whole. ``store``: the recorded state if it is a raw store; one that has only
    grown since holds.
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
