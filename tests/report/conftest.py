import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qgpipe.data.graphs.packed import EdgePairs, Packed, offsets
from qgpipe.data.storage.part_file import write_part
from qgpipe.report.page.page import write_page
from qgpipe.report.tables.results import RunResults

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
SUMMARY = {
    "best_epoch": 2,
    "best_score": 0.6,
    "metric": "val_loss_avg",
    "epochs": 3,
    "stopped_by": "num_epochs",
    "seconds": 6.0,
    "graphs_per_second": 400.0,
    "parameters": 1234,
    "device": "cpu",
    "checkpoints": "checkpoints/0123456789abcdef",
    "versions": {"python": "3.11.7"},
}
METRICS = {
    "run": "a_run",
    "task": "classification",
    "num_graphs": 10,
    "loss": {"loss_avg": 0.123456789, "loss_min": 0.1, "loss_max": 0.2},
    "metrics": {"f1_weighted": 0.7012345678, "mcc": None},
    "baseline": {
        "method": "majority class",
        "loss": {"loss_avg": 1.0986, "loss_min": 1.0, "loss_max": 1.2},
        "metrics": {"f1_weighted": 0.2222222222, "mcc": 0.0},
    },
    "class_names": ["polynomial", "destroyed", "merged"],
    "confusion_matrix": [[3, 1, 0], [0, 2, 0], [1, 1, 2]],
}
# The answers behind that matrix: (true class, predicted class, the logit that decides).
ANSWERS = [
    (0, 0, 3.0), (0, 0, 2.0), (0, 0, 1.0), (0, 1, 4.0), (1, 1, 0.5),
    (1, 1, 5.0), (2, 0, 0.1), (2, 1, 0.2), (2, 2, 0.3), (2, 2, 6.0),
]  # fmt: skip
PREDICTIONS = {
    "id": [f"a/{k}" for k in range(10)],
    "target": [true for true, _, _ in ANSWERS],
    **{
        f"output_{code}": [logit * (said == code) for _, said, logit in ANSWERS]
        for code in range(3)
    },
    "predicted": [said for _, said, _ in ANSWERS],
}
DATASET = {
    "num_graphs": 60,
    "num_filtered": 3,
    "num_skipped": 1,
    "skipped": [{"id": "a/9", "reason": "NaN in 'in_degree'"}],
    "stores": [
        {"name": "a", "path": "raw/a.zarr", "layout": "stacked", "num_samples": 64, "role": "all"}
    ],
    "node_features": ["in_degree", "out_degree"],
    "graph_features": None,
    "target": "cset_type",
    "class_names": ["polynomial", "destroyed", "merged"],
    "class_counts": {"0": 18, "1": 18, "2": 24},
    "sizes": {
        "min": 64,
        "max": 67,
        "mean": 65.4,
        "histogram": {"edges": [64, 66, 68], "counts": [33, 27]},
    },
}
SPLIT = {
    "method": "random",
    "seed": 7,
    "train": list(range(48)),
    "validation": list(range(48, 54)),
    "test": list(range(54, 60)),
    "class_counts": {
        "train": {"0": 16, "1": 15, "2": 17},
        "validation": {"0": 2, "1": 3, "2": 1},
        "test": {"0": 2, "2": 4},
    },
}


def feature_entry(names: list[str], rise: float, fall: float | None = 0.1) -> dict[str, Any]:
    """What permuting features of nodes costs."""
    return {
        "level": "node",
        "features": names,
        "loss": {"mean": rise, "deviation": 0.01},
        "scores": [{"mean": fall, "deviation": None if fall is None else 0.02}],
    }


