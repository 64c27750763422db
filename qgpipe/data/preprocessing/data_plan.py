"""The planned parts of the data of runs, and the sections of parts and of their list."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.resolve import data_sources
from qgpipe.config.types import Config
from qgpipe.data.preprocessing.plan import PartPlan, plan_parts
from qgpipe.data.preprocessing.set_preflight import check_sets
from qgpipe.stages.registry import STAGES, stage_section


def part_sections(
    config: Config, parts: Iterable[PartPlan], folders: Iterable[Path] = ()
) -> dict[str, dict[str, Any]]:
    """The section of each part, by name: how it is read, which samples, of which store."""
    folders = list(folders)
    sections = {
        role: stage_section(config, "preprocess", folders, source)
        for role, source in data_sources(config)
    }
    generated = generated_identity(stage_section(config, "generate", folders))
    return {
        part.name: {
            **sections[part.role],
            "start": part.start,
            "stop": part.stop,
            "store": generated if part.generated else part.source,
        }
        for part in parts
    }


def dataset_section(parts: Iterable[PartPlan]) -> dict[str, Any]:
    """The section of the list of parts: the stores, without their paths."""
    stores = [{k: v for k, v in s.items() if k != "path"} for s in described_stores(parts)]
    return {"format": STAGES["gather"].format, "stores": stores}


def described_stores(parts: Iterable[PartPlan]) -> list[dict[str, Any]]:
    """The entries of the stores in ``dataset.json``, in reading order."""
    return list({part.store: part.describe_store() for part in parts}.values())


def generated_identity(section: Mapping[str, Any]) -> str:
    """An identifier of the content of a generated store, from its ``section``."""
    return hashlib.sha256(json.dumps(section).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class DataPlan:
    """The parts by name, in reading order; ``config``: of one of the runs with this data."""

    config: Config
    folders: tuple[Path, ...]
    parts: dict[str, PartPlan]

    @cached_property
    def sections(self) -> dict[str, dict[str, Any]]:
        """The section of each part."""
        return part_sections(self.config, self.parts.values(), self.folders)

    @cached_property
    def files(self) -> list[Path]:
        """The part files."""
        return [paths.part(self.config, part) for part in self.parts]

    def section(self) -> dict[str, Any]:
        """The section of the list of parts."""
        return dataset_section(self.parts.values())


def plan_data(configs: Mapping[str, Config], folders: tuple[Path, ...]) -> dict[str, DataPlan]:
    """The data plan of each run; ``configs``: resolved configurations by name of the run.

    Runs of a sweep with the same data get the same object. Raises ``ConfigError`` or ``DataError``
    as ``plan_parts``, and as ``check_sets``.
    """
    known: dict[Path, DataPlan] = {}
    result = {}
    for name, config in configs.items():
        file = paths.dataset(config)  # identifies the data within one configuration
        if file not in known:
            parts = plan_parts(config)
            known[file] = DataPlan(config, folders, {part.name: part for part in parts})
            check_sets(config, parts)
        result[name] = known[file]
    return result
