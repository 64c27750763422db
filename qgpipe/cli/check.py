"""``qgpipe check run.yaml``."""

import argparse

from qgpipe.cli.arguments import add_config
from qgpipe.config import expand_runs, load_config
from qgpipe.errors import ConfigError

HELP = "explain what is wrong with a configuration, or what it will do"
add_arguments = add_config


def run(arguments: argparse.Namespace) -> int:
    """Print what the run, or each run, would do."""
    raw = load_config(arguments.config)
    runs = expand_runs(raw, str(arguments.config))
    from qgpipe.workflow.preflight import check_runs

    try:
        print(check_runs(runs, raw))
    except ConfigError as error:
        error.file = error.file or str(arguments.config)
        raise
    return 0
