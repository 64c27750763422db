"""Tables of the scores on further sets: of a model, and of the baselines beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qgpipe.errors import DataError
from qgpipe.report.tables.result_files import rerun
from qgpipe.system.json_shapes import read_shaped

_NUMBER = (float, None)
_SCORES = {
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
_SHAPE = {
    "run": str,
    "set": str,
    "num_graphs": int,
    "sizes": {"min": int, "max": int, "mean": float},
    "class_names": (None, [str]),
    "set_class_names": (None, [str]),
    "outlier_share?": _NUMBER,
    "tasks": [{"task": int, "num_not_finite": int, **_SCORES}],
}
_BASELINES = {
    "set": str,
    "num_graphs": int,
    "num_train": int,
    "fitted_to": int,
    "features": [str],
    "targets": [
        {
            "name": str,
            "baselines": {str: {**_SCORES, "as_value?": _SCORES}},
            "left_out": {str: str},
        }
    ],
    "left_out": {str: str},
}
MEASURES = {
    "classification": ("accuracy", "nll", "calibration_error", "confidence"),
    "regression": ("mae", "rmse", "bias", "r2"),
    "other": (),
}


class EvaluatedTask(NamedTuple):
    """A head on a set: ``scores`` from the file of the set, ``title`` for tables.

    ``baselines``: scores of the baselines for the same target, the best first; ``left_out``: names
    of others (joined), and why there are none.
    """

    title: str
    evaluation: dict[str, Any]
    scores: dict[str, Any]
    baselines: dict[str, dict[str, Any]]
    left_out: list[tuple[str, str]]


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


def read_baseline_scores(path: Path) -> dict[str, Any]:
    """A file of the stage ``apply``. Raises ``DataError`` if it is missing or damaged."""
    return read_shaped(path, _BASELINES, rerun("apply"))


def evaluated_tasks(
    evaluations: Iterable[dict[str, Any]], baselines: Iterable[dict[str, Any]] = ()
) -> list[EvaluatedTask]:
    """Each head on each set, in order; ``baselines``: what the stage ``apply`` found of sets."""
    found = []
    of_sets = {content["set"]: content for content in baselines}
    for evaluation in evaluations:
        several = len(evaluation["tasks"]) > 1
        for scores in evaluation["tasks"]:
            title = evaluation["set"] + (f", task {scores['task']}" if several else "")
            beside = _beside(of_sets.get(evaluation["set"]), scores, several)
            found.append(EvaluatedTask(title, evaluation, scores, *beside))
    return found


def _beside(
    content: Mapping[str, Any] | None, scores: Mapping[str, Any], several: bool
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Scores of the baselines for the target of a head, and why others have none.

    ``several``: there are several heads, each for its own target. Otherwise scores are averaged
    over the targets, as those of the model are.
    """
    if content is None:
        return {}, []
    targets, k = content["targets"], scores["task"] if several else 0
    if several and len(targets) > 1:
        targets = targets[k : k + 1]
    missing = dict(content["left_out"])
    for target in targets:
        missing |= target["left_out"]
    reasons: dict[str, list[str]] = {}
    for name, reason in missing.items():
        reasons.setdefault(reason, []).append(name)
    found = {}
    for name in targets[0]["baselines"] if targets and MEASURES[scores["kind"]] else ():
        rows = [_of_kind(target["baselines"].get(name), scores["kind"]) for target in targets]
        known = [row for row in rows if row is not None]
        if len(known) == len(rows):
            found[name] = known[0] if len(known) == 1 else _averaged(known, scores["kind"])
    left_out = [(", ".join(names), reason) for reason, names in reasons.items()]
    return {name: found[name] for name in _ranked(found, scores["kind"])}, left_out


def _of_kind(scores: dict[str, Any] | None, kind: str) -> dict[str, Any] | None:
    """``scores`` if they are of that kind; of classes perhaps those of their numbers as values."""
    if scores is None or scores["kind"] == kind:
        return scores
    return scores.get("as_value") if kind == "regression" else None


def _averaged(rows: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """The mean of each measure over several targets; None if it is missing for one of them."""
    found: dict[str, Any] = {}
    for name in MEASURES[kind]:
        values = [row[name] for row in rows]
        found[name] = None if None in values else sum(values) / len(values)
    return found


def _ranked(found: Mapping[str, Mapping[str, Any]], kind: str) -> list[str]:
    """The names in ``found``, the best first by the first measure of ``kind``."""
    if not MEASURES[kind]:
        return list(found)
    measure, sign = MEASURES[kind][0], -1 if kind == "classification" else 1

    def place(name: str) -> float:
        value = found[name][measure]
        return math.inf if value is None else sign * value

    return sorted(found, key=place)


def left_out_texts(tasks: Sequence[EvaluatedTask]) -> list[str]:
    """For each reason to leave out baselines: their names, the reason, and on which sets."""
    found: dict[str, list[str]] = {}
    for task in tasks:
        for names, reason in task.left_out:
            found.setdefault(f"{names} ({reason})", []).append(task.title)
    return [
        text if len(titles) == len(tasks) else f"{text} on {', '.join(titles)}"
        for text, titles in found.items()
    ]


def evaluation_lines(
    evaluations: Sequence[dict[str, Any]], baselines: Iterable[dict[str, Any]] = ()
) -> list[str]:
    """A line for each head on each set: its scores, or the predicted classes.

    Another one has the first measure of each of the ``baselines``, if there are any.
    """
    lines = []
    for title, evaluation, scores, beside, _ in evaluated_tasks(evaluations, baselines):
        sizes = evaluation["sizes"]
        about = f"{evaluation['num_graphs']} graphs of {sizes['min']} to {sizes['max']} elements"
        outliers = evaluation["outlier_share"]
        more = "" if outliers is None else f", outliers {outliers:.0%}"
        lines.append(f"  {title}: {about}: {_scores_text(scores)}{more}")
        if beside:
            lines.append(f"    baselines: {_baselines_text(beside, scores)}")
    return lines


def _baselines_text(beside: Mapping[str, Mapping[str, Any]], scores: Mapping[str, Any]) -> str:
    measure = MEASURES[scores["kind"]][0]
    if scores[measure] is None:  # no graph of a class of the model
        measure = "confidence"
    values = ", ".join(
        f"{name} {one[measure]:.4g}" for name, one in beside.items() if one[measure] is not None
    )
    return f"{measure} {values}"


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


def evaluation_columns(
    evaluations: Sequence[dict[str, Any]], baselines: Iterable[dict[str, Any]] = ()
) -> dict[str, float | None]:
    """The first measure of each head, and of the best baseline, on each set.

    Keys are columns of a table of runs.
    """
    columns = {}
    for title, _, scores, beside, _ in evaluated_tasks(evaluations, baselines):
        name = f"evaluate_{title.replace(', task ', '_task')}"
        for measure in MEASURES[scores["kind"]][:1]:
            columns[f"{name}_{measure}"] = scores[measure]
            if beside:
                columns[f"{name}_baseline_{measure}"] = next(iter(beside.values()))[measure]
    return columns
