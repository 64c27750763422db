"""Data for a training that is started in Python: made where it is missing or out of date.

The stage functions of the workflow write the same files, with the same records of where they
came from: what one has made, the other need not make again.
"""

import logging
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.causets.writers.generate import generate_store
from qgpipe.config.resolve import data_sources
from qgpipe.config.types import Config
from qgpipe.data.preprocessing.data_plan import (
    dataset_section,
    described_stores,
    generated_identity,
    part_sections,
)
from qgpipe.data.preprocessing.part import preprocess_part, write_dataset
from qgpipe.data.preprocessing.plan import PartPlan, plan_parts, store_identity
from qgpipe.data.splits.split_file import write_split
from qgpipe.errors import ConfigError
from qgpipe.provenance.record import Job, is_up_to_date, recorded
from qgpipe.provenance.same_stores import require_same_stores
from qgpipe.stages.registry import stage_section
from qgpipe.stages.session_code import live_code, live_folders
from qgpipe.system.lock import FolderLock

logger = logging.getLogger(__name__)


def prepare_data(config: Config) -> tuple[Path, Path]:
    """Generate, preprocess and split what has to be; returns ``dataset.json`` and ``split.json``.

    Raises ``ConfigError`` or ``DataError`` for what is wrong with configuration or stores, and
    ``FolderInUse`` if there is something to do while another process works on the data.
    """
    dataset, split = paths.dataset(config), paths.split(config)
    with FolderLock(paths.data_lock(config)) as lock:
        if config.get("generate"):
            _generate(config, lock)
        _preprocess(config, dataset, lock)
        job = Job("split", [split], [dataset], stage_section(config, "split"))
        if _is_to_do(job, lock):
            with recorded(job):
                write_split(config, dataset, split)
    return dataset, split


def _is_to_do(job: Job, lock: FolderLock) -> bool:
    """Whether ``job`` has to be done; from the first that has, the data is locked."""
    if is_up_to_date(job):
        return False
    if lock.held:
        return True
    lock.write()
    return not is_up_to_date(job)  # another process may just have done it


def _generate(config: Config, lock: FolderLock) -> None:
    try:
        section = stage_section(config, "generate", live_folders())
    except ConfigError:  # of a lambda, say, there is no telling whether it has changed
        section = None
    identity = generated_identity(section) if section else ""
    for name in config["generate"]["stores"]:
        store = paths.raw_store(config, name)
        job = Job("generate", [store], [], section, (store, identity))
        if _is_to_do(job, lock):
            logger.info("generate %s", store)
            with recorded(job):
                generate_store(config["generate"], name, store, config["data"]["n_processes"])


def _preprocess(config: Config, dataset: Path, lock: FolderLock) -> None:
    sources = dict(data_sources(config))
    plan = plan_parts(config)
    sections = _part_sections(config, plan)
    files = [paths.part(config, part.name) for part in plan]
    for part, file in zip(plan, files, strict=True):
        shaped_by = sections.get(part.name)
        store = part.path, store_identity(shaped_by["store"]) if shaped_by else ""
        job = Job("preprocess", [file], [], shaped_by, store)
        if _is_to_do(job, lock):
            logger.info("preprocess %s", part.name)
            with recorded(job):
                preprocess_part(
                    config,
                    part.path,
                    part.store,
                    part.start,
                    part.stop,
                    file,
                    role=part.role,
                    processes=sources[part.role]["n_processes"],
                )
    job = Job("gather", [dataset], files, dataset_section(plan))
    if _is_to_do(job, lock):
        with recorded(job):
            require_same_stores(files, described_stores(plan))
            write_dataset(files, described_stores(plan), dataset)


def _part_sections(config: Config, plan: list[PartPlan]) -> dict[str, dict[str, Any]]:
    """What shapes each part, with code that was defined in Python; none if it has no name."""
    try:
        sections = part_sections(config, plan, live_folders())
    except ConfigError:
        return {}
    for part in plan:
        source = dict(data_sources(config))[part.role]
        if (live := live_code(source)) != live_code(()):
            sections[part.name]["live"] = live
    return sections
