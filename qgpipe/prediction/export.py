"""The model of a run in files that others can read: weights, configuration, program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save

import qgpipe
from qgpipe.config.sections import stage_section
from qgpipe.errors import DataError
from qgpipe.files import atomic_path, read_json, write_json
from qgpipe.models import load_model, read_model_file
from qgpipe.models.program import CannotExport, write_program
from qgpipe.prediction.run_folder import RunFolder
from qgpipe.provenance.record import Job, recorded

FORMAT = 1
_FACTS = ("node_features", "graph_features", "class_names", "target_name", "attributes", "epoch")


def export(run: RunFolder, output: Path) -> str | None:
    """Write ``model.safetensors``, ``model.json`` and, if it can be, ``program.pt2`` to ``output``.

    ``model.json``, which ``qgpipe.models.load_model`` reads, holds the model section and what the
    model was trained on; a record says where the files came from. Returns why there is no program,
    if there is none. Raises ``DataError`` if the file of the model is damaged, or if ``output``
    holds the model of another run, and ``UntrustedName``.
    """
    files = [output / "model.safetensors", output / "model.json"]
    _require_own(run, files[1])
    content = read_model_file(run.model)
    with run.imports():
        model = load_model(run.model, section=run.config["model"])
    weights = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    job = Job(
        stage="export",
        outputs=files,
        inputs=[run.model],
        section=stage_section(run.config, "export", run.code),
        config_file=run.config_file,
    )
    with recorded(job):
        with atomic_path(files[0]) as temporary:
            temporary.write_bytes(save(weights))  # save_file would let nobody else read it
        program = output / "program.pt2"
        least, why = _write_program(run, program, model, content.get("attributes"))
        if why is None:
            files.append(program)  # known only now; the record is written when all is done
        facts = {name: content.get(name) for name in _FACTS}
        write_json(
            files[1],
            {
                "format": FORMAT,
                "qgpipe": qgpipe.__version__,
                "run": run.config["name"],
                "model": content["model"],
                **facts,
                "program": why is None,
                "least_graphs": least,
            },
        )
    return why


def _require_own(run: RunFolder, file: Path) -> None:
    """Raise ``DataError`` if ``file``, a ``model.json``, is there and tells of another run."""
    if not file.exists():
        return
    known, name = read_json(file), run.config["name"]
    other = known.get("run") if isinstance(known, dict) else None
    if other != name:
        holds = f"the model of run '{other}'" if other else "another model.json"
        raise DataError(
            f"{file.parent} holds {holds}, not of '{name}'",
            remedy="name another folder with --output, or delete that one",
        )


def _write_program(
    run: RunFolder, path: Path, model: Any, attributes: Any
) -> tuple[int | None, str | None]:
    """The least number of graphs that the program takes, or why there is none."""
    path.unlink(missing_ok=True)  # of an earlier export
    if run.config["apply_model"] is not None:
        return None, "apply_model calls the model in a way of its own"
    if not attributes or "x" not in attributes:
        return None, "its file does not say what features it was trained on"
    columns = {name: (entry["shape"] or [1])[-1] for name, entry in attributes.items()}
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            least = write_program(file, model, columns["x"], columns.get("graph_features"))
    except CannotExport as error:
        return None, str(error)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    return least, None
