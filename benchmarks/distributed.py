"""Graphs a second of a training by one process, and by several that share each batch.

    python benchmarks/distributed.py --output benchmarks/results/distributed.md

The model of the default run. Each process has one thread, or a GPU of its own where there are
as many. Rates are told by the clock on the wall and by the processor time of the first process,
which other load of the machine does not disturb; on an idle one with a core for each process they
differ by what processes wait for each other. ``--quick`` does it at a small scale.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from machine import describe
from measure import keep, table
from processor_log import NAME

from qgpipe.config import load_config, resolve_config
from qgpipe.config.objects import add_search_path

HERE = Path(__file__).resolve().parent


def configuration(folder: Path, ranks: int, quick: bool) -> dict[str, Any]:
    """The default run by ``ranks`` processes, without validation."""
    config = load_config(HERE.parent / "config" / "run.yaml")
    config["generate"].update(num_samples=90 if quick else 900)
    config["data"].update(output=str(folder / "data"), n_processes=1)
    config["training"].update(num_epochs=2 if quick else 6, path=str(folder))
    config["training"]["loggers"] = ["processor_log.ProcessorLog"]
    config["parallel"] = {"world_size": ranks}
    for section in ("validation", "early_stopping"):
        config.pop(section, None)
    return resolve_config({**config, "name": f"ranks{ranks}"})


def rates(folder: Path, ranks: int, quick: bool) -> tuple[float, float]:
    """Graphs a second, on the wall and of processor time: medians of epochs after the first."""
    from qgpipe.training.prepare import prepare_data
    from qgpipe.training.run import train_run

    config, run = configuration(folder, ranks, quick), folder / f"ranks{ranks}"
    train_run(config, *prepare_data(config), run)
    with (run / "history.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    graphs = rows[0]["graphs_per_second"] * rows[0]["seconds"]
    clock = [float(line) for line in (run / NAME).read_text().splitlines()]
    computed = [after - before for before, after in itertools.pairwise(clock)]
    on_the_wall = statistics.median(row["graphs_per_second"] for row in rows[1:])
    return on_the_wall, graphs / statistics.median(computed)


def main() -> None:
    """Measure, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--quick", action="store_true", help="a few graphs only")
    options = parser.parse_args()
    add_search_path(HERE)
    with tempfile.TemporaryDirectory() as folder:
        found = {ranks: rates(Path(folder), ranks, options.quick) for ranks in (1, 2)}
    rows = [
        [ranks, wall, wall / found[1][0], computed, computed / found[1][1]]
        for ranks, (wall, computed) in found.items()
    ]
    header = ["processes", "graphs/s", "times one", "graphs/s of processor time", "times one"]
    text = [
        "# Training on several processes",
        "",
        f"Measured by `benchmarks/distributed.py` on {describe('torch', 'torch_geometric')}",
        f"In the last minute {os.getloadavg()[0]:.1f} processes ran on average, these included. "
        "Processor time is that of the first process.",
        "",
        table(header, rows),
    ]
    keep("\n".join(text), options.output)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported
    main()
