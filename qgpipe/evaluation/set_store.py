"""The store of an evaluation set, and the names of its classes. Does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from qgpipe.causets.generators.classes import resolve_classes
from qgpipe.causets.writers.generate import generate_store
from qgpipe.config.types import EvaluationSetSection, GenerateSection
from qgpipe.data.raw.objects import store_path


def set_store(
    own: EvaluationSetSection, name: str, folder: Path, processes: int, samples: int | None = None
) -> Path:
    """The store of a set; a generated one is in ``folder``, with at most ``samples`` samples."""
    if own["generate"] is None:
        return store_path(cast(str, own["file"]))
    path = folder / "set.zarr"
    section: Mapping[str, Any] = {**own["generate"], "layout": "stacked", "stores": [name]}
    if samples is not None:
        section = {**section, "num_samples": min(samples, own["generate"]["num_samples"])}
    generate_store(cast(GenerateSection, section), name, path, processes)
    return path


def set_class_names(own: EvaluationSetSection, read: list[str] | None) -> list[str] | None:
    """Names of the classes of a set by number; ``read``: those in the description of its graphs."""
    if own["generate"] is None:
        return read
    return [made.name for made in resolve_classes(own["generate"]["classes"])]
