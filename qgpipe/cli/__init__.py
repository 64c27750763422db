"""The command line ``qgpipe``, for use beside ``snakemake``."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import qgpipe
from qgpipe.compat.late_imports import import_late
from qgpipe.errors import QgpipeError
from qgpipe.system.files import os_error_of_user

COMMANDS = (
    "new", "check", "convert", "show", "predict", "export", "trace", "diff", "clean", "reference",
    "snakefile", "completion",
)  # fmt: skip

DESCRIPTION = (
    "Graph neural networks on causal sets, as a Snakemake workflow over a small library. "
    "A run itself is started with snakemake --cores 8 --configfile run.yaml."
)


def command_line() -> argparse.ArgumentParser:
    """The parser of the commands; parsed arguments have the command's function as ``run``."""
    parser = argparse.ArgumentParser(prog="qgpipe", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"qgpipe {qgpipe.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        module = import_module(f"qgpipe.cli.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 for errors that the user can fix."""
    import_late()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would interrupt the exit
        return 128 + signal.SIGINT


def _run(arguments: Sequence[str] | None) -> int:
    chosen = command_line().parse_args(arguments)
    try:
        code = chosen.run(chosen)
        sys.stdout.flush()
    except QgpipeError as error:
        return _refused(chosen.command, error)
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if (user_error := os_error_of_user(error)) is None:
            raise
        return _refused(chosen.command, user_error)
    return code


def _refused(command: str, error: QgpipeError) -> int:
    print(f"qgpipe {command}: {error}", file=sys.stderr)
    return 1
