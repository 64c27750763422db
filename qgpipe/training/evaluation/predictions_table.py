"""One row for each graph of the test set, or each element: id, target, outputs, class."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qgpipe.errors import QgpipeError
from qgpipe.prediction_columns import PredictionColumn
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.steps.outputs import kind_of_task, labels, target_table, undecided


def predictions_table(collected: Collected, ids: list[str]) -> pd.DataFrame:
    """The content of ``predictions.csv``; ``ids``: of the graphs.

    Columns: ``id``; if rows are elements, ``element``, the index in the causal set; ``target``, or
    ``target_0`` … for several targets; ``output_0`` …, or ``task0_output_0`` … for several tasks;
    for classes ``predicted``, or ``task0_predicted`` …. Rows are elements if outputs and targets
    have one row for each element, otherwise graphs; tensors without such rows are left out.
    """
    columns = row_names(collected, ids)
    rows = collected.num_rows
    if collected.targets is not None:
        table = target_table(collected.targets, rows, rows)
        target_columns = PredictionColumn("target")
        columns |= numbered_columns(target_columns, table, rows, always_numbered=False)
    for task, outputs in collected.heads.items():
        head = task if collected.num_tasks > 1 else None
        columns |= numbered_columns(PredictionColumn("output", head), outputs, rows)
        classes = predicted_classes(collected, task)
        if classes is not None:
            column = PredictionColumn("predicted", head)
            target = str(PredictionColumn("target", None, head))
            if target in columns and columns[target].dtype.kind == "f":  # because another one is
                columns[target] = collected.pair(task)[1].numpy()
            columns |= _of_classes(column, classes, undecided(*collected.pair(task)))
    return pd.DataFrame(columns)


def row_names(collected: Collected, ids: list[str]) -> dict[str, Any]:
    """The columns that identify a row: ``id``, and ``element`` if rows are elements."""
    if not collected.of_elements or collected.sizes is None:
        return {"id": ids}
    sizes = collected.sizes.numpy()
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return {"id": np.repeat(np.array(ids), sizes), "element": np.arange(sizes.sum()) - first}


def undecided_graphs(collected: Collected) -> np.ndarray:
    """Indices in ``collected`` of the graphs with an undecided output of a head, int64.

    See ``undecided``; for outputs of elements, graphs with such an element. If outputs have rows
    for neither, one undecided row marks all graphs.
    """
    found = torch.zeros(collected.num_graphs, dtype=torch.bool)
    for task, head in collected.heads.items():
        try:
            bad = undecided(*collected.pair(task))
        except QgpipeError:  # there is no target
            bad = undecided(head, None)
        bad = bad[:, None].flatten(1).any(dim=1)
        if collected.of_elements and len(bad) == collected.num_rows:
            assert collected.sizes is not None
            bad = torch.stack([some.any() for some in bad.split(collected.sizes.tolist())])
        found |= bad if bad.shape == found.shape else bad.any()
    return np.flatnonzero(found.numpy())


def predicted_classes(collected: Collected, task: int) -> np.ndarray | None:
    """The predicted class label of each row, if ``task`` is a classification, else None."""
    try:
        prediction, target = collected.pair(task)
    except QgpipeError:
        return None
    if len(target) != collected.num_rows or kind_of_task(prediction, target) != "classification":
        return None
    return labels(prediction, target)


def numbered_columns(
    column: PredictionColumn, values: Tensor, rows: int, *, always_numbered: bool = True
) -> dict[str, Any]:
    """Columns of ``values``, numbered from 0; none if their number of rows is not ``rows``.

    ``always_numbered``: also a single column.
    """
    if values.shape[:1] != (rows,):
        return {}
    flat = values.reshape(rows, -1).numpy()
    if flat.shape[1] == 1 and not always_numbered:
        return {str(column): flat[:, 0]}
    return {str(column._replace(number=i)): flat[:, i] for i in range(flat.shape[1])}


def _of_classes(column: PredictionColumn, labels: np.ndarray, none: Tensor) -> dict[str, Any]:
    """Columns of ``labels`` (N,) or (N, T), empty where ``none`` is true."""
    if labels.ndim == 1:
        return {str(column): _labels(labels, none.reshape(-1).numpy())}
    return {
        str(column._replace(number=i)): _labels(labels[:, i], none[:, i].numpy())
        for i in range(labels.shape[1])
    }


def _labels(labels: np.ndarray, none: np.ndarray) -> Any:
    return pd.arrays.IntegerArray(labels, none) if none.any() else labels
