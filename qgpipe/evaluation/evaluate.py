"""The stage ``evaluate``: scores of the best model on a set of causal sets of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from qgpipe.causets.generators.classes import resolve_classes
from qgpipe.causets.writers.generate import generate_store
from qgpipe.config.types import Config, EvaluationSetSection, GenerateSection, PredictSection
from qgpipe.evaluation.scores import table_scores
from qgpipe.prediction.chunks import read_chunks
from qgpipe.prediction.predict import Predictor
from qgpipe.prediction_columns import OUTLIER
from qgpipe.system.device import resolve_device
from qgpipe.system.files import scratch_folder, write_json
from qgpipe.system.rng import deterministic_algorithms

FORMAT = 1


def evaluate_set(
    config: Config, model_path: Path, name: str, output: Path, processes: int = 1
) -> None:
    """Apply the model in ``model_path`` to the set ``name`` of ``evaluate.sets``.

    Writes a JSON file with the scores of each head (:mod:`qgpipe.evaluation.scores`). A set to be
    generated is generated from its seed in a folder beside ``output``, which is deleted afterwards.
    ``processes``, reading and exceptions are as in ``predict_store``.
    """
    own = config["evaluate"]["sets"][name]
    reading = cast(PredictSection, {"files": [], "embeddings": False, "format": "csv"})
    config = {**config, "predict": reading}
    device = resolve_device(config["training"]["device"])
    predictor = Predictor(config, model_path, device)
    tables, sizes = [], []
    set_classes: list[str] | None = None
    with (
        scratch_folder(output) as folder,
        deterministic_algorithms(config["training"]["deterministic"]),
    ):
        path = set_store(own, name, folder, processes)
        for dataset in read_chunks(
            config, path, name, predictor.trained, folder, processes, device
        ):
            tables.append(predictor.rows(dataset))
            sizes.append(dataset.sizes())
            set_classes = dataset.description["class_names"]
    if own["generate"] is not None:
        set_classes = [made.name for made in resolve_classes(own["generate"]["classes"])]
    table, all_sizes = pd.concat(tables, ignore_index=True), np.concatenate(sizes)
    model_classes = predictor.trained.get("class_names")
    write_json(
        output,
        {
            "format": FORMAT,
            "run": config["name"],
            "set": name,
            "num_graphs": len(table),
            "sizes": {
                "min": int(all_sizes.min()),
                "max": int(all_sizes.max()),
                "mean": float(all_sizes.mean()),
            },
            "class_names": model_classes,
            "set_class_names": set_classes,
            "outlier_share": float(table[OUTLIER].mean()) if OUTLIER in table else None,
            "tasks": table_scores(table, model_classes, set_classes),
        },
    )


def set_store(
    own: EvaluationSetSection, name: str, folder: Path, processes: int, samples: int | None = None
) -> Path:
    """The store of a set; a generated one is in ``folder``, with at most ``samples`` samples."""
    if own["generate"] is None:
        return Path(cast(str, own["file"]))
    path = folder / "set.zarr"
    section: Mapping[str, Any] = {**own["generate"], "layout": "stacked", "stores": [name]}
    if samples is not None:
        section = {**section, "num_samples": min(samples, own["generate"]["num_samples"])}
    generate_store(cast(GenerateSection, section), name, path, processes)
    return path
