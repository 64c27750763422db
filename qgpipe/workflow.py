"""What the Snakefile needs to know: the resolved configuration and the planned parts.

Nothing here imports torch or zarr, so that a dry run stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from qgpipe import paths
from qgpipe.config.load import user_folders
from qgpipe.config.objects import add_search_path
from qgpipe.config.resolve import resolve_config
from qgpipe.config.sections import stage_section
from qgpipe.data.part_sections import dataset_section, part_sections
from qgpipe.data.plan import PartPlan, plan_parts
from qgpipe.data.planned_classes import check_stratified_folds
from qgpipe.errors import QgpipeError


@dataclass(frozen=True)
class Plan:
    """A resolved configuration with the user's code folders and the parts of its data."""

    config: dict[str, Any]
    file: Path | None
    folders: tuple[Path, ...]
    parts: dict[str, PartPlan]

    @property
    def context(self) -> dict[str, Any]:
        """What every job is told: the configuration, and the file that it is from."""
        return {"config": self.config, "file": self.file}

    def section(self, stage: str) -> dict[str, Any]:
        """What shapes the result of ``stage``, for a rule's ``params``."""
        if stage == "gather":
            return dataset_section(self.parts.values())
        return stage_section(self.config, stage, self.folders)

    @cached_property
    def part_sections(self) -> dict[str, dict[str, Any]]:
        """What shapes each part, for the ``params`` of its preprocessing job."""
        return part_sections(self.config, self.parts.values(), self.folders)

    def inputs(self, part: str) -> list[str]:
        """What the job of ``part`` waits for: its store's attributes, if that is generated.

        The state of any other store is in the part's section.
        """
        planned = self.parts[part]
        return [str(paths.store_attributes(planned.path))] if planned.generated else []

    def generated_stores(self) -> list[str]:
        """Attributes of the stores that the ``generate`` stage writes."""
        generated = {part.path for part in self.parts.values() if part.generated}
        return sorted(str(paths.store_attributes(path)) for path in generated)

    def samples(self, part: str) -> dict[str, Any]:
        """Arguments of ``preprocess_part`` that say which samples ``part`` holds."""
        planned = self.parts[part]
        return {
            "store_path": planned.path,
            "store_name": planned.store,
            "start": planned.start,
            "stop": planned.stop,
            "role": planned.role,
        }


def plan_workflow(raw: Mapping[str, Any], configfiles: Sequence[str | Path]) -> Plan:
    """Resolve the configuration that Snakemake read, and plan the parts of its data.

    User modules are found beside the configuration files, in the working directory and in
    ``python_path``. Raises Snakemake's ``WorkflowError``, which is shown without traceback,
    for whatever a user can mend.
    """
    file = str(configfiles[-1]) if configfiles else None
    try:
        config = resolve_config(raw, file)
        folders = user_folders(config, file)
        add_search_path(*folders)
        parts = {planned.name: planned for planned in plan_parts(config)}
        check_stratified_folds(config, parts.values())
    except QgpipeError as error:
        raise WorkflowError(str(error)) from None
    return Plan(config, None if file is None else _shortest(Path(file)), folders, parts)


def _shortest(file: Path) -> Path:
    """``file`` relative to the working directory if it is in there, else absolute."""
    absolute, here = file.resolve(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
