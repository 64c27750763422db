"""Files of tensors and plain values, which do not run code when they are opened.

Model files and checkpoints are zip archives as ``torch.save`` writes them. They are read with
``weights_only=True``, after the checksums of the archive, which torch ignores, are verified.
"""

import io
import pickle
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qgpipe.errors import DataError, TrainingError
from qgpipe.system.files import write_bytes

_PICKLE = b"\x80"  # first byte of a pickle since protocol 2


class DamagedFile(DataError):
    """A file is truncated, or its checksums do not match."""


class CodeInFile(DataError):
    """A file holds objects that could only be restored by running code."""


def save(path: str | Path, content: dict[str, Any]) -> None:
    """Write ``content`` atomically.

    Raises ``TrainingError`` with the key of a value that is neither a tensor nor plain: it could
    not be loaded without running code.
    """
    write_bytes(path, to_bytes(content))


def to_bytes(content: dict[str, Any]) -> memoryview:
    """The bytes that :func:`save` writes, equal for equal content."""
    # In memory first: torch.save puts the name of a file into it, and on a full disk hides
    # the system's error behind one of its own.
    buffer = io.BytesIO()
    torch.save(as_plain(content, ""), buffer)
    return buffer.getbuffer()


def load(path: str | Path, format_versions: int | Sequence[int], what: str) -> dict[str, Any]:
    """The content of ``path``, its tensors on the CPU.

    ``what`` names the kind of file for messages. Raises ``DamagedFile`` if it is truncated or
    altered, ``CodeInFile`` if it holds more than tensors and plain values, and ``DataError`` if it
    is missing, of another kind, or of another format version.
    """
    path = Path(path)
    try:
        content = _read(path)
    except FileNotFoundError:
        raise DataError(f"no such file: {path}") from None
    except PermissionError:
        raise DataError(f"{path} may not be read", remedy="change its permissions") from None
    except pickle.UnpicklingError as error:
        raise CodeInFile(
            f"{path} holds code, which is never run",
            remedy=f"find out where it comes from: no {what} of ours holds any",
        ) from error
    except Exception as error:  # zipfile and torch raise many kinds for damaged bytes
        raise DamagedFile(
            f"{path} is damaged ({' '.join(str(error).split())[:80]})",
            remedy="delete it, and make it again or take a copy",
        ) from None
    if not isinstance(content, dict) or "format" not in content:
        raise DataError(f"{path} is not a {what}", remedy="see which file is meant")
    known = [format_versions] if isinstance(format_versions, int) else format_versions
    if content["format"] not in known:
        raise DataError(
            f"{path} is a {what} of format {content['format']}, this version reads "
            f"{' and '.join(map(str, known))}",
            remedy="delete it and train again, or use the qgpipe that wrote it",
        )
    return content


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        if file.read(1) == _PICKLE:
            raise pickle.UnpicklingError("not an archive")
        with zipfile.ZipFile(file) as archive:
            if (name := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"checksum of {name}")
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)


def as_plain(value: Any, place: str) -> Any:
    """``value`` with NumPy values converted to Python values; tensors are unchanged.

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
        f"{place.lstrip('.')} is a {type(value).__name__}, which a file of ours cannot hold",
        remedy="return tensors and plain values from state_dict",
    )
