"""Tables over several runs: the points of a sweep, the folds of a cross-validation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from qgpipe import paths
from qgpipe.config.load import load_config
from qgpipe.config.types import Config
from qgpipe.report.tables.baselines import best_scores, read_baselines
from qgpipe.report.tables.evaluations import (
    evaluation_columns,
    read_baseline_scores,
    read_evaluation,
)
from qgpipe.report.tables.result_files import read_metrics, read_summary
from qgpipe.sweeps.run_names import value_name

Places = Mapping[str, Mapping[str, Any]]

MEAN, DEVIATION = "mean", "deviation"
VALIDATION = "val_"  # prefix of columns of the history


def results_table(folder: Path, places: Places) -> tuple[pd.DataFrame, str | None]:
    """A row for each run of ``places`` (see ``qgpipe.sweeps.expansion.Run.place``), in ``folder``.

    Columns: ``run``, ``label``, ``fold``, then results: ``best_epoch``, ``epochs``, the validation
    score under its name, ``test_loss_avg``, ``test_<metric>`` …, the accuracy or mean absolute
    error of the best baseline as ``baseline_<measure>``, and on each further set that of the model
    as ``evaluate_<set>_<measure>``, of the best baseline as ``evaluate_<set>_baseline_<measure>``.

    The second result is the column of the validation score; None if it differs between runs. Raises
    ``DataError`` if a result file is missing or damaged.
    """
    summaries, rows = {}, []
    for name in places:
        config = cast(Config, {"training": {"path": str(folder)}})  # all that paths need
        summaries[name] = read_summary(paths.summary(config, name))
        metrics = read_metrics(paths.metrics(config, name))
        sets: Mapping[str, str | None] = places[name].get("sets", {})
        rows.append(
            {
                "run": name,
                "label": places[name]["label"],
                "fold": places[name]["fold"],
                "best_epoch": summaries[name]["best_epoch"],
                "epochs": summaries[name]["epochs"],
                summaries[name]["metric"]: summaries[name]["best_score"],
                "test_loss_avg": metrics["loss"]["loss_avg"],
                **{f"test_{key}": value for key, value in metrics["metrics"].items()},
                **best_scores(
                    read_baselines(paths.baselines(config, name), paths.predictions(config, name))
                ),
                **evaluation_columns(
                    [read_evaluation(paths.evaluated(config, name, chosen)) for chosen in sets],
                    [read_baseline_scores(Path(file)) for file in sets.values() if file],
                ),
            }
        )
    watched = {summary["metric"] for summary in summaries.values()}
    table = pd.DataFrame(rows)
    reached = table.columns[3:]
    table[reached] = table[reached].apply(pd.to_numeric)
    return table, watched.pop() if len(watched) == 1 else None


def sweep_table(folder: Path, places: Places) -> pd.DataFrame:
    """A row for each point of a sweep: its settings, its results, and its ``rank``.

    With several folds the results are means over folds, with further columns
    ``<column>_deviation``. Rank 1 is the best by the validation score, independent of test results.
    Raises ``DataError`` if a result file is missing or damaged.
    """
    results, score = results_table(folder, places)
    by_label = results.groupby("label", sort=False)
    points = {place["label"]: {**place["point"], **place["along"]} for place in places.values()}
    settings = pd.DataFrame([{k: _cell(v) for k, v in p.items()} for p in points.values()])
    reached = results.columns[3:]
    has_folds = by_label.size().max() > 1
    of_points = by_label[list(reached)]
    means = (of_points.mean() if has_folds else of_points.first()).reset_index(drop=True)
    table = pd.concat([settings, means], axis=1)
    if has_folds:
        deviations = of_points.std().reset_index(drop=True)
        table = pd.concat([table, deviations.add_suffix(f"_{DEVIATION}")], axis=1)
    table.insert(0, "run", [_point_name(places[run]) for run in by_label["run"].first()])
    if score is not None:
        ascending = _lower_is_better(folder / next(iter(places)), score)
        ranks = table[score].rank(method="first", ascending=ascending)
        table.insert(1, "rank", ranks.astype("Int64"))
    return table


def cross_validation_table(folder: Path, places: Places) -> pd.DataFrame:
    """A row for each fold, and one each for mean and (sample) standard deviation over the folds.

    In a sweep, such rows for each point, named by ``run``. Raises ``DataError`` if a result file is
    missing or damaged.
    """
    results, _ = results_table(folder, places)
    tables = []
    for _, folds in results.groupby("label", sort=False):
        reached = folds.drop(columns=["run", "label", "fold"])
        summary = pd.DataFrame({MEAN: reached.mean(), DEVIATION: reached.std()}).T
        table = pd.concat([reached, summary])
        table.insert(0, "fold", [*map(str, folds["fold"]), MEAN, DEVIATION])
        table.insert(0, "run", _point_name(places[folds["run"].iloc[0]]))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _cell(value: Any) -> Any:
    """A setting in a table: a number itself, any other value by a short name."""
    return value if isinstance(value, int | float) else value_name(value)


def _point_name(place: Mapping[str, Any]) -> str:
    """The name of the runs of a point, without the fold."""
    return "-".join(filter(None, [place["base"], place["label"]]))


def _lower_is_better(run_folder: Path, score: str) -> bool:
    """Whether a lower ``score`` is better, by the mode in early stopping; by default true."""
    config = load_config(run_folder / "config.yaml")
    tasks: dict[str, Any] = (config.get("early_stopping") or {}).get("tasks") or {}
    modes = [task["mode"] for task in tasks.values() if f"{VALIDATION}{task['metric']}" == score]
    return "max" not in modes
