"""Exports the model of a run for other programs: weights, configuration, program."""

from pathlib import Path
from typing import Any

from safetensors.torch import save

import qgpipe
from qgpipe import paths
from qgpipe.errors import DataError
from qgpipe.models import load_model, read_model_file
from qgpipe.models.construct.model_file import format_number
from qgpipe.models.program import CannotExport, write_program
from qgpipe.prediction.run_folder import RunFolder
from qgpipe.provenance.record import Job, read_record, recorded
from qgpipe.stages.registry import stage_section
from qgpipe.system.files import atomic_path, read_json, require_folder, sha256, write_json

_FACTS = ("node_features", "graph_features", "class_names", "target_name", "attributes", "epoch")


def export(run: RunFolder, output: Path) -> str | None:
    """Write ``model.safetensors``, ``model.json`` and, if it can be, ``program.pt2`` to ``output``.

    ``model.json``, which ``qgpipe.models.load_model`` reads, holds the model section and what the
    model was trained on; the files get a record. Returns the reason if there is no program, else
    None. Raises ``DataError`` if the file of the model is damaged, or if ``output`` holds the model
    of another run, and ``UntrustedName``.
    """
    *files, program = paths.exported_files(output)
    _require_own(run, output)
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
            temporary.write_bytes(save(weights))  # save_file makes it readable only by the user
        least, why = _write_program(run, program, model, content.get("attributes"))
        if why is None:
            files.append(program)  # known only now; the record is written at the end of the block
        facts = {name: content.get(name) for name in _FACTS}
        if "ensemble" in content:
            facts["ensemble"] = content["ensemble"]
        write_json(
            files[1],
            {
                "format": format_number(weights, content),
                "qgpipe": qgpipe.__version__,
                "run": run.config["name"],
                "model": content["model"],
                **facts,
                "program": why is None,
                "least_graphs": least,
            },
        )
    return why


def _require_own(run: RunFolder, output: Path) -> None:
    """Raise ``DataError`` if ``output`` holds an export of another run or of unknown origin.

    Files belong to the run if ``model.json`` names it and the record, if there is one, names its
    model or one with the same bytes.
    """
    require_folder(output)
    there = [file for file in paths.exported_files(output) if file.exists()]
    if not there:
        return
    name, this = run.config["name"], f"'{run.config['name']}'"
    other = _run_in(output / "model.json")
    holds = f"another {there[0].name}" if other is None else f"the model of run '{other}'"
    if other == name:
        record = read_record(paths.stage_provenance(output, "export"))
        models = {} if record is None else {p.resolve(): made for p, made in record.inputs.items()}
        if not models or run.model.resolve() in models or sha256(run.model) in models.values():
            return
        holds += f" in {next(iter(models)).parent}"
        this += f" in {run.folder.resolve()}"
    raise DataError(
        f"{output} holds {holds}, not of {this}",
        remedy="name another folder with --output, or delete that one",
    )


def _run_in(model_json: Path) -> str | None:
    """The name of the run in ``model.json``; None if it is unknown."""
    try:
        content = read_json(model_json)
    except DataError:
        return None
    name = content.get("run") if isinstance(content, dict) else None
    return name if isinstance(name, str) else None


def _write_program(
    run: RunFolder, path: Path, model: Any, attributes: Any
) -> tuple[int | None, str | None]:
    """Write the program; returns the least number of graphs it accepts, or why there is none."""
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
