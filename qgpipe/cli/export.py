"""``qgpipe export RUN``."""

import argparse
from pathlib import Path

from qgpipe import paths
from qgpipe.cli.arguments import add_trust

HELP = "write the model of a finished run as safetensors, JSON and a program of torch.export"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and where to write."""
    parser.add_argument("folder", type=Path, help="of a run, results/runs/first for instance")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="by default export/ in the run"
    )
    add_trust(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files; prints why there is no program if the model cannot be exported."""
    from qgpipe.prediction.export import export
    from qgpipe.prediction.run_folder import RunFolder

    made_by = RunFolder.open(arguments.folder, arguments.trust)
    output = arguments.output or paths.exported(made_by.folder)
    why = export(made_by, output)
    print(f"wrote {output}")
    if why is not None:
        print(f"there is no program.pt2: {why}")
    return 0
