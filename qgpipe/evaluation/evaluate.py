"""The stage ``evaluate``: scores of the best model on a set of causal sets of another kind."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from qgpipe.config.types import Config, PredictSection
from qgpipe.evaluation.scores import table_scores
from qgpipe.evaluation.set_store import set_class_names, set_store
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
    read_classes: list[str] | None = None
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
            read_classes = dataset.description["class_names"]
    set_classes = set_class_names(own, read_classes)
    table, all_sizes = pd.concat(tables, ignore_index=True), np.concatenate(sizes)
    model_classes = predictor.trained.get("class_names")
    write_json(
        output,
        {
            "format": FORMAT,
            "run": config["name"],
            "set": name,
            "num_graphs": len(all_sizes),
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
