"""``qgpipe check run.yaml``."""

from __future__ import annotations

import argparse

from qgpipe.commands.configuration import add_config, resolved

HELP = "explain what is wrong with a configuration, or what it will do"
add_arguments = add_config


def run(arguments: argparse.Namespace) -> int:
    """Print what a run would do."""
    config = resolved(arguments.config)
    from qgpipe.check import check

    print(check(config))
    return 0