SHARES = {
    "linear": {"value": 0.9, "low": 0.85, "high": 0.95},
    "boosting": {"value": None, "low": None, "high": None},
}
EXPLANATION = {
    "run": "a_run",
    "model": "of another run",
    "num_graphs": 8,
    "num_tested": 10,
    "importances": {
        "repetitions": 5,
        "correlation": 0.9,
        "loss": 0.12,
        "scores": [{"task": 0, "measure": "accuracy", "value": 0.7}],
        "features": [
            feature_entry(["in_degree"], -0.01, 0.0),
            feature_entry(["out_degree"], 0.5, 0.25),
            {**feature_entry(["ordering_fraction"], 0.25, None), "level": "graph"},
        ],
        "correlated": [feature_entry(["in_degree", "out_degree"], 0.75)],
        "all": [feature_entry(["in_degree", "out_degree", "height_rank"], 1.5)],
    },
    "invariants": {
        "fitted_set": "validation",
        "fitted_to": 6,
        "features": ["ordering_fraction", "link_fraction"],
        "resamples": 400,
        "heads": [
            {
                "task": 0,
                "kind": "classification",
                "methods": SHARES,
                "outputs": [{"name": name, "methods": SHARES} for name in ("a", "b", "c")],
            }
        ],
        "left_out": None,
    },
}


SCORE = {"value": 0.7, "low": 0.6, "high": 0.8}
ABLATION = {"difference_low": -0.3, "difference_high": -0.1, "p": 0.01, "is": "worse"}
ABLATIONS = {
    "run": "a_run",
    "predictions": "of another run",
    "runs": {"no_edges": "a_run-no_edges", "reversed_edges": "a_run-reversed_edges"},
    "loss": {"model": 0.12, "no_edges": 0.5, "reversed_edges": None},
    "metrics": {"f1_weighted": {"model": 0.7, "no_edges": 0.5, "reversed_edges": 0.7}},
    "targets": [
        {
            "name": "cset_type",
            "measure": "accuracy",
            "better": "max",
            "num_graphs": 10,
            "test": "McNemar, exact",
            "model": SCORE,
            "ablations": {
                "no_edges": {
                    **{"value": 0.5, "low": 0.4, "high": 0.6},
                    "difference": -0.2,
                    **ABLATION,
                },
                "reversed_edges": {**SCORE, "difference": 0.0, **ABLATION, "is": "not different"},
            },
        }
    ],
}


def write_chains(path: Path, samples: int) -> dict[str, Any]:
    """A part of store ``a`` with chains, sample i of 3 + i % 4 elements; its entry in the list."""
    sizes = [3 + i % 4 for i in range(samples)]
    pairs = [np.argwhere(np.triu(np.ones((n, n)), 1)).T for n in sizes]
    edges = np.concatenate([*pairs, np.zeros((2, 0))], axis=1).astype(np.uint16)
    packed = Packed(
        np.arange(samples),
        offsets(np.array(sizes, np.int64)),
        EdgePairs(edges, offsets(np.array([pair.shape[1] for pair in pairs], np.int64))),
        explicit_num_nodes=True,
    )
    names = dict.fromkeys(["node_features", "graph_features", "class_names", "target"])
    read = {"store": "a", "start": 0, "stop": samples, "num_filtered": 0, "num_skipped": 0}
    info = write_part(path, packed, {**read, "skipped": [], **names})
    return {"file": path.name, "store": "a", "start": 0, "stop": samples} | {
        "num_graphs": info["num_graphs"]
    }


def write_results(
    folder: Path,
    history: dict[str, Any] = HISTORY,
    best_epoch: int | None = 2,
    metrics: dict[str, Any] = METRICS,
    predictions: dict[str, Any] = PREDICTIONS,
    dataset: dict[str, Any] = DATASET,
    split: dict[str, Any] = SPLIT,
    config: str = "name: a_run\n",
    explanation: dict[str, Any] | None = None,
    ablations: dict[str, Any] | None = None,
) -> RunResults:
    """Write the result files of a small run to ``folder``."""
    (folder / "run" / "test").mkdir(parents=True, exist_ok=True)
    (folder / "run" / "config.yaml").write_text(config)
    pd.DataFrame(history).to_csv(folder / "run" / "history.csv", index=False, na_rep="nan")
    ids = [one if "/" in str(one) else f"a/{one}" for one in predictions["id"]]
    pd.DataFrame({**predictions, "id": ids}).to_csv(
        folder / "run/test/predictions.csv", index=False
    )
    graphs, epochs = len(predictions["id"]), len(history["epoch"])
    best_epoch = min(best_epoch, epochs) if best_epoch and epochs else None
    part = write_chains(folder / "a.safetensors", graphs)
    for path, value in (
        ("run/summary.json", {**SUMMARY, "best_epoch": best_epoch, "epochs": epochs}),
        ("run/test/metrics.json", {**METRICS, **metrics, "num_graphs": graphs}),
        ("dataset.json", {"parts": [part], **DATASET, **dataset}),
        ("split.json", {**SPLIT, **split}),
    ):
        (folder / path).write_text(json.dumps(value))
    for name, content in (("explanation", explanation), ("ablations", ablations)):
        if content is not None:
            (folder / f"run/{name}.json").write_text(json.dumps(content))
    return RunResults(folder / "run", folder / "dataset.json", folder / "split.json")


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., RunResults]:
    """Write the result files of a small run, with the given parts replaced."""
    return functools.partial(write_results, tmp_path)


