"""The model of a run in files that others can read: weights, configuration, program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import qgpipe
from qgpipe.errors import DataError
from qgpipe.files import atomic_path, write_json
from qgpipe.models import load_model, read_model_file
from qgpipe.models.program import CannotExport, write_program
from qgpipe.prediction.run_folder import RunFolder

FORMAT = 1
_FACTS = ("node_features", "graph_features", "class_names", "target_name", "attributes", "epoch")


def export(run: RunFolder, output: Path) -> str | None:
    """Write ``model.safetensors``, ``model.json`` and, if it can be, ``program.pt2`` to ``output``.

    ``model.json`` holds the model section, which ``qgpipe.models.build_model`` takes, and what the
    model was trained on. Returns why there is no program, if there is none. Raises ``DataError``
    if the file of the model is damaged.
    """
    content = read_model_file(run.model)
    model = load_model(run.model)
    weights = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    with atomic_path(output / "model.safetensors") as temporary:
        save_file(weights, temporary)
    why = _write_program(run, output / "program.pt2", model, content.get("attributes"))
    facts = {name: content.get(name) for name in _FACTS}
    write_json(
        output / "model.json",
        {
            "format": FORMAT,
            "qgpipe": qgpipe.__version__,
            "run": run.config["name"],
            "model": content["model"],
            **facts,
            "program": why is None,
        },
    )
    return why


def _write_program(run: RunFolder, path: Path, model: Any, attributes: Any) -> str | None:
    path.unlink(missing_ok=True)  # of an earlier export
    if run.config["apply_model"] is not None:
        return "apply_model calls the model in a way of its own"
    if not attributes or "x" not in attributes:
        return "its file does not say what features it was trained on"
    columns = {name: (entry["shape"] or [1])[-1] for name, entry in attributes.items()}
    try:
        with atomic_path(path) as temporary:
            named = temporary.with_suffix(".pt2")  # torch insists on it
            write_program(named, model, columns["x"], columns.get("graph_features"))
            named.rename(temporary)
    except CannotExport as error:
        return str(error)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    return None
