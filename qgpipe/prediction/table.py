"""The rows that a model gives for graphs or elements: id, target, outputs, class, embeddings …"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qgpipe.data.readers.reader import numpy_type
from qgpipe.models.construct.calibrator import Calibrator
from qgpipe.prediction.outputs import Seen
from qgpipe.prediction_columns import OUTLIER, OUTLIER_SCORE, PredictionColumn, columns_of
from qgpipe.probabilities import are_probabilities, probabilities
from qgpipe.training.evaluation.predictions_table import (
    numbered_columns,
    predictions_table,
    row_names,
    undecided_graphs,
)


class PredictionTable:
    """Makes the rows of a table, chunk by chunk.

    The columns are those of ``predictions.csv``, with a target only if there is one. For classes
    there are also ``class`` (the name of the predicted class, if classes have names) and
    ``probability_0`` …; with embeddings ``embedding_0`` …. Whether the outputs are those of classes
    is derived from the target that the model was trained on (``trained``: the facts in the model's
    file), and whether they are probabilities already from the first chunk. ``spread_0`` … are of
    the members of an ensemble: the standard deviation of each probability, or value. With a
    ``calibrator`` that scores outliers there are ``outlier_score`` and ``outlier``, 0 or 1.
    """

    def __init__(
        self,
        trained: Mapping[str, Any],
        calibrator: Calibrator | None = None,
        with_embeddings: bool = False,
    ):
        self._trained = trained
        self._calibrator = calibrator
        self._with_embeddings = with_embeddings
        self.undecided = 0  # graphs so far whose outputs are not finite
        self._given: dict[int | None, bool] = {}  # whether outputs are probabilities, by head

    def rows(self, seen: Seen, ids: list[str]) -> pd.DataFrame:
        """A row for each graph, or element, of what was ``seen`` of the graphs ``ids``."""
        collected = seen.collected
        heads_alone = replace(collected, targets=None)
        rows = heads_alone.num_rows
        names = row_names(heads_alone, ids)
        own = predictions_table(replace(collected, heads={}), ids)
        own = pd.DataFrame(names) if len(own) != rows else own
        stand_in = placeholder_targets(self._trained, rows)
        judged = collected if stand_in is None else replace(collected, targets=stand_in)
        outputs = predictions_table(judged, ids)
        outputs = outputs.drop(columns=[*names, *columns_of(outputs, "target")])
        columns: dict[str, Any] = {str(name): own[name] for name in own}
        columns |= {str(name): outputs[name] for name in outputs}
        self.undecided += len(undecided_graphs(judged))
        for task in judged.heads:
            columns |= self._of_classes(outputs, task if judged.num_tasks > 1 else None)
        for task, values in seen.spreads.items():
            head = task if judged.num_tasks > 1 else None
            columns |= numbered_columns(PredictionColumn("spread", head), values, rows)
        columns |= self._outliers(seen)
        if seen.embeddings is not None and self._with_embeddings:
            columns |= numbered_columns(PredictionColumn("embedding"), seen.embeddings, rows)
        return pd.DataFrame(columns)

    def _outliers(self, seen: Seen) -> dict[str, Any]:
        """The outlier score of each graph, and whether it is above the threshold."""
        calibrator = self._calibrator
        if calibrator is None or not calibrator.scores_outliers:
            return {}
        logits = seen.collected.heads[min(seen.collected.heads)]
        score = calibrator.outlier_score(logits, seen.embeddings).numpy()
        threshold = calibrator.get_buffer("outlier_threshold").item()
        return {OUTLIER_SCORE: score, OUTLIER: (~(score <= threshold)).astype(np.int64)}

    def _of_classes(self, table: pd.DataFrame, head: int | None) -> dict[str, Any]:
        """Names and probabilities of the classes that a head predicts; nothing for values."""
        found: dict[str, Any] = {}
        names = self._trained.get("class_names")
        outputs = columns_of(table, "output", head)
        predicted = columns_of(table, "predicted", head)
        if predicted == [str(PredictionColumn("predicted", head))]:
            if names is not None:
                found[str(PredictionColumn("class", head))] = [
                    None if k is pd.NA else _name(names, k) for k in table[predicted[0]]
                ]
            values = table[outputs].to_numpy(np.float64)
            if head not in self._given:
                self._given[head] = are_probabilities(values)
            of_class = list(probabilities(values, self._given[head]).T)
        elif predicted:  # several binary targets
            answers = [table[[name]].to_numpy(np.float64) for name in outputs]
            of_class = [probabilities(values, given=False)[:, 1] for values in answers]
        else:
            of_class = []
        for k, values in enumerate(of_class):
            found[str(PredictionColumn("probability", head, k))] = values
        return found


def placeholder_targets(trained: Mapping[str, Any], rows: int) -> Tensor | None:
    """Placeholder targets of the type, shape and range of those that the model was trained on."""
    form = (trained.get("attributes") or {}).get("y")
    if form is None or form["kind"] not in ("graph", "node"):
        return None
    dtype = np.bool_ if form["dtype"] == "bool" else numpy_type(form["dtype"], "data.int_type")
    # Others than 0 and 1 if the columns had others; older files do not tell.
    value: Any = np.where(trained.get("binary_target", True), 0, 2)
    if np.dtype(dtype).kind == "f":  # of classes beside values a number of theirs, of values none
        largest = np.array(trained.get("largest_class"), float)
        value = np.where(np.isnan(largest), 0.5, largest)
    return torch.from_numpy(np.broadcast_to(value, (rows, *form["shape"])).astype(dtype))


def _name(names: list[str], k: int) -> str:
    return names[k] if k < len(names) else str(k)


Write = Callable[[pd.DataFrame], None]


def open_table(path: Path, kind: str) -> AbstractContextManager[Write]:
    """A block with a function that adds rows, with the same columns each time, to table ``path``.

    ``kind``: ``csv`` or ``parquet``.
    """
    return _parquet(path) if kind == "parquet" else _csv(path)


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:

        def write(rows: pd.DataFrame) -> None:
            rows.to_csv(file, index=False, header=file.tell() == 0, lineterminator="\n")

        yield write


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    writer: parquet.ParquetWriter | None = None

    def write(rows: pd.DataFrame) -> None:
        nonlocal writer
        schema = None if writer is None else writer.schema
        table = pyarrow.Table.from_pandas(rows, schema=schema, preserve_index=False)
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
