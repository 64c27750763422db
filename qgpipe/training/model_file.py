"""The model file of a run: a model file as ``qgpipe.models`` reads it, with facts beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgpipe.config.dump import to_plain
from qgpipe.models.storage import FORMAT
from qgpipe.training import saved

FACTS = ("epoch", "score", "node_features", "graph_features", "class_names")


def save_trained_model(
    path: str | Path,
    section: Mapping[str, Any],
    weights: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Write ``weights`` and the ``model`` section that builds their model, atomically.

    ``facts`` holds a plain value, or ``None``, for each name in ``FACTS``.
    ``qgpipe.models.load_model`` reads the file. Raises ``ConfigError`` if an object of the section
    has no importable name.
    """
    content = {
        "format": FORMAT,
        "model": to_plain(section, "model"),
        "state_dict": dict(weights),
        **{name: facts[name] for name in FACTS},
    }
    saved.save(Path(path), content)


def read_facts(path: str | Path) -> dict[str, Any]:
    """What a run's model file says about its model: a value for each name in ``FACTS``.

    Raises ``TrainingError`` if the file is missing, damaged, or of another format version.
    """
    content = saved.load(Path(path), FORMAT, "model file")
    return {name: content.get(name) for name in FACTS}
