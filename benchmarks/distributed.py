"""Graphs a second of a training by one process, and by several that share each batch.

    python benchmarks/distributed.py --output benchmarks/results/distributed.md

The model of the default run. Each process has one thread, or a GPU of its own where there are
as many. ``--quick`` does it at a small scale.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from machine import describe
from measure import keep, table

from qgpipe.config import load_config, resolve_config

ROOT = Path(__file__).resolve().parents[1]


def configuration(folder: Path, ranks: int, quick: bool) -> dict[str, Any]:
    """The default run by ``ranks`` processes, without validation."""
    config = load_config(ROOT / "config" / "run.yaml")
    config["generate"].update(num_samples=90 if quick else 900)
    config["data"].update(output=str(folder / "data"), n_processes=1)
    config["training"].update(num_epochs=2 if quick else 6, path=str(folder))
    config["parallel"] = {"world_size": ranks}
    for section in ("validation", "early_stopping"):
        config.pop(section, None)
    return resolve_config({**config, "name": f"ranks{ranks}"})


def rate(folder: Path, ranks: int, quick: bool) -> float:
    """Graphs a second: the median of the epochs after the first."""
    from qgpipe.training.prepare import prepare_data
    from qgpipe.training.run import train_run

    config, run = configuration(folder, ranks, quick), folder / f"ranks{ranks}"
    train_run(config, *prepare_data(config), run)
    with (run / "history.csv").open() as file:
        epochs = [float(row["graphs_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(epochs[1:])


def main() -> None:
    """Measure, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--quick", action="store_true", help="a few graphs only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rates = {ranks: rate(Path(folder), ranks, options.quick) for ranks in (1, 2)}
    rows = [[ranks, graphs, graphs / rates[1]] for ranks, graphs in rates.items()]
    text = [
        "# Training on several processes",
        "",
        f"Measured by `benchmarks/distributed.py` on {describe('torch', 'torch_geometric')}",
        "",
        table(["processes", "graphs/s", "times one"], rows),
    ]
    keep("\n".join(text), options.output)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported
    main()
