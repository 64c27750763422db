"""What shapes the parts of a data set and their list."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qgpipe.config.resolve import data_sources
from qgpipe.config.types import Config
from qgpipe.data.preprocessing.plan import PartPlan
from qgpipe.stages.registry import STAGES, stage_section


def part_sections(
    config: Config, parts: Iterable[PartPlan], folders: Iterable[Path] = ()
) -> dict[str, dict[str, Any]]:
    """For each part, by name, what shapes it: how it is read, which samples, of which store."""
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
    """What shapes the list of the parts, beside the parts: the stores, wherever they lie."""
    stores = [{k: v for k, v in s.items() if k != "path"} for s in described_stores(parts)]
    return {"format": STAGES["gather"].format, "stores": stores}


def described_stores(parts: Iterable[PartPlan]) -> list[dict[str, Any]]:
    """The entries of the stores in ``dataset.json``, in reading order."""
    return list({part.store: part.describe_store() for part in parts}.values())


def generated_identity(section: Mapping[str, Any]) -> str:
    """A name for what a generated store holds, from what shapes it."""
    return hashlib.sha256(json.dumps(section).encode()).hexdigest()[:16]
