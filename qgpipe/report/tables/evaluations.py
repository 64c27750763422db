"""Tables of the scores of a model on further sets, from the files of the stage ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qgpipe.errors import DataError
from qgpipe.report.tables.result_files import rerun
from qgpipe.system.json_shapes import read_shaped

_NUMBER = (float, None)
_SHAPE = {
    "run": str,
    "set": str,
    "num_graphs": int,
    "sizes": {"min": int, "max": int, "mean": float},
    "class_names": (None, [str]),
    "set_class_names": (None, [str]),
    "outlier_share?": _NUMBER,
    "tasks": [
        {
            "task": int,
            "num_not_finite": int,
            "num_known": int,
            "kind": {"classification", "regression", "other"},
            "accuracy?": _NUMBER,
            "accuracy_interval?": (None, [float]),
            "nll?": _NUMBER,
            "calibration_error?": _NUMBER,
            "confidence?": _NUMBER,
            "predicted?": {str: float},
            "confusion_matrix?": [[int]],
            "mae?": _NUMBER,
            "rmse?": _NUMBER,
            "bias?": _NUMBER,
            "r2?": _NUMBER,
        }
    ],
}
MEASURES = {
    "classification": ("accuracy", "nll", "calibration_error", "confidence"),
    "regression": ("mae", "rmse", "bias", "r2"),
    "other": (),
}


class EvaluatedTask(NamedTuple):
    """A head on a set: ``scores`` from the file of the set, ``title`` for tables."""

    title: str
    evaluation: dict[str, Any]
    scores: dict[str, Any]


def read_evaluation(path: Path) -> dict[str, Any]:
    """A file of the stage ``evaluate``. Raises ``DataError`` if it is missing or damaged."""
    content = {"outlier_share": None, **read_shaped(path, _SHAPE, rerun("evaluate"))}
    classes = len(content["class_names"] or ())
    for scores in content["tasks"]:
        matrix = scores.get("confusion_matrix")
        if matrix is not None and any(len(row) != len(matrix) for row in matrix):
            raise DataError(f"{path} is damaged: a confusion matrix", remedy=rerun("evaluate"))
        if matrix is not None and classes and len(matrix) != classes:
            raise DataError(f"{path} is damaged: {classes} classes", remedy=rerun("evaluate"))
    return content


def evaluated_tasks(evaluations: Iterable[dict[str, Any]]) -> list[EvaluatedTask]:
    """Each head on each set, in order."""
    found = []
    for evaluation in evaluations:
        several = len(evaluation["tasks"]) > 1
        for scores in evaluation["tasks"]:
            title = evaluation["set"] + (f", task {scores['task']}" if several else "")
            found.append(EvaluatedTask(title, evaluation, scores))
    return found


def evaluation_lines(evaluations: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each head on each set: its scores, or the predicted classes."""
    lines = []
    for title, evaluation, scores in evaluated_tasks(evaluations):
        sizes = evaluation["sizes"]
        about = f"{evaluation['num_graphs']} graphs of {sizes['min']} to {sizes['max']} elements"
        outliers = evaluation["outlier_share"]
        more = "" if outliers is None else f", outliers {outliers:.0%}"
        lines.append(f"  {title}: {about}: {_scores_text(scores)}{more}")
    return lines


def _scores_text(scores: dict[str, Any]) -> str:
    if scores["kind"] == "classification" and scores["accuracy"] is None:
        answers = sorted(scores["predicted"].items(), key=lambda item: -item[1])
        taken = ", ".join(f"{name} {share:.0%}" for name, share in answers if share >= 0.005)
        return (
            f"no class of the model; taken for {taken}, mean confidence {scores['confidence']:.3f}"
        )
    named = [
        f"{name.replace('_', ' ')} {scores[name]:.4g}"
        for name in MEASURES[scores["kind"]]
        if scores[name] is not None
    ]
    return ", ".join(named) or "no scores"


def evaluation_columns(evaluations: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """The first measure of each head on each set, by column of a table of runs."""
    columns = {}
    for title, _, scores in evaluated_tasks(evaluations):
        for measure in MEASURES[scores["kind"]][:1]:
            columns[f"evaluate_{title.replace(', task ', '_task')}_{measure}"] = scores[measure]
    return columns
