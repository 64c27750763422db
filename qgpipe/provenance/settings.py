"""Whether a configuration file still says what it said when a record was written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qgpipe.config.load import load_config, user_folders
from qgpipe.config.resolve import resolve_config
from qgpipe.config.sections import stage_section
from qgpipe.data.part_sections import dataset_section, part_sections
from qgpipe.data.plan import PartPlan, plan_parts
from qgpipe.errors import QgpipeError
from qgpipe.provenance.differences import Difference, differences
from qgpipe.provenance.record import Record, as_recorded


@dataclass(frozen=True)
class Settings:
    """What the configuration file of a record says now.

    ``problem``: why that cannot be told. ``changes``: what is another than was recorded, the
    fingerprints of the user's code and the contents of raw stores included.
    """

    file: Path | None
    problem: str | None = None
    changes: tuple[Difference, ...] = ()


class SettingsNow:
    """Compares records with their configuration files, each of which is read once.

    Stores are looked for from the working directory, as the pipeline does.
    """

    def __init__(self) -> None:
        self._files: dict[Path, _ConfigFile] = {}

    def of(self, record: Record) -> Settings:
        """What the configuration file of ``record`` says now, compared with ``record``."""
        file = record.config_file
        if file is None:
            return Settings(None, "written in Python")
        try:
            if file not in self._files:
                self._files[file] = _ConfigFile(file)
            section = self._files[file].section(record)
        except QgpipeError as error:
            return Settings(file, str(error))
        if section is None:
            return Settings(file, "there is no such part any more")
        now = as_recorded(section)
        return Settings(file, None, tuple(differences(record.content["section"], now)))


class _ConfigFile:
    """A configuration file, resolved."""

    def __init__(self, file: Path):
        self.config = resolve_config(load_config(file), str(file))
        self.folders = user_folders(self.config, file)

    def section(self, record: Record) -> dict[str, Any] | None:
        """What shapes the outputs of ``record`` now; None for a part that is no longer planned."""
        if record.stage == "preprocess":
            (output,) = record.outputs
            return self._part_sections.get(output.stem)
        if record.stage == "gather":
            return dataset_section(self._parts)
        return stage_section(self.config, record.stage, self.folders)

    @cached_property
    def _parts(self) -> list[PartPlan]:
        return plan_parts(self.config)

    @cached_property
    def _part_sections(self) -> dict[str, dict[str, Any]]:
        return part_sections(self.config, self._parts, self.folders)
