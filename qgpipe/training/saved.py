"""Files that hold tensors and plain values, and nothing that runs when they are opened."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qgpipe.errors import TrainingError
from qgpipe.files import atomic_path


class DamagedFile(TrainingError):
    """A file is cut short or its checksums do not agree."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` atomically.

    Raises ``TrainingError`` naming the place of a value that is neither a tensor nor plain: it
    could not be loaded again without running code.
    """
    plain = as_plain(content, "")
    # To an open file: given a name, torch.save writes the temporary name into the file.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(plain, file)


def load(path: Path, format_version: int, what: str) -> dict[str, Any]:
    """The content of ``path``, its tensors on the CPU.

    ``what`` names the kind of file for messages. Raises ``DamagedFile`` if it is cut short or
    altered, ``TrainingError`` if it is missing or of another format version.
    """
    if not path.exists():
        raise TrainingError(f"no such file: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not look at the checksums
        if damaged is not None:
            raise DamagedFile(f"{path} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise DamagedFile(f"{path} is damaged: {error}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != format_version:
        raise TrainingError(
            f"{path} is not a {what} of format {format_version} (found {found!r})",
            remedy="delete it and train again, or use the qgpipe that wrote it",
        )
    return content


def as_plain(value: Any, place: str) -> Any:
    """``value`` with NumPy values as Python ones, tensors as they are.

    Raises ``TrainingError`` naming ``place`` for anything that is not plain.
    """
    if value is None or type(value) in (bool, int, float) or isinstance(value, torch.Tensor):
        return value
    if type(value) is str:
        return sys.intern(value)  # pickle writes equal strings twice unless they are one object
    if isinstance(value, np.ndarray | np.generic):
        return as_plain(value.tolist(), place)
    if type(value) in (dict, OrderedDict, Counter):
        return type(value)(
            {as_plain(k, place): as_plain(v, f"{place}.{k}") for k, v in value.items()}
        )
    if type(value) in (list, tuple, torch.Size):
        inner = [as_plain(v, f"{place}[{i}]") for i, v in enumerate(value)]
        return inner if type(value) is list else tuple(inner)
    if isinstance(value, torch.dtype | torch.device):
        return value
    raise TrainingError(
        f"{place.lstrip('.')} is a {type(value).__name__}, which a checkpoint cannot hold",
        remedy="return tensors and plain values from state_dict",
    )
