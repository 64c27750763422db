"""``qgpipe``: what a person runs beside ``snakemake``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import qgpipe
from qgpipe.config import load_config, resolve_config
from qgpipe.errors import QgpipeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 for what the user can mend."""
    parser = argparse.ArgumentParser(prog="qgpipe", description=qgpipe.__doc__)
    parser.add_argument("--version", action="version", version=f"qgpipe {qgpipe.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (function, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("config", type=Path, help="configuration file, run.yaml for instance")
        command.set_defaults(run=function)
    chosen = parser.parse_args(arguments)
    try:
        print(chosen.run(_resolved(chosen.config)))
    except QgpipeError as error:
        print(f"qgpipe {chosen.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _resolved(file: Path) -> dict:
    return resolve_config(load_config(file), str(file))


def _check(config: dict) -> str:
    from qgpipe.check import check

    return check(config)


def _show(config: dict) -> str:
    from qgpipe.report.results_text import results_text

    return results_text(config)


def _reference(config: dict) -> str:
    from qgpipe.config.reference import reference

    return reference(config).rstrip("\n")


_COMMANDS = {
    "check": (_check, "explain what is wrong with a configuration, or what it will do"),
    "show": (_show, "print the results of a finished run"),
    "reference": (_reference, "print a configuration with every key explained"),
}
