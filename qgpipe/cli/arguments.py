"""Arguments that several commands take: configuration files, ``--trust``."""

import argparse
from pathlib import Path

from qgpipe.config import Run, expand_runs, load_config, resolve_config
from qgpipe.config.load import files_text
from qgpipe.config.types import Config


def add_config(
    parser: argparse.ArgumentParser, text: str = "configuration file, run.yaml for instance"
) -> None:
    """Let ``parser`` take configuration files as ``config`` and ``over``."""
    parser.add_argument("config", type=Path, help=text)
    parser.add_argument(
        "over",
        type=Path,
        nargs="*",
        help="files that are laid over it in turn, as snakemake --configfile does",
    )


def config_files(arguments: argparse.Namespace) -> list[Path]:
    """The files that a command with ``add_config`` was given, the first one first."""
    return [arguments.config, *arguments.over]


def resolved(file: Path) -> Config:
    """The resolved configuration in ``file``. Raises ``ConfigError`` if it is invalid."""
    return resolve_config(load_config(file), str(file))


def runs_of(*files: Path) -> list[Run]:
    """The runs of the configuration in ``files``. Raises ``ConfigError`` if it is wrong."""
    return expand_runs(load_config(*files), files_text(files))


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``: import code that the run names although it was not trained here."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import whatever the run names, though it was not trained here; names are printed",
    )
