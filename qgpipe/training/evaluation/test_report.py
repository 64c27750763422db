"""The content of ``test/metrics.json``."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from qgpipe.config.metric_mode import LOSSES
from qgpipe.errors import TrainingError
from qgpipe.training.evaluation.metrics import Collected, scalars
from qgpipe.training.evaluation.predictions_table import predicted_classes
from qgpipe.training.steps.outputs import Kind, is_class_target, kind_of_task

FORMAT = 1
_MOST_CLASSES = 300  # in a confusion matrix, which has their square as its number of entries
_BASELINES = {"classification": "majority class", "regression": "mean value"}


def metrics_content(
    run: str,
    epoch: int | None,
    results: Mapping[str, Any],
    baseline: pd.DataFrame | None,
    collected: Collected,
    class_names: list[str] | None,
) -> dict[str, Any]:
    """Losses, metrics and baseline of a test as JSON values; non-finite values are null.

    ``results``: the tester's row. The baseline is evaluated on the test set like the model; it
    always predicts the most frequent class, or the mean value, of the training set.
    """
    kind, matrix = kind_of_test(collected), confusion(collected, class_names)
    return {
        "format": FORMAT,
        "run": run,
        "epoch": epoch,
        "num_graphs": collected.num_graphs,
        "task": kind,
        **_parted(results),
        "baseline": None
        if baseline is None
        else {
            "method": _BASELINES.get(kind, "constant"),
            **_parted(scalars(baseline.iloc[-1].to_dict())),
        },
        "class_names": None if matrix is None else class_names,
        "confusion_matrix": matrix,
    }


def kind_of_test(collected: Collected) -> Kind:
    """The ``kind_of_task`` of the first head with a target.

    Without such a head it is decided by the type of the targets; without targets it is ``other``.
    """
    if collected.targets is None:
        return "other"
    for task in collected.heads:
        try:
            return kind_of_task(*collected.pair(task))
        except TrainingError:  # this head has no target
            continue
    return "classification" if is_class_target(collected.targets) else "regression"


def confusion(collected: Collected, class_names: list[str] | None) -> list[list[int]] | None:
    """Counts by true (row) and predicted class (column) of the first classification head.

    ``None`` if there is no such head, or it has too many classes.
    """
    from sklearn.metrics import confusion_matrix

    classes = {task: predicted_classes(collected, task) for task in collected.heads}
    task = next((task for task, found in classes.items() if found is not None), None)
    predicted = None if task is None else classes[task]
    if task is None or predicted is None or predicted.ndim > 1:
        return None
    prediction, target = collected.pair(task)
    width = prediction.shape[1] if prediction.dim() == 2 else 2
    number = max(width, len(class_names or ()), int(target.max()) + 1)
    if number > _MOST_CLASSES:
        return None
    return confusion_matrix(target.numpy(), predicted, labels=range(number)).tolist()


def _parted(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Losses and metrics of an evaluator's row."""
    values = {name: _finite(value) for name, value in row.items() if name != "epoch"}
    return {
        "loss": {name: values.get(name) for name in LOSSES},
        "metrics": {name: value for name, value in values.items() if name not in LOSSES},
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