def _long_history(epochs: int, metrics: int) -> dict[str, Any]:
    falling = np.exp(-np.arange(epochs) / 5)
    losses = {
        f"{prefix}_loss_{kind}": factor * falling
        for prefix in ("train", "val")
        for kind, factor in (("avg", 1), ("min", 0.1), ("max", 30))
    }
    values = {f"val_metric_{k}_with_a_rather_long_name": falling * k for k in range(metrics)}
    return {"epoch": np.arange(epochs) + 1, **losses, **values, "lr": falling}


def _classes(names: list[str] | None, count: int) -> dict[str, Any]:
    counts = {str(code): 1000 * code for code in range(count)}
    return {
        "metrics": {
            **METRICS,
            "class_names": names,
            "confusion_matrix": (7 * np.eye(count, dtype=int)).tolist(),
        },
        "dataset": {**DATASET, "class_names": names},
        "split": {**SPLIT, "class_counts": dict.fromkeys(("train", "validation", "test"), counts)},
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
        "predictions": {"id": [f"a/{k}" for k in range(rows)], **columns},
        "dataset": {**DATASET, "target": None, "class_names": None},
        "split": {**SPLIT, "class_counts": None},
    }


LONG_NAMES = [
    "complex_topology_with_vertical_cuts_and_finite_segments_that_null_rays_cannot_cross",
    "Kleitman–Rothschild order of three layers",
    "$unpaired dollar, a{brace and a \\backslash",
    *(f"layered order number {k}" for k in range(12)),
]


CURVES = ("loss", "metrics", "learning_rate")
CLASSES = ("prediction", "reliability", "scores_by_size", "targets")
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
        ("prediction", "reliability", "scores_by_size"),
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


@pytest.fixture(params=ODD)
def odd_run(request: pytest.FixtureRequest, results: Callable[..., RunResults]) -> RunResults:
    """A run that a page has to survive."""
    return results(**ODD[request.param][1])


MARKUP = "<script>alert(1)</script>\"'&lt;--> $x$"
LONG_NAME = "a_name_without_a_blank_" * 8
NAMES = {"class_names": [MARKUP, LONG_NAME, "c"]}
PAGES = {
    "classes": {},
    "real targets": _regression(2, 40),
    "names with markup": {
        "metrics": {**METRICS, **NAMES, "run": MARKUP},
        "dataset": {**DATASET, **NAMES, "target": MARKUP, "node_features": [MARKUP, LONG_NAME]},
        "config": f"name: '{MARKUP}'\n{'x' * 300}\n",
    },
    "explained": {"explanation": EXPLANATION, "ablations": ABLATIONS},
}


@pytest.fixture(params=PAGES, scope="session")
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run, one of each kind."""
    folder = tmp_path_factory.mktemp("page")
    run = write_results(folder, **PAGES[request.param])
    explained = "explanation" in PAGES[request.param]
    files = run.run_folder, run.dataset_json, run.split_json
    write_page(*files, folder / "report.html", explained=explained, ablated=explained)
    return folder / "report.html"


@pytest.fixture
def large_run() -> dict[str, Any]:
    """A regression on two targets with many epochs, test graphs and features."""
    names = [f"feature_{k}" for k in range(3000)]
    run = _regression(2, 20_000)
    return {
        **run,
        "history": _long_history(3000, 9),
        "dataset": {**run["dataset"], "node_features": names},
        "config": "x" * 20_000,
    }
