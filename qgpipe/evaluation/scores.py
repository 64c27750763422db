"""Accuracy, confidence and calibration of a model on a set of graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qgpipe.prediction_columns import PredictionColumn, columns_of, parse_column
from qgpipe.report.tables.scores import wilson_interval

BINS = 15  # of the calibration error
UNKNOWN = -1  # stands for a class that the model does not have

Reals = NDArray[np.float64]


def calibration_error(confidence: Reals, right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error, Σ_b |number correct in b - Σ confidence in b| / N over bins b.

    ``confidence``: [N], probability of the predicted class; ``right``: [N], whether it is correct.
    Bins have equal width (Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al., ICML 2017).
    """
    if not len(confidence):
        return math.nan
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, right - confidence, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def class_scores(
    probabilities: Reals, classes: NDArray[np.int64], class_names: Sequence[str]
) -> dict[str, Any]:
    """Scores of one classification head on N graphs.

    ``probabilities``: [N, C]; ``classes``: [N], true classes, ``UNKNOWN`` if the model does not
    have the class. Accuracy with its 95 % interval (Wilson), mean negative logarithm of the
    probability of the true class, and calibration error are computed from graphs with a known
    class; the mean confidence, and ``predicted`` (the share of each class among the predictions)
    from all. ``confusion_matrix[i][k]`` counts graphs of class i that are predicted as class k.
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    known = classes != UNKNOWN
    right = predicted[known] == classes[known]
    size = len(class_names)
    of_true = probabilities[known, classes[known]]
    counts = np.bincount(size * classes[known] + predicted[known], minlength=size**2)
    shares = np.bincount(predicted, minlength=size) / max(len(predicted), 1)
    total = len(right)
    return {
        "kind": "classification",
        "num_known": total,
        "accuracy": float(right.mean()) if total else None,
        "accuracy_interval": [*map(float, wilson_interval(right.sum(), total))] if total else None,
        "nll": float(-np.log(np.maximum(of_true, 1e-300)).mean()) if total else None,
        "calibration_error": calibration_error(confidence[known], right) if total else None,
        "confidence": float(confidence.mean()) if len(confidence) else None,
        "predicted": dict(zip(class_names, shares, strict=True)) if len(predicted) else {},
        "confusion_matrix": counts.reshape(size, size).tolist(),
    }


def value_scores(outputs: Reals, targets: Reals) -> dict[str, Any]:
    """Scores of one regression head on N graphs; ``outputs``, ``targets``: [N, T].

    Mean absolute error, root mean squared error, mean of output minus target, and coefficient of
    determination R² = 1 - Σ (output - target)² / Σ (target - mean)²; each averaged over the
    targets.
    """
    error = outputs - targets
    squares, spread = (error**2).mean(axis=0), targets.var(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(spread > 0, 1 - squares / spread, np.nan)
    return {
        "kind": "regression",
        "num_known": len(error),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(squares).mean()),
        "bias": float(error.mean()),
        "r2": float(explained.mean()) if np.isfinite(explained).all() else None,
    }


def table_scores(
    table: pd.DataFrame, model_classes: Sequence[str] | None, set_classes: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Scores of each head, from a table of predictions with targets.

    ``model_classes``: names of the classes of the model, by index; ``set_classes``: those of the
    targets in the table. If both are known, classes are matched by name, else by index. Rows whose
    outputs are not finite are left out.
    """
    parsed = map(parse_column, map(str, table))
    heads = list(dict.fromkeys(c.head for c in parsed if c and c.kind == "output"))
    return [_head_scores(table, head, len(heads), model_classes, set_classes) for head in heads]


def _head_scores(
    table: pd.DataFrame,
    head: int | None,
    num_heads: int,
    model_classes: Sequence[str] | None,
    set_classes: Sequence[str] | None,
) -> dict[str, Any]:
    outputs = table[columns_of(table, "output", head)].to_numpy(np.float64)
    finite = np.isfinite(outputs).all(axis=1)
    targets = table[columns_of(table, "target")]
    if num_heads > 1 and targets.shape[1] > 1:  # one column for each head
        targets = targets.iloc[:, head or 0 : (head or 0) + 1]
    probabilities = table[columns_of(table, "probability", head)].to_numpy(np.float64)
    single = str(PredictionColumn("predicted", head)) in table
    scores: dict[str, Any] = {"task": head or 0, "num_not_finite": int((~finite).sum())}
    if probabilities.shape[1] and single:
        names = list(model_classes or map(str, range(probabilities.shape[1])))
        truth = np.full(len(table), UNKNOWN, np.int64)
        if targets.shape[1]:
            truth = known_classes(
                targets.to_numpy(np.float64)[:, 0], names, model_classes, set_classes
            )
        return scores | class_scores(probabilities[finite], truth[finite], names)
    if targets.shape[1] == outputs.shape[1]:
        return scores | value_scores(outputs[finite], targets.to_numpy(np.float64)[finite])
    return scores | {"kind": "other", "num_known": 0}


def known_classes(
    codes: Reals,
    names: Sequence[str],
    model_classes: Sequence[str] | None,
    set_classes: Sequence[str] | None,
) -> NDArray[np.int64]:
    """The class of the model for each class index ``codes`` of the set, int64 [N].

    ``names``: of the classes of the model by index, also if ``model_classes`` are not known;
    ``UNKNOWN`` stands for a class that is none of them.
    """
    whole = np.where(np.isfinite(codes), codes, UNKNOWN).astype(np.int64)
    if model_classes is None or set_classes is None:
        return np.where((whole >= 0) & (whole < len(names)), whole, UNKNOWN)
    numbers = [names.index(name) if name in names else UNKNOWN for name in set_classes]
    inside = (whole >= 0) & (whole < len(numbers))
    return np.where(inside, np.array([*numbers, UNKNOWN])[np.where(inside, whole, -1)], UNKNOWN)
