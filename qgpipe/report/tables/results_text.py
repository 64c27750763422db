"""The results of a finished run as a few lines of text."""

from typing import Any

from qgpipe import paths
from qgpipe.config.types import Config
from qgpipe.data.storage.manifest import read_dataset
from qgpipe.errors import DataError
from qgpipe.report.tables.result_files import read_metrics, read_summary


def results_text(config: Config) -> str:
    """Test metrics beside the baseline, how training ended, and where the files are.

    Raises ``DataError`` if the run of the resolved ``config`` has not finished, or if its results
    are damaged.
    """
    metrics_file, folder = paths.metrics(config), paths.run_folder(config)
    if not metrics_file.exists():
        raise DataError(f"{metrics_file} is not there yet", remedy="run the pipeline first")
    metrics, summary = read_metrics(metrics_file), read_summary(paths.summary(config))
    baseline = metrics["baseline"] or {"method": "", "loss": {}, "metrics": {}}
    rows = [("test metric", "model", baseline["method"])]
    for kind, names in (("loss", ["loss_avg"]), ("metrics", list(metrics["metrics"]))):
        rows += [
            (
                name,
                _number(metrics[kind][name]) or "not finite",
                _number((baseline[kind] or {}).get(name)),
            )
            for name in names
        ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    table = [
        f"  {name:<{widths[0]}}  {model:>{widths[1]}}  {base:>{widths[2]}}".rstrip()
        for name, model, base in rows
    ]
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
