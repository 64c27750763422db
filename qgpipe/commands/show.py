"""``qgpipe show run.yaml``."""

from __future__ import annotations

import argparse

from qgpipe.commands.configuration import add_config, resolved

HELP = "print the results of a finished run"
add_arguments = add_config


def run(arguments: argparse.Namespace) -> int:
    """Print test metrics beside the baseline, and where the files are."""
    from qgpipe.report.results_text import results_text

    print(results_text(resolved(arguments.config)))
    return 0
