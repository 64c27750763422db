"""``qgpipe diff RUN1 RUN2``."""

import argparse
from pathlib import Path

HELP = "print what differs between two finished runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two folders of runs."""
    parser.add_argument("first", type=Path, help="folder of a run, results/runs/first for instance")
    parser.add_argument("second", type=Path, help="folder of the run to compare it with")


def run(arguments: argparse.Namespace) -> int:
    """Print settings, data, code, versions, machines and results that differ."""
    from qgpipe.tracing.run_diff import Run, diff_text

    print(diff_text(Run.read(arguments.first), Run.read(arguments.second)))
    return 0
