"""Model files: a model section with objects as tagged names, and the weights.

Code stored in a file is never executed. The types and functions that a file names are imported and
called with the arguments in the file; unless it was made here or is trusted, only known ones
(``qgpipe.config.trust``).
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
from qgpipe.models.construct.calibrator import Calibrator
from qgpipe.models.construct.standardizer import Standardizer
from qgpipe.provenance.record import made_here
from qgpipe.system import tensor_files
from qgpipe.system.files import read_json

FORMAT = 1
FORMAT_OF_ENSEMBLES = 2  # which versions before cannot load
_FORMATS = (FORMAT, FORMAT_OF_ENSEMBLES)


def save_model(
    path: str | Path, section: Mapping[str, Any], weights: Mapping[str, Any], **facts: Any
) -> None:
    """Write a model to ``path``, atomically.

    ``section``: the ``model`` section to build it from (native, or ``{type, args, kwargs}``);
    ``weights``: its ``state_dict``; ``facts``: further plain values to store, ``ensemble``
    (``{answers: {task: kind}, size}``) if the weights are those of an ``Ensemble``. Raises
    ``ConfigError`` for an object without an importable name.
    """
    number = format_number(weights, facts)
    content = {"format": number, "model": to_plain(section, "model"), "state_dict": dict(weights)}
    tensor_files.save(path, {**content, **facts})


def format_number(weights: Mapping[str, Any], facts: Mapping[str, Any]) -> int:
    """The number of the format of a file with these ``weights`` and ``facts``."""
    parts = Calibrator.of_weights(weights) or Ablation.of_weights(weights)
    is_newer = facts.get("ensemble") or parts
    return FORMAT_OF_ENSEMBLES if is_newer else FORMAT


def read_model_file(path: str | Path) -> dict[str, Any]:
    """The content of a model file: ``model`` (the section), ``state_dict``, and the facts.

    ``path`` may be an exported ``model.json``, with the weights in a file beside it. Tensors are on
    the CPU. Raises ``DataError`` if the file is missing, damaged, no model file, or holds code.
    """
    path = Path(path)
    is_export = path.suffix == ".json"
    content = _read_export(path) if is_export else tensor_files.load(path, _FORMATS, "model file")
    if not isinstance(content.get("model"), dict) or not isinstance(
        content.get("state_dict"), dict
    ):
        raise DataError(f"{path} is not a model file", remedy="see which file is meant")
    return content


def _read_export(path: Path) -> dict[str, Any]:
    """The content of a ``model.json``, with the weights of the ``model.safetensors`` beside it."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") not in _FORMATS:
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

    Unknown parts are imported only with ``trust``, or if the file was made here according to the
    record beside it. Raises ``UntrustedName``.
    """
    return imports_for(str(path), section, trust=trust, made_here=lambda: made_here(Path(path)))


def attach_parts(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Attach to ``model`` the standardizer, ablation and calibrator in its ``weights``."""
    for kind in (Standardizer, Ablation, Calibrator):
        part = kind.of_weights(weights)
        if part is not None:
            part.attach(model)


def load_weights(
    model: nn.Module, weights: Mapping[str, Any], path: str | Path, name: str = "model"
) -> None:
    """Load ``weights`` into ``model``, which is called ``name`` in messages.

    If they contain a standardizer, an ablation or a calibrator, these are attached to the model.
    Raises ``DataError`` (naming ``path``) if they do not fit.
    """
    attach_parts(model, weights)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            f"the weights in {path} do not fit the {name}: {' '.join(str(error).split())}",
            remedy="its class has changed since; train again",
        ) from None
