"""Model files: a model section with objects as tagged names, and the weights.

No code stored in a file is ever run. But the types and functions that a file names are imported,
and called with the arguments that stand there, as those of a configuration are: a model file
deserves as much trust as a configuration, not more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from qgpipe import tensor_files
from qgpipe.config.dump import to_plain
from qgpipe.errors import DataError

FORMAT = 1


def save_model(
    path: str | Path, section: Mapping[str, Any], weights: Mapping[str, Any], **facts: Any
) -> None:
    """Write a model to ``path``, atomically.

    ``section`` is the ``model`` section that builds it (native, or ``{type, args, kwargs}``),
    ``weights`` its ``state_dict``, and ``facts`` are plain values to be kept beside them.
    Raises ``ConfigError`` for an object without an importable name.
    """
    content = {"format": FORMAT, "model": to_plain(section, "model"), "state_dict": dict(weights)}
    tensor_files.save(path, {**content, **facts})


def read_model_file(path: str | Path) -> dict[str, Any]:
    """What a model file holds: ``model`` (the section), ``state_dict``, and the facts.

    Tensors are on the CPU. Raises ``DataError`` if the file is missing, damaged, no model
    file, or holds code.
    """
    content = tensor_files.load(path, FORMAT, "model file")
    if not {"model", "state_dict"} <= set(content):
        raise DataError(f"{path} is not a model file", remedy="see which file is meant")
    return content


def load_weights(
    model: nn.Module, weights: Mapping[str, Any], path: str | Path, name: str = "model"
) -> None:
    """Put ``weights`` into ``model``, which messages call ``name``.

    Raises ``DataError`` (naming ``path``) if they do not fit.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            f"the weights in {path} do not fit the {name}: {' '.join(str(error).split())}",
            remedy="its class has changed since; train again",
        ) from None
