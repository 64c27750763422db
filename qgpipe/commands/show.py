"""``qgpipe show run.yaml``."""

from __future__ import annotations

import argparse

from qgpipe.commands.configuration import add_config, runs_of

HELP = "print the results of a finished run"
add_arguments = add_config


def run(arguments: argparse.Namespace) -> int:
    """Print test metrics beside the baseline, or tables over runs; and where the files are."""
    runs = runs_of(arguments.config)
    if len(runs) > 1:
        from qgpipe.report.comparison_text import comparison_text

        print(comparison_text(runs))
    else:
        from qgpipe.report.results_text import results_text

        print(results_text(runs[0].config))
    return 0
