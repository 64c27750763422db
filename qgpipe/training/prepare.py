"""Prepares the data for a training that is started in Python, if it is missing or out of date.

Files and records are the same as those of the workflow, so neither repeats work of the other.
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
    """Generate, preprocess and split as needed; returns ``dataset.json`` and ``split.json``.

    Raises ``ConfigError`` or ``DataError`` for an invalid configuration or store, and
    ``FolderInUse`` if there is work to do while another process has locked the data folder.
    """
    dataset, split = paths.dataset(config), paths.split(config)
    with FolderLock(paths.data_lock(config)) as lock:
        _prepare_graphs(config, lock)
        job = Job("split", [split], [dataset], stage_section(config, "split"))
        if _is_to_do(job, lock):
            with recorded(job):
                write_split(config, dataset, split)
    return dataset, split


def prepare_graphs(config: Config) -> Path:
    """As ``prepare_data`` without the split; returns ``dataset.json``."""
    with FolderLock(paths.data_lock(config)) as lock:
        _prepare_graphs(config, lock)
    return paths.dataset(config)


def _prepare_graphs(config: Config, lock: FolderLock) -> None:
    if config.get("generate"):
        _generate(config, lock)
    _preprocess(config, paths.dataset(config), lock)


def _is_to_do(job: Job, lock: FolderLock) -> bool:
    """Whether ``job`` has to run; the data folder is locked before the first such job."""
    if is_up_to_date(job):
        return False
    if lock.held:
        return True
    lock.write()
    return not is_up_to_date(job)  # another process may have run it meanwhile


def _generate(config: Config, lock: FolderLock) -> None:
    try:
        section = stage_section(config, "generate", live_folders())
    except ConfigError:  # a lambda, for instance: changes in it cannot be detected
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
    """The section of each part, with code defined in Python; empty if an object has no name."""
    try:
        sections = part_sections(config, plan, live_folders())
    except ConfigError:
        return {}
    for part in plan:
        source = dict(data_sources(config))[part.role]
        if (live := live_code(source)) != live_code(()):
            sections[part.name]["live"] = live
    return sections
