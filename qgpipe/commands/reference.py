"""``qgpipe reference run.yaml``."""

from __future__ import annotations

import argparse

from qgpipe.commands.configuration import add_config, resolved

HELP = "print a configuration with every key explained"
add_arguments = add_config


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration with a comment and the default for each key."""
    from qgpipe.config.reference import reference

    print(reference(resolved(arguments.config)).rstrip("\n"))
    return 0
