"""A job of the workflow: its words go to its log, and where its outputs came from is recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qgpipe.config.objects import search_path
from qgpipe.data.preprocessing.part_sections import generated_identity
from qgpipe.data.preprocessing.plan import store_identity
from qgpipe.provenance.record import Job, recorded
from qgpipe.stages.module_code import find_code
from qgpipe.system.gpus import own_gpus
from qgpipe.system.logs import stage

logger = logging.getLogger(__name__)

_ON_DEVICE = ("train", "test", "predict", "tune")


@contextmanager
def job(snakemake: Any, name: str) -> Iterator[dict[str, Any]]:
    """Run a job of the stage ``name``; the block gets the resolved configuration.

    ``snakemake``: the object that a rule's script is given. Its ``params`` are ``section``, what
    shapes the outputs, and ``context``: the configuration with the name of its file. The block
    sees only the GPUs that it may use.
    """
    context, section = snakemake.params.context, dict(snakemake.params.section)
    config = context["config"]
    with stage(snakemake.log[0], config["log_level"], _title(name, Path(snakemake.log[0]).stem)):
        _name_what_is_not_followed(section)
        gpus = own_gpus(snakemake.resources.get("gpu", 0), config["training"]["device"])
        with gpus, recorded(_describe(snakemake, name, section, context)):
            yield config


def _title(name: str, log: str) -> str:
    """What the lines of a job begin with: ``train``, ``preprocess flat-000000000``, ``tune 1``."""
    return log if log.startswith(name) else f"{name} {log}"


def _describe(snakemake: Any, name: str, section: dict[str, Any], context: Any) -> Job:
    named = dict(snakemake.input.items())
    parts = named.pop("parts", [])  # read by later stages too, but recorded with dataset.json
    single = [file for file in named.values() if isinstance(file, str)]
    several = [file for files in named.values() if not isinstance(files, str) for file in files]
    inputs = [*single, *several, *(parts if name == "gather" else [])]
    return Job(
        stage=name,
        outputs=_outputs(snakemake, name),
        inputs=[Path(file) for file in inputs],
        section=section,
        store=_store(snakemake, name, section),
        config_file=context["file"],
        device=context["config"]["training"]["device"] if name in _ON_DEVICE else "cpu",
    )


def _outputs(snakemake: Any, name: str) -> list[Path]:
    """What the job makes; a store is declared by its attributes, which a complete one has."""
    files = [Path(file) for file in snakemake.output]
    return [file.parent for file in files] if name == "generate" else files


def _store(snakemake: Any, name: str, section: dict[str, Any]) -> tuple[Path, str] | None:
    """The raw store that the job reads or writes, and the name of what it holds."""
    if name == "preprocess":
        return Path(snakemake.params.samples["store_path"]), store_identity(section["store"])
    if name == "predict":
        return Path(snakemake.params.store), section["store"]
    if name == "generate":
        return _outputs(snakemake, name)[0], generated_identity(section)
    return None


def _name_what_is_not_followed(section: dict[str, Any]) -> None:
    for file, why in find_code(section, map(Path, search_path())).not_followed.items():
        logger.warning(
            "%s is %s: changes in it are not noticed; after one, use --forcerun", file, why
        )
