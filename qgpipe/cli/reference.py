"""``qgpipe reference run.yaml``, ``qgpipe reference --markdown``."""

import argparse
from pathlib import Path

from qgpipe.cli.arguments import resolved

HELP = "print a configuration with every key explained, or the page about all keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A configuration, or ``--markdown`` for the page."""
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "config", type=Path, nargs="?", help="configuration file, run.yaml for instance"
    )
    chosen.add_argument(
        "--markdown", action="store_true", help="docs/configuration.md: every key, in tables"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration with a comment and the default for each key, or the page."""
    from qgpipe.cli.reference_config import reference
    from qgpipe.cli.reference_page import reference_page

    text = reference_page() if arguments.markdown else reference(resolved(arguments.config))
    print(text.rstrip("\n"))
    return 0
