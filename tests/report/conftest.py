import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qgpipe.report.results import RunResults

HISTORY = {
    "epoch": [1, 2, 3],
    "train_loss_avg": [1.0, 0.7, 0.5],
    "train_loss_min": [0.8, 0.5, 0.4],
    "train_loss_max": [1.3, 0.9, 0.8],
    "val_loss_avg": [1.1, 0.6, 0.8],
    "val_loss_min": [1.0, 0.5, 0.7],
    "val_loss_max": [1.2, 0.7, 0.9],
    "val_f1_weighted": [0.3, 0.8, 0.7],
    "lr": [1e-2, 1e-3, 1e-3],
    "seconds": [2.0, 2.0, 2.0],
    "graphs_per_second": [400.0, 400.0, 400.0],
}
METRICS = {
    "task": "classification",
    "num_graphs": 10,
    "class_names": ["polynomial", "destroyed", "merged"],
    "confusion_matrix": [[3, 1, 0], [0, 2, 0], [1, 1, 2]],
}
PREDICTIONS = {"id": ["a/0", "a/1"], "target": [0, 1], "output_0": [1.0, 2.0]}
DATASET = {
    "num_graphs": 60,
    "target": "cset_type",
    "class_names": ["polynomial", "destroyed", "merged"],
    "sizes": {
        "min": 64,
        "max": 67,
        "mean": 65.4,
        "histogram": {"edges": [64, 66, 68], "counts": [33, 27]},
    },
}
SPLIT = {
    "class_counts": {
        "train": {"0": 16, "1": 15, "2": 17},
        "validation": {"0": 2, "1": 3, "2": 1},
        "test": {"0": 2, "2": 4},
    }
}


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., RunResults]:
    """Write the result files of a small run, with the given parts replaced."""

    def write(
        history: dict[str, Any] = HISTORY,
        best_epoch: int | None = 2,
        metrics: dict[str, Any] = METRICS,
        predictions: dict[str, Any] = PREDICTIONS,
        dataset: dict[str, Any] = DATASET,
        split: dict[str, Any] = SPLIT,
    ) -> RunResults:
        (tmp_path / "run" / "test").mkdir(parents=True, exist_ok=True)
        pd.DataFrame(history).to_csv(tmp_path / "run" / "history.csv", index=False)
        pd.DataFrame(predictions).to_csv(tmp_path / "run/test/predictions.csv", index=False)
        for path, value in (
            ("run/summary.json", {"best_epoch": best_epoch}),
            ("run/test/metrics.json", metrics),
            ("dataset.json", dataset),
            ("split.json", split),
        ):
            (tmp_path / path).write_text(json.dumps(value))
        return RunResults(tmp_path / "run", tmp_path / "dataset.json", tmp_path / "split.json")

    return write


def _long_history(epochs: int, metrics: int) -> dict[str, Any]:
    falling = np.exp(-np.arange(epochs) / 5)
    losses = {
        f"{prefix}_loss_{kind}": factor * falling
        for prefix in ("train", "val")
        for kind, factor in (("avg", 1), ("min", 0.1), ("max", 30))
    }
    values = {f"val_metric_{k}_with_a_rather_long_name": falling * k for k in range(metrics)}
    return {"epoch": np.arange(epochs), **losses, **values, "lr": falling}


def _classes(names: list[str] | None, count: int) -> dict[str, Any]:
    counts = {str(code): 1000 * code for code in range(count)}
    return {
        "metrics": {
            **METRICS,
            "class_names": names,
            "confusion_matrix": (7 * np.eye(count, dtype=int)).tolist(),
        },
        "dataset": {**DATASET, "class_names": names},
        "split": {"class_counts": dict.fromkeys(("train", "validation", "test"), counts)},
    }


def _regression(targets: int, rows: int) -> dict[str, Any]:
    values = np.linspace(-1, 1, rows)
    columns = {f"target_{k}": values for k in range(targets)}
    columns |= {f"output_{k}": np.where(values > 0.9, np.nan, values**2) for k in range(targets)}
    return {
        "metrics": {
            **METRICS,
            "task": "regression",
            "class_names": None,
            "confusion_matrix": None,
        },
        "predictions": {"id": np.arange(rows), **columns},
        "dataset": {**DATASET, "target": None, "class_names": None},
        "split": {"class_counts": None},
    }


LONG_NAMES = [
    "complex_topology_with_vertical_cuts_and_finite_segments_that_null_rays_cannot_cross",
    "Kleitman–Rothschild order of three layers",
    "$unpaired dollar, a{brace and a \\backslash",
    *(f"layered order number {k}" for k in range(12)),
]


CURVES = ("loss", "metrics", "learning_rate")
CLASSES = ("prediction", "targets")
ODD = {
    "usual": ((*CURVES, *CLASSES, "sizes"), {}),
    "one epoch": (CURVES, {"history": _long_history(1, 1), "best_epoch": None}),
    "many metrics": (CURVES, {"history": _long_history(80, 13)}),
    "no monitors": (("metrics",), {"history": _long_history(5, 0)}),
    "no epoch": (CURVES, {"history": {name: [] for name in HISTORY}}),
    "nothing but NaN": (
        CURVES,
        {"history": {k: v if k == "epoch" else [np.nan] * 3 for k, v in HISTORY.items()}},
    ),
    "no validation": (
        CURVES,
        {"history": {k: v for k, v in HISTORY.items() if not k.startswith("val_")}},
    ),
    "one class": (CLASSES, _classes(["only"], 1)),
    "long names": (CLASSES, _classes(LONG_NAMES, 15)),
    "20 classes": (CLASSES, _classes(None, 20)),
    "many points": (CLASSES, _regression(1, 4000)),
    "four targets": (CLASSES, _regression(4, 30)),
    "no test graphs": (CLASSES, _regression(2, 0)),
    "no targets": (CLASSES, _regression(0, 3)),
    "other task": (
        ("prediction",),
        {"metrics": {**METRICS, "task": "other", "confusion_matrix": None}},
    ),
}


@pytest.fixture(
    params=[
        pytest.param((name, changes), id=f"{name}, {case}")
        for case, (names, changes) in ODD.items()
        for name in names
    ]
)
def odd_figure(
    request: pytest.FixtureRequest, results: Callable[..., RunResults]
) -> tuple[str, RunResults]:
    """The name of a figure, and a run that it has to survive."""
    name, changes = request.param
    return name, results(**changes)
