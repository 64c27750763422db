"""``qgpipe reference run.yaml``, ``qgpipe reference --markdown``, ``qgpipe reference --schema``."""

import argparse
from pathlib import Path

from qgpipe.cli.arguments import resolved

HELP = "print a configuration with every key explained, the page about all keys, or the schema"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A configuration, ``--markdown`` for the page, or ``--schema``."""
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "config", type=Path, nargs="?", help="configuration file, run.yaml for instance"
    )
    chosen.add_argument(
        "--schema", action="store_true", help="the JSON Schema for editors, of every key"
    )
    chosen.add_argument(
        "--markdown", action="store_true", help="docs/configuration.md: every key, in tables"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration with a comment and default for each key, the page, or the schema."""
    from qgpipe.cli.keys.reference_config import reference
    from qgpipe.cli.keys.reference_page import reference_page
    from qgpipe.cli.keys.reference_schema import editor_schema

    if arguments.schema:
        text = editor_schema()
    else:
        text = reference_page() if arguments.markdown else reference(resolved(arguments.config))
    print(text.rstrip("\n"))
    return 0
