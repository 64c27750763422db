"""The stage ``ablate``: a model beside models trained like it without a part of their input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qgpipe import paths
from qgpipe.baselines.predictors import from_table
from qgpipe.baselines.statistics import (
    bootstrap_interval,
    difference_of_accuracies,
    difference_of_means,
)
from qgpipe.config.types import Config
from qgpipe.errors import TrainingError
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.scores import wilson_interval
from qgpipe.sweeps.derived import ablated_runs
from qgpipe.system.files import sha256, write_json
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.steps.outputs import IGNORED_TARGET, Kind, kind_of_task, labels

FORMAT = 1
MODEL = "model"
RESAMPLES = 1000  # for the interval of a mean
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Judged:
    """What several models reach on one target, graph by graph.

    ``scores``: of each model, whether it is right (bool [N]), the share of the elements of each
    graph on which it is (float64 [N]), or the absolute error (float64 [N], of elements their mean).
    """

    name: str
    kind: Kind
    scores: dict[str, NDArray[Any]]

    @property
    def counts(self) -> bool:
        """Whether each graph is right or wrong."""
        return all(score.dtype == bool for score in self.scores.values())


def compare_ablations(config: Config, output: Path) -> None:
    """Write what the model of a run and its ablations reach on the test set to ``output``, as JSON.

    The ablations are the runs of ``report.ablations``, whose results are beside those of the run of
    the resolved ``config``. Raises ``DataError`` for a file that is missing or damaged.
    """
    names = {MODEL: config["name"], **ablated_runs(config)}
    results = {
        kind: RunResults(paths.run_folder(config, name), paths.dataset(config), paths.split(config))
        for kind, name in names.items()
    }
    found = comparison(
        {kind: one.predictions for kind, one in results.items()}, results[MODEL].dataset["target"]
    )
    write_json(
        output,
        {
            "format": FORMAT,
            "run": config["name"],
            "predictions": sha256(paths.predictions(config)),
            "runs": {kind: name for kind, name in names.items() if kind != MODEL},
            "loss": {kind: one.test["loss"]["loss_avg"] for kind, one in results.items()},
            "metrics": {
                metric: {kind: one.test["metrics"].get(metric) for kind, one in results.items()}
                for metric in results[MODEL].test["metrics"]
            },
            "targets": found,
        },
    )


def comparison(
    predictions: Mapping[str, pd.DataFrame], target: str | Sequence[str] | None
) -> list[dict[str, Any]]:
    """An entry for each target with the scores of all models, and each ablation beside the model.

    ``predictions``: tables of the test, that of the model under ``model``; ``target``: what the
    data calls the targets. Scores are accuracies or mean absolute errors with 95 % intervals:
    Wilson's for graphs that are right or wrong, else of a bootstrap over graphs. Differences are
    those of the same graphs, by McNemar's exact test or a paired bootstrap
    (``qgpipe.baselines.statistics``), with the ablation above the model. Elements of one graph are
    not independent, so that they count as a mean over the graph.
    """
    return [_entry(judged) for judged in judge(predictions, target)]


def judge(
    predictions: Mapping[str, pd.DataFrame], target: str | Sequence[str] | None
) -> list[Judged]:
    """The scores of all models on each target, of the rows that all tables have."""
    keys = [name for name in ("id", "element") if name in predictions[MODEL]]
    tables = {name: table.set_index(keys) for name, table in predictions.items()}
    common = tables[MODEL].index
    for table in tables.values():
        common = common[common.isin(table.index)]
    rows = {name: table.loc[common].reset_index() for name, table in tables.items()}
    graph = pd.factorize(rows[MODEL]["id"])[0] if "element" in keys else None
    seen = {name: from_table(table) for name, table in rows.items()}
    found = []
    for task in seen[MODEL].heads:
        try:
            kind = kind_of_task(*seen[MODEL].pair(task))
        except TrainingError:  # there is no target
            continue
        if kind != "other":
            found += _of_head(seen, task, kind, graph, target)
    return found


def _of_head(
    seen: Mapping[str, Collected],
    task: int,
    kind: Kind,
    graph: NDArray[np.int64] | None,
    target: str | Sequence[str] | None,
) -> list[Judged]:
    columns: dict[str, NDArray[Any]] = {}
    for name, collected in seen.items():
        output, truth = collected.pair(task)
        answer, known = labels(output, truth), truth.numpy()
        if kind == "classification":
            score = np.where(known == IGNORED_TARGET, np.nan, answer == known)
        else:
            score = np.abs(answer - known.astype(np.float64).reshape(answer.shape))
        columns[name] = score.reshape(len(score), -1)
    width = columns[MODEL].shape[1]
    titles = [target] if isinstance(target, str) else list(target or ())
    first = task if len(seen[MODEL].heads) > 1 else 0
    judged = []
    for c in range(width):
        place = first + c
        title = titles[place] if place < len(titles) else f"target {place}"
        scores = {name: _by_graph(column[:, c], graph) for name, column in columns.items()}
        known = np.all([np.isfinite(score) for score in scores.values()], axis=0)
        as_bool = kind == "classification" and graph is None
        kept = {n: (s[known] > 0.5 if as_bool else s[known]) for n, s in scores.items()}
        judged.append(Judged(title, kind, kept))
    return judged


def _by_graph(scores: NDArray[np.float64], graph: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Scores of elements as means over the known ones of each graph."""
    if graph is None:
        return scores
    known = np.isfinite(scores)
    count = np.bincount(graph[known], minlength=graph.max(initial=-1) + 1)
    total = np.bincount(graph[known], scores[known], minlength=len(count))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _entry(judged: Judged) -> dict[str, Any]:
    model = judged.scores[MODEL]
    others = [name for name in judged.scores if name != MODEL] if len(model) else []
    return {
        "name": judged.name,
        "measure": "accuracy" if judged.kind == "classification" else "mean absolute error",
        "better": "max" if judged.kind == "classification" else "min",
        "num_graphs": len(model),
        "test": "McNemar, exact" if judged.counts else "paired bootstrap",
        "model": _score(judged, MODEL) if len(model) else None,
        "ablations": {name: _score(judged, name) | _compared(judged, name) for name in others},
    }


def _score(judged: Judged, name: str) -> dict[str, float]:
    scores = judged.scores[name]
    if judged.counts:
        ends = wilson_interval(np.array([scores.sum()]), np.array([len(scores)]))
        low, high = (float(end[0]) for end in ends)
    else:
        interval = bootstrap_interval(lambda rows: scores[rows].mean(), len(scores), RESAMPLES)
        assert interval is not None
        low, high = interval
    return {"value": float(scores.mean()), "low": low, "high": high}


def _compared(judged: Judged, name: str) -> dict[str, Any]:
    """How an ablation differs from the model."""
    both = judged.scores[name], judged.scores[MODEL]
    found = difference_of_accuracies(*both) if judged.counts else difference_of_means(*both)
    higher_is_better = judged.kind == "classification"
    better = (found.value > 0) == higher_is_better
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "p": found.p,
        "is": "not different" if found.p > SIGNIFICANT else "better" if better else "worse",
    }
