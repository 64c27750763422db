"""``qgpipe predict RUN STORE…``."""

import argparse
from contextlib import nullcontext
from pathlib import Path

from qgpipe.cli.arguments import add_trust
from qgpipe.data.raw.objects import store_path

HELP = "apply the model of a finished run to zarr stores, with or without a target"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, stores, and what to write where."""
    parser.add_argument("folder", type=Path, help="of a run, results/runs/first for instance")
    parser.add_argument("stores", type=store_path, nargs="+", metavar="store", help="zarr store")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="of the tables; by default predict/ in the run",
    )
    parser.add_argument(
        "--embeddings", action="store_true", help="add the pooled vector of each graph"
    )
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of the tables")
    add_trust(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write a table for each store, as the rule ``predict_store`` does."""
    import joblib

    from qgpipe.prediction.run_folder import RunFolder
    from qgpipe.prediction.without_workflow import predict
    from qgpipe.system.lock import writing

    made_by = RunFolder.open(arguments.folder, arguments.trust)
    inside = arguments.output is None
    with writing(made_by.folder / ".lock") if inside else nullcontext():
        for table, graphs in predict(
            made_by,
            arguments.stores,
            made_by.folder / "predict" if inside else arguments.output,
            {"embeddings": arguments.embeddings, "format": arguments.format},
            processes=joblib.cpu_count(),
        ):
            print(f"{table}: {graphs:,} graphs", flush=True)
    return 0
