"""``qgpipe show run.yaml``."""

import argparse
from pathlib import Path

from qgpipe.cli.arguments import runs_of
from qgpipe.config.types import Config, TrainingSection
from qgpipe.prediction.run_folder import RunFolder

HELP = "print the results of a finished run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let ``parser`` take a configuration file or the folder of a run as ``config``."""
    parser.add_argument("config", type=Path, help="configuration file, or the folder of a run")


def run(arguments: argparse.Namespace) -> int:
    """Print test metrics beside the baseline, or tables over runs; and where the files are."""
    configs = _configs(arguments.config)
    if len(configs) > 1:
        from qgpipe.report.tables.results_text import comparison_text

        print(comparison_text(runs_of(arguments.config)))
    else:
        from qgpipe.report.tables.results_text import results_text

        print(results_text(configs[0]))
    return 0


def _configs(path: Path) -> list[Config]:
    """The resolved configurations of a file, or of the run in a folder, which may have moved."""
    if not path.is_dir():
        return [run.config for run in runs_of(path)]
    config = RunFolder.open(path).config
    where = path.resolve()
    training: TrainingSection = {**config["training"], "path": str(where.parent)}
    return [{**config, "name": where.name, "training": training}]
