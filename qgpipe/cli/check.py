"""``qgpipe check run.yaml``."""

import argparse

from qgpipe.cli.arguments import add_config, config_files
from qgpipe.config import expand_runs, load_config
from qgpipe.config.load import files_text
from qgpipe.errors import ConfigError

HELP = "explain what is wrong with a configuration, or what it will do"
add_arguments = add_config


def run(arguments: argparse.Namespace) -> int:
    """Print what a run would do, or each of several."""
    files = config_files(arguments)
    raw = load_config(*files)
    runs = expand_runs(raw, files_text(files))
    from qgpipe.workflow.preflight import check_runs

    try:
        print(check_runs(runs, raw))
    except ConfigError as error:
        error.file = error.file or files_text(files)
        raise
    return 0
