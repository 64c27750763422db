"""The rows that a model gives for graphs: id, target, outputs, class, probabilities, embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qgpipe.data.readers.reader import numpy_type
from qgpipe.probabilities import are_probabilities, probabilities
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.evaluation.predictions_table import (
    numbered_columns,
    predictions_table,
    undecided_graphs,
)


class PredictionTable:
    """The rows of a table, some graphs at a time.

    The columns are those of ``predictions.csv``, with the same meaning, the target only if there
    is one. For classes also ``class``, the name of the predicted one, if classes have names, and
    ``probability_0`` …; with embeddings ``embedding_0`` …. Whether the outputs are those of
    classes, the target that the model was trained on says: ``trained``, the facts of the model's
    file. Whether they are probabilities already, the first graphs say for all.
    """

    def __init__(self, trained: Mapping[str, Any]):
        self._trained = trained
        self.undecided = 0  # graphs so far whose outputs are not finite
        self._given: dict[str, bool] = {}  # outputs are probabilities, by the prefix of the head

    def rows(
        self, collected: Collected, ids: list[str], embeddings: Tensor | None = None
    ) -> pd.DataFrame:
        """A row for each graph of ``collected``; ``embeddings``: [N, F]."""
        rows = len(ids)
        own = predictions_table(replace(collected, heads={}), ids)
        stand_in = _stand_in(self._trained, rows)
        judged = collected if stand_in is None else replace(collected, targets=stand_in)
        outputs = predictions_table(judged, ids)
        outputs = outputs[[name for name in outputs if not _is_of_input(str(name))]]
        columns: dict[str, Any] = {str(name): own[name] for name in own}
        columns |= {str(name): outputs[name] for name in outputs}
        self.undecided += len(undecided_graphs(judged))
        for task in judged.heads:
            prefix = f"task{task}_" if judged.num_tasks > 1 else ""
            columns |= self._of_classes(outputs, prefix)
        if embeddings is not None:
            columns |= numbered_columns("embedding", embeddings, rows)
        return pd.DataFrame(columns)

    def _of_classes(self, table: pd.DataFrame, prefix: str) -> dict[str, Any]:
        """Names and probabilities of the classes that a head predicts; nothing for values."""
        found: dict[str, Any] = {}
        names = self._trained.get("class_names")
        outputs = [name for name in table if str(name).startswith(f"{prefix}output_")]
        if f"{prefix}predicted" in table:
            if names is not None:
                labels = table[f"{prefix}predicted"]
                found[f"{prefix}class"] = [None if k is pd.NA else _name(names, k) for k in labels]
            values = table[outputs].to_numpy(np.float64)
            if prefix not in self._given:
                self._given[prefix] = are_probabilities(values)
            shares = probabilities(values, self._given[prefix])
            found |= {f"{prefix}probability_{k}": shares[:, k] for k in range(shares.shape[1])}
        elif f"{prefix}predicted_0" in table:  # several questions with two answers each
            for k, name in enumerate(outputs):
                shares = probabilities(table[[name]].to_numpy(np.float64), given=False)
                found[f"{prefix}probability_{k}"] = shares[:, 1]
        return found


def _is_of_input(name: str) -> bool:
    return name == "id" or name == "target" or name.startswith("target_")


def _stand_in(trained: Mapping[str, Any], rows: int) -> Tensor | None:
    """Targets that say of the model's outputs what those that it was trained on do."""
    form = (trained.get("attributes") or {}).get("y")
    if form is None or form["kind"] != "graph":
        return None
    dtype = np.bool_ if form["dtype"] == "bool" else numpy_type(form["dtype"], "data.int_type")
    # Others than 0 and 1 if the columns had others; older files do not tell.
    value = np.where(trained.get("binary_target", True), 0, 2)
    return torch.from_numpy(np.broadcast_to(value, (rows, *form["shape"])).astype(dtype))


def _name(names: list[str], k: int) -> str:
    return names[k] if k < len(names) else str(k)
