"""``qgpipe show run.yaml``."""

import argparse
from pathlib import Path

from qgpipe.cli.arguments import add_config, config_files, runs_of
from qgpipe.config.types import Config, TrainingSection
from qgpipe.prediction.run_folder import RunFolder

HELP = "print the results of a finished run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let ``parser`` take configuration files or the folder of a run."""
    add_config(parser, "configuration file, or the folder of a run")


def run(arguments: argparse.Namespace) -> int:
    """Print test metrics beside the baseline, or tables over runs; and where the files are."""
    files = config_files(arguments)
    configs = _configs(*files)
    if len(configs) > 1:
        from qgpipe.report.tables.results_text import comparison_text

        print(comparison_text(runs_of(*files)))
    else:
        from qgpipe.report.tables.results_text import results_text

        print(results_text(configs[0]))
    return 0


def _configs(path: Path, *over: Path) -> list[Config]:
    """The resolved configurations of files, or that of the run in a folder, wherever it is now."""
    if not path.is_dir() or over:
        return [run.config for run in runs_of(path, *over)]
    config = RunFolder.open(path).config
    where = path.resolve()
    training: TrainingSection = {**config["training"], "path": str(where.parent)}
    return [{**config, "name": where.name, "training": training}]
