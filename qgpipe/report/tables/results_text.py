"""The results of a finished run, of a sweep or a cross-validation as a few lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from qgpipe import paths
from qgpipe.config.resolve import evaluated_sets
from qgpipe.config.types import Config
from qgpipe.data.storage.manifest import read_dataset
from qgpipe.errors import DataError
from qgpipe.report.tables.ablations import ablation_rows, read_ablations
from qgpipe.report.tables.baselines import ranked, read_baselines, verdicts
from qgpipe.report.tables.calibration import calibration_lines, read_calibration
from qgpipe.report.tables.comparison import DEVIATION, MEAN
from qgpipe.report.tables.evaluations import (
    evaluation_lines,
    read_baseline_scores,
    read_evaluation,
)
from qgpipe.report.tables.explanation import explanation_rows, invariant_lines, read_explanation
from qgpipe.report.tables.result_files import Kind, read_metrics, read_summary, read_table, rerun
from qgpipe.sweeps.expansion import Run


def results_text(config: Config) -> str:
    """Test metrics of the model and the baselines, how training ended, and paths of files.

    Raises ``DataError`` if the run of the resolved ``config`` has not finished, or if its results
    are damaged.
    """
    metrics_file, folder = paths.metrics(config), paths.run_folder(config)
    if not metrics_file.exists():
        raise DataError(f"{metrics_file} is not there yet", remedy="run the pipeline first")
    metrics, summary = read_metrics(metrics_file), read_summary(paths.summary(config))
    baselines = read_baselines(paths.baselines(config), paths.predictions(config))
    rows = _beside_constant(metrics)
    if baselines is not None and baselines["baselines"]:
        rows = _beside_baselines(metrics, baselines)
    table = aligned(rows, "  ")
    table += [f"  {verdict}" for verdict in (verdicts(baselines) if baselines else [])]
    graphs = summary["graphs_per_second"]
    return "\n".join(
        [
            f"{metrics['run']}: {metrics['num_graphs']} test graphs, {_training_text(summary)}",
            *table,
            *_calibration(config),
            *_evaluations(config),
            *_explanation(config),
            *_ablations(config),
            *_left_out(config),
            f"  trained at {graphs:,.0f} graphs/s on {summary['device']}" if graphs else "",
            f"  report   {paths.report(config)}",
            f"  figures  {folder / 'figures'}",
            f"  model    {paths.final_model(config)}",
        ]
    )


def _evaluations(config: Config) -> list[str]:
    """The scores on further sets of the model, where it was evaluated, and of the baselines."""
    names = evaluated_sets(config)
    files = (paths.evaluated(config, None, name) for name in names)
    found = [read_evaluation(file) for file in files if file.exists()]
    shared = (paths.baseline_scores(config, name) for name in names if config["baseline"])
    baselines = [read_baseline_scores(file) for file in shared if file.exists()]
    lines = evaluation_lines(found, baselines)
    return ["  on further sets", *(f"  {line}" for line in lines)] if lines else []


def _explanation(config: Config) -> list[str]:
    """What the answers of the model rest on, if that was measured."""
    found = read_explanation(paths.explanation(config), paths.final_model(config))
    if found is None:
        return []
    rows = aligned(explanation_rows(found))
    return ["  explanation", *(f"    {line}" for line in [*rows, *invariant_lines(found)])]


def _ablations(config: Config) -> list[str]:
    """The model beside models that lack a part of its input, if there are any."""
    found = read_ablations(paths.ablations(config), paths.predictions(config))
    rows = ablation_rows(found) if found else []
    return ["  ablations", *aligned(rows, "    ")] if rows else []


def _beside_constant(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Losses and metrics of the model and of the best constant prediction."""
    baseline = metrics["baseline"] or {"method": "", "loss": {}, "metrics": {}}
    return [
        ("test metric", "model", baseline["method"]),
        *(
            (name, value, _number((baseline[kind] or {}).get(name)))
            for kind, name, value in _of_model(metrics)
        ),
    ]


def _beside_baselines(
    metrics: Mapping[str, Any], baselines: Mapping[str, Any]
) -> list[tuple[str, ...]]:
    """Losses and metrics of the model, and metrics of the baselines, the best one first."""
    names = ranked(baselines)
    rows = [("test metric", "model", *names)]
    for kind, name, value in _of_model(metrics):
        known = baselines["metrics"].get(name, {}).get("baselines", {}) if kind != "loss" else {}
        rows.append((name, value, *(_number(known.get(one, {}).get("value")) for one in names)))
    return rows


