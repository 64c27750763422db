"""Model files: a model section with objects as tagged names, and the weights.

They are read with ``weights_only=True``, so that no code stored in a file is ever run. The
types that a file names are imported, as those of a configuration are, and only module
types are constructed.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from qgpipe.config.dump import to_plain
from qgpipe.errors import DataError
from qgpipe.files import atomic_path

FORMAT = 1


def save_model(path: str | Path, section: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    """Write a model to ``path``, atomically.

    ``section`` is the ``model`` section that builds it (native, or ``{type, args, kwargs}``)
    and ``weights`` its ``state_dict``. Raises ``ConfigError`` for an object without an
    importable name.
    """
    content = {"format": FORMAT, "model": to_plain(section, "model"), "state_dict": dict(weights)}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # An open file: torch.save would write the temporary name into one given by name.
        torch.save(content, file)


def read_model_file(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """``(section, state_dict)`` of a model file, tensors on the CPU.

    Raises ``DataError`` if the file is missing, damaged, no model file, or holds code.
    """
    try:
        file = io.BytesIO(Path(path).read_bytes())
    except FileNotFoundError:
        raise DataError(f"no such file: {path}") from None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise DataError(
            f"{path} is damaged, or holds code, which is never run",
            remedy="write it again with save()",
        ) from error
    if not isinstance(content, dict) or not {"format", "model", "state_dict"} <= set(content):
        raise DataError(f"{path} is not a model file", remedy="write it with save()")
    if content["format"] != FORMAT:
        raise DataError(
            f"{path} has format {content['format']}, this version reads {FORMAT}",
            remedy="train again, or use the version that wrote it",
        )
    return content["model"], content["state_dict"]


def load_weights(model: nn.Module, weights: Mapping[str, Any], path: str | Path) -> None:
    """Put ``weights`` into ``model``. Raises ``DataError`` (naming ``path``) if they do not fit."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            f"the weights in {path} do not fit the model: {' '.join(str(error).split())}",
            remedy="its class has changed since; train again",
        ) from None
