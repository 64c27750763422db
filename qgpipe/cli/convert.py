"""``qgpipe convert OLD.yaml``."""

import argparse
import sys
from pathlib import Path

from qgpipe.config import load_config
from qgpipe.config.resolve import older_key

HELP = "print a configuration of QuantumGravPy's older formats in the present one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A configuration file."""
    parser.add_argument("config", type=Path, help="configuration in an older format")


def run(arguments: argparse.Namespace) -> int:
    """Print the new configuration, or on standard error what cannot be converted."""
    from qgpipe.conversion.older import convert
    from qgpipe.conversion.rewrite import lost_comments, rewritten

    file = arguments.config
    raw = load_config(file)
    text = file.read_text(encoding="utf-8")
    if older_key(raw) is None:
        _say(file, "nothing to convert, the format is the present one")
        print(text, end="")
        return 0
    config, found = convert(raw)
    for problem in found.problems:
        _say(file, f"not converted: {problem}")
    if found.problems:
        return 1
    result = rewritten(text, raw, config)
    lost = [f"the comment '{comment}' is not kept" for comment in lost_comments(text, result)]
    for note in [*found.notes, *lost]:
        _say(file, note)
    print(result, end="")
    return 0


def _say(file: Path, what: str) -> None:
    print(f"qgpipe convert: {file}: {what}", file=sys.stderr)