def _of_model(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for kind, names in (("loss", ["loss_avg"]), ("metrics", list(metrics["metrics"]))):
        for name in names:
            yield kind, name, _number(metrics[kind][name]) or "not finite"


def _training_text(summary: Mapping[str, Any]) -> str:
    """How training ended."""
    if members := summary.get("members"):
        return f"mean of {len(members)} models (stopped by {summary['stopped_by']})"
    return (
        f"best of {summary['epochs']} epochs is {summary['best_epoch']} "
        f"(stopped by {summary['stopped_by']})"
    )


def _calibration(config: Config) -> list[str]:
    """What was fitted to the validation set, if the run asks for it."""
    if paths.final_model(config) == paths.model(config):
        return []
    return calibration_lines(read_calibration(paths.calibration(config)))


def _left_out(config: Config) -> list[str]:
    """A line with the number of samples left out by ``on_bad_sample: skip``, if any."""
    file = paths.dataset(config)  # relative to the folder in which the run was started
    if not file.exists() or not (data := read_dataset(file))["num_skipped"]:
        return []
    samples = sum(store["num_samples"] for store in data["stores"])
    return [f"  {data['num_skipped']} of {samples} samples left out as bad: see dataset.json"]


def _number(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.4g}"


_REACHED = ("val_", "test_", "baseline_", "evaluate_")  # prefixes of columns with results
_MOST = 10  # rows of a table on a screen


def comparison_text(runs: Sequence[Run]) -> str:
    """The best points of a sweep, mean and deviation over folds, and paths of the tables.

    Raises ``DataError`` if the ``runs`` have not all finished.
    """
    config, base = runs[0].config, runs[0].base
    lines = [f"{base}: {len(runs)} runs"]
    if any(run.point for run in runs):
        file = paths.sweep_table(config, base)
        table = _read(file, "sweep", ("run",))
        lines += [*_ranking(table), f"  table    {file}"]
        lines.append(f"  figure   {paths.sweep_figure(config, base)}")
    if len({run.fold for run in runs}) > 1:
        file = paths.folds_table(config, base)
        table = _read(file, "folds", ("run", "fold"))
        lines += [*_folds(table), f"  table    {file}"]
        lines.append(f"  figure   {paths.folds_figure(config, base)}")
    return "\n".join(lines)


def _read(file: Path, stage: str, required: Sequence[str]) -> pd.DataFrame:
    if not file.exists():
        raise DataError(f"{file} is not there yet", remedy="run the pipeline first")
    table = read_table(file, stage, required, _kind)
    if table.empty:
        raise DataError(f"{file} has no runs", remedy=rerun(stage))
    return table


def _kind(column: str) -> Kind:
    if column in ("run", "fold"):
        return "text"
    reached = column.startswith(_REACHED) or column in ("rank", "best_epoch", "epochs")
    return "number" if reached else "uniform"


def _ranking(table: pd.DataFrame) -> list[str]:
    reached = [
        name
        for name in map(str, table)
        if name.startswith(_REACHED) and not name.endswith(f"_{DEVIATION}")
    ]
    if "rank" not in table:
        return ["  the runs watch different scores: none is the best", *_rows(table, reached)]
    table = table.sort_values("rank")
    score = next(name for name in reached if name.startswith("val_"))
    best = table["run"].iloc[0]
    return [f"  best by {score}: {best}", *_rows(table.head(_MOST), ["rank", *reached])]


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return aligned([["run", *columns], *table[["run", *columns]].values.tolist()], "  ")


def _folds(table: pd.DataFrame) -> list[str]:
    columns = [name for name in map(str, table) if name.startswith(_REACHED[1:])]
    rows: list[Sequence[Any]] = [[f"{MEAN} ± {DEVIATION}", *columns]]
    for run, folds in table.groupby("run", sort=False):
        values = folds.set_index("fold")
        mean, deviation = values.loc[MEAN], values.loc[DEVIATION]
        rows.append([run, *(f"{mean[c]:.4g} ± {deviation[c]:.2g}" for c in columns)])
    return aligned(rows, "  ")


def aligned(rows: Sequence[Sequence[Any]], margin: str = "") -> list[str]:
    """A line for each row: the first column left-aligned, others right-aligned; short numbers."""
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        margin + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in cells
    ]
