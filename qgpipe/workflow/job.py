"""A job of the workflow, with its log and the record of its outputs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qgpipe.compat.late_imports import import_late
from qgpipe.config.objects import search_path
from qgpipe.config.types import Config
from qgpipe.data.preprocessing.data_plan import generated_identity
from qgpipe.data.preprocessing.plan import store_identity
from qgpipe.data.raw.objects import store_path
from qgpipe.paths import STORE_ATTRIBUTES
from qgpipe.provenance.record import Job, recorded
from qgpipe.stages.module_code import find_code
from qgpipe.stages.registry import STAGES
from qgpipe.system.gpus import own_gpus
from qgpipe.system.logs import stage

logger = logging.getLogger(__name__)


@contextmanager
def job(snakemake: Any, name: str) -> Iterator[Config]:
    """Run a job of the stage ``name``; the block gets the resolved configuration.

    ``snakemake``: the object that a rule's script is given. Its ``params`` are ``section``, what
    shapes the outputs, and ``context``: the configuration with the names of its files. The block
    sees only the GPUs that it may use.
    """
    import_late()
    context, section = snakemake.params.context, dict(snakemake.params.section)
    config: Config = context["config"]
    with stage(snakemake.log[0], config["log_level"], _title(name, Path(snakemake.log[0]).stem)):
        _name_what_is_not_followed(section)
        gpus = own_gpus(snakemake.resources.get("gpu", 0), config["training"]["device"])
        with gpus, recorded(_describe(snakemake, name, section, context)):
            yield config


def _title(name: str, log: str) -> str:
    """The prefix of the messages of a job: ``train``, ``preprocess flat-000000000``, ``tune 1``."""
    return log if log.startswith(name) else f"{name} {log}"


def _describe(snakemake: Any, name: str, section: dict[str, Any], context: Any) -> Job:
    named = dict(snakemake.input.items())
    named.pop("parts", None)  # recorded with dataset.json
    single = [file for file in named.values() if isinstance(file, str)]
    several = [file for files in named.values() if not isinstance(files, str) for file in files]
    inputs = [*single, *several]
    return Job(
        stage=name,
        outputs=_outputs(snakemake),
        inputs=[Path(file) for file in inputs],
        section=section,
        store=_store(snakemake, section),
        config_file=context["file"],
        config_over=context["over"],
        device=context["config"]["training"]["device"] if STAGES[name].uses_device else "cpu",
    )


def _outputs(snakemake: Any) -> list[Path]:
    """The outputs of the job; for a store, Snakemake's output is its attributes file."""
    files = map(Path, snakemake.output)
    return [file.parent if file.name == STORE_ATTRIBUTES else file for file in files]


def _store(snakemake: Any, section: dict[str, Any]) -> tuple[Path, str] | None:
    """The raw store that the job reads or writes, and the identifier of its content."""
    path = getattr(snakemake.params, "store", None)
    if path is None:
        return None
    if "store" in section:  # it is read
        return store_path(path), store_identity(section["store"])
    return Path(path), generated_identity(section)


def _name_what_is_not_followed(section: dict[str, Any]) -> None:
    for file, why in find_code(section, map(Path, search_path())).not_followed.items():
        logger.warning(
            "%s is %s: changes in it are not noticed; after one, use --forcerun", file, why
        )
