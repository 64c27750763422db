"""Arguments that several commands take: a configuration file, ``--trust``."""

import argparse
from pathlib import Path

from qgpipe.config import Run, expand_runs, load_config, resolve_config
from qgpipe.config.types import Config


def add_config(parser: argparse.ArgumentParser) -> None:
    """Let ``parser`` take a configuration file as ``config``."""
    parser.add_argument("config", type=Path, help="configuration file, run.yaml for instance")


def resolved(file: Path) -> Config:
    """The resolved configuration in ``file``. Raises ``ConfigError`` if it is invalid."""
    return resolve_config(load_config(file), str(file))


def runs_of(file: Path) -> list[Run]:
    """The runs of the configuration in ``file``. Raises ``ConfigError`` if it is invalid."""
    return expand_runs(load_config(file), str(file))


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``: import code that the run names although it was not trained here."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import whatever the run names, though it was not trained here; names are printed",
    )
