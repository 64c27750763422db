"""Data for a training that is started in Python: made where it is missing or out of date.

The stage functions of the workflow write the same files. What each file was made from is
kept in ``prepared.json`` beside them; a file of which that is not known is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.causets.stores import generate_store
from qgpipe.config.live_code import live_code, live_folders
from qgpipe.config.resolve import data_sources
from qgpipe.config.sections import stage_section
from qgpipe.data.plan import PartPlan, plan_parts
from qgpipe.data.preprocess import preprocess_part, write_dataset
from qgpipe.data.split import write_split
from qgpipe.errors import ConfigError
from qgpipe.files import read_json, sha256, write_json

logger = logging.getLogger(__name__)


def prepare_data(config: Mapping[str, Any]) -> tuple[Path, Path]:
    """Generate, preprocess and split what has to be; returns ``dataset.json`` and ``split.json``.

    Raises ``ConfigError`` or ``DataError`` for what is wrong with configuration or stores.
    """
    record = _Record(paths.prepared(config))
    if config.get("generate"):
        _generate(config, record)
    dataset, split = paths.dataset(config), paths.split(config)
    _preprocess(config, record, dataset)
    made_from = _made_from(config, "split", dataset=sha256(dataset))
    if not record.holds(split, made_from):
        write_split(config, dataset, split)
        record.add(split, made_from)
    return dataset, split


def _generate(config: Mapping[str, Any], record: _Record) -> None:
    section = config["generate"]
    made_from = _made_from(config, "generate")
    for name in section["stores"]:
        store = paths.raw_store(config, name)
        if not record.holds(store, made_from):
            logger.info("generate %s", store)
            generate_store(section, name, store, config["data"]["n_processes"])
            record.add(store, made_from)


def _preprocess(config: Mapping[str, Any], record: _Record, dataset: Path) -> None:
    sources = dict(data_sources(config))
    plan = plan_parts(config)
    files = [paths.part(config, part.name) for part in plan]
    for part, file in zip(plan, files, strict=True):
        source = sources[part.role]
        made_from = _made_from(config, "preprocess", source, **_samples(config, part, source))
        if not record.holds(file, made_from):
            logger.info("preprocess %s", part.name)
            preprocess_part(
                config,
                part.path,
                part.store,
                part.start,
                part.stop,
                file,
                role=part.role,
                processes=source["n_processes"],
            )
            record.add(file, made_from)
    made_from = json.dumps([record.entry(file) for file in files])
    if not record.holds(dataset, made_from):
        stores = {part.store: part.describe_store() for part in plan}
        write_dataset(files, list(stores.values()), dataset)
        record.add(dataset, made_from)


def _samples(
    config: Mapping[str, Any], part: PartPlan, source: Mapping[str, Any]
) -> dict[str, Any]:
    """What identifies the graphs of ``part``: its samples, how they were made, and live code."""
    return {
        "store": part.store,
        "path": str(part.path),
        "role": part.role,
        "start": part.start,
        "stop": part.stop,
        "identity": part.source,
        "generate": _made_from(config, "generate") if part.generated else None,
        "code": live_code(source),
    }


def _made_from(
    config: Mapping[str, Any],
    stage: str,
    source: Mapping[str, Any] | None = None,
    **facts: Any,
) -> str | None:
    """A digest of what shapes the result of ``stage``; ``None`` if it cannot be named."""
    try:
        section = stage_section(config, stage, live_folders(), source)
    except ConfigError:  # of a lambda, say, there is no telling whether it has changed
        return None
    return hashlib.sha256(json.dumps([section, facts], sort_keys=True).encode()).hexdigest()


class _Record:
    """What each file or folder was made from, and what it looked like then."""

    def __init__(self, path: Path):
        self._path = path
        self._entries: dict[str, list[Any]] = read_json(path) if path.exists() else {}

    def holds(self, output: Path, made_from: str | None) -> bool:
        """Whether ``output`` was made from this and not touched since."""
        return (
            made_from is not None
            and output.exists()
            and self.entry(output) == [made_from, output.stat().st_mtime_ns]
        )

    def add(self, output: Path, made_from: str | None) -> None:
        """Note that ``output`` has just been made."""
        self._entries[output.name] = [made_from, output.stat().st_mtime_ns]
        write_json(self._path, self._entries)

    def entry(self, output: Path) -> list[Any] | None:
        """What is noted about ``output``."""
        return self._entries.get(output.name)
