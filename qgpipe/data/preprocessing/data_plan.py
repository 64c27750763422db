"""The planned parts of the data of some runs, and what shapes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.types import Config
from qgpipe.data.preprocessing.part_sections import dataset_section, part_sections
from qgpipe.data.preprocessing.plan import PartPlan, plan_parts
from qgpipe.data.preprocessing.set_preflight import check_sets


@dataclass(frozen=True)
class DataPlan:
    """The parts, by name in reading order, for the resolved ``config`` of one of the runs."""

    config: Config
    folders: tuple[Path, ...]
    parts: dict[str, PartPlan]

    @cached_property
    def sections(self) -> dict[str, dict[str, Any]]:
        """What shapes each part."""
        return part_sections(self.config, self.parts.values(), self.folders)

    @cached_property
    def files(self) -> list[Path]:
        """The part files."""
        return [paths.part(self.config, part) for part in self.parts]

    def section(self) -> dict[str, Any]:
        """What shapes the list of the parts."""
        return dataset_section(self.parts.values())


def plan_data(configs: Mapping[str, Config], folders: tuple[Path, ...]) -> dict[str, DataPlan]:
    """The data of each of some runs, whose resolved configurations are given by name.

    Runs of a sweep with the same data get the same object. Raises ``ConfigError`` or ``DataError``
    as ``plan_parts``, and as ``check_sets``.
    """
    known: dict[Path, DataPlan] = {}
    result = {}
    for name, config in configs.items():
        file = paths.dataset(config)  # within one configuration that says which data it is
        if file not in known:
            parts = plan_parts(config)
            known[file] = DataPlan(config, folders, {part.name: part for part in parts})
            check_sets(config, parts)
        result[name] = known[file]
    return result
