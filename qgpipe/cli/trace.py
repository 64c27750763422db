"""``qgpipe trace FILE``."""

import argparse
from pathlib import Path

HELP = "print where a file came from, back to the raw data, and whether each link still holds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An artifact, and a folder for a crate."""
    parser.add_argument(
        "artifact", type=Path, help="a file that the pipeline has made, or the folder of a run"
    )
    parser.add_argument(
        "--crate",
        type=Path,
        metavar="FOLDER",
        help="also write a Workflow Run RO-Crate: artifacts, records and workflow, in a new folder",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the chain; the exit code is 1 if a link does not hold."""
    from qgpipe.provenance.chain import artifacts_in, trace
    from qgpipe.tracing.text import trace_text

    links = trace(artifacts_in(arguments.artifact))
    text, holds = trace_text(links)
    print(text)
    if arguments.crate is not None:
        from qgpipe.tracing.crate import write_crate

        write_crate(links, arguments.crate)
        print(f"wrote {arguments.crate}")
    return 0 if holds else 1
