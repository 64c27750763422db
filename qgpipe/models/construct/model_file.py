"""Model files: a model section with objects as tagged names, and the weights.

No code stored in a file is ever run. The types and functions that a file names are imported, and
called with the arguments that stand there; only known ones, unless the file was made here or is
trusted (``qgpipe.config.trust``).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from qgpipe.config.dump import to_plain
from qgpipe.config.trust import imports_for
from qgpipe.errors import DataError
from qgpipe.models.construct.ablation import Ablation
from qgpipe.models.construct.standardizer import Standardizer
from qgpipe.provenance.record import made_here
from qgpipe.system import tensor_files
from qgpipe.system.files import read_json

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

    ``path`` may be an exported ``model.json``, whose weights lie beside it. Tensors are on the
    CPU. Raises ``DataError`` if the file is missing, damaged, no model file, or holds code.
    """
    path = Path(path)
    is_export = path.suffix == ".json"
    content = _read_export(path) if is_export else tensor_files.load(path, FORMAT, "model file")
    if not isinstance(content.get("model"), dict) or not isinstance(
        content.get("state_dict"), dict
    ):
        raise DataError(f"{path} is not a model file", remedy="see which file is meant")
    return content


def _read_export(path: Path) -> dict[str, Any]:
    """The content of a ``model.json``, with the weights of the ``model.safetensors`` beside it."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(
            f"{path} is not a model that was exported", remedy="see which file is meant"
        )
    weights = path.with_name("model.safetensors")
    try:
        return {**content, "state_dict": load_file(weights)}
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{weights} cannot be read ({' '.join(str(error).split())[:80]})",
            remedy="export the model again",
        ) from None


def imports_of(
    path: str | Path, section: Mapping[str, Any], trust: bool
) -> AbstractContextManager[None]:
    """A block in which the model of ``section``, from the file ``path``, is built.

    Parts that are not known are imported only with ``trust``, or if a record beside the file says
    that it was made here. Raises ``UntrustedName``.
    """
    return imports_for(str(path), section, trust=trust, made_here=lambda: made_here(Path(path)))


def load_weights(
    model: nn.Module, weights: Mapping[str, Any], path: str | Path, name: str = "model"
) -> None:
    """Put ``weights`` into ``model``, which messages call ``name``.

    If they are of a model with standardisation, or with an ablation, that becomes a part of this
    one. Raises ``DataError`` (naming ``path``) if they do not fit.
    """
    standardizer = Standardizer.of_weights(weights)
    if standardizer is not None:
        standardizer.attach(model)
    ablation = Ablation.of_weights(weights)
    if ablation is not None:
        ablation.attach(model)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            f"the weights in {path} do not fit the {name}: {' '.join(str(error).split())}",
            remedy="its class has changed since; train again",
        ) from None
