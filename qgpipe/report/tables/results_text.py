"""The results of a finished run as a few lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qgpipe import paths
from qgpipe.config.types import Config
from qgpipe.data.storage.manifest import read_dataset
from qgpipe.errors import DataError
from qgpipe.report.tables.baselines import ranked, read_baselines, verdicts
from qgpipe.report.tables.result_files import read_metrics, read_summary


def results_text(config: Config) -> str:
    """Test metrics beside those of the baselines, how training ended, and where the files are.

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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(["", row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    table += [f"  {verdict}" for verdict in (verdicts(baselines) if baselines else [])]
    graphs = summary["graphs_per_second"]
    return "\n".join(
        [
            f"{metrics['run']}: {metrics['num_graphs']} test graphs, best of {summary['epochs']} "
            f"epochs is {summary['best_epoch']} (stopped by {summary['stopped_by']})",
            *table,
            *_left_out(config),
            f"  trained at {graphs:,.0f} graphs/s on {summary['device']}" if graphs else "",
            f"  report   {paths.report(config)}",
            f"  figures  {folder / 'figures'}",
            f"  model    {paths.model(config)}",
        ]
    )


def _beside_constant(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Losses and metrics of the model and of the best constant answer."""
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


def _left_out(config: Config) -> list[str]:
    """How many samples ``on_bad_sample: skip`` has left out, if any."""
    file = paths.dataset(config)  # seen from where the run was started
    if not file.exists() or not (data := read_dataset(file))["num_skipped"]:
        return []
    samples = sum(store["num_samples"] for store in data["stores"])
    return [f"  {data['num_skipped']} of {samples} samples left out as bad: see dataset.json"]


def _number(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.4g}"
