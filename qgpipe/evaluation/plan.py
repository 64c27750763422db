"""Plans the sets on which the model of a run is evaluated, from metadata.

Runs while the Snakefile is parsed, so it imports neither torch nor zarr.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.types import Config
from qgpipe.data.raw.objects import store_path
from qgpipe.prediction.plan import PredictedStore, existing_store
from qgpipe.stages.registry import stage_section


def plan_evaluations(config: Config) -> dict[str, PredictedStore]:
    """The sets of ``evaluate.sets`` by name, in their order; none without that section.

    A generated set has no path yet: one job generates and evaluates it. Raises ``DataError`` if a
    store, or an array that the built-in reader will read, is missing.
    """
    sets = config["evaluate"]["sets"] if "evaluate" in config else {}
    planned = {}
    for name, own in sets.items():
        output, key = paths.evaluated(config, None, name), f"evaluate.sets.{name}.file"
        if own["file"] is not None:
            planned[name] = existing_store(config, name, store_path(own["file"]), output, key)
        elif (generate := own["generate"]) is not None:
            sample_bytes = 2 * max(generate["size"]) ** 2
            planned[name] = PredictedStore(
                name, Path(), "", True, generate["num_samples"], sample_bytes
            )
    return planned


def evaluation_section(
    config: Config, store: PredictedStore, folders: Iterable[Path] = (), stage: str = "evaluate"
) -> dict[str, Any]:
    """The section of the result on the set ``store``: what it depends on besides the model.

    ``stage``: ``evaluate``, or ``apply``, whose result depends on the baselines.
    """
    own = config["evaluate"]["sets"][store.name]
    section = stage_section({**config, "evaluate": {"sets": {store.name: own}}}, stage, folders)
    return section if store.generated else {**section, "store": store.contents}
