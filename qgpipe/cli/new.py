"""``qgpipe new STORE…``."""

import argparse
from pathlib import Path

from qgpipe.errors import ConfigError

HELP = "write a configuration for zarr stores, which passes the check and trains as it stands"
PRESETS = ("two_way", "seed", "gin", "graphnorm_residual", "gps", "gatv2")  # of any features


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Stores, what to predict with which model, and where to write."""
    parser.add_argument("stores", type=Path, nargs="+", metavar="store", help="zarr store")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="by default it is printed; never replaced"
    )
    parser.add_argument("--target", metavar="NAME", help="the array to predict")
    parser.add_argument(
        "--preset", choices=PRESETS, default=PRESETS[0], help="the model, from config/models"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the configuration, and say what it predicts."""
    from qgpipe.workflow.new_run import new_configuration

    output = arguments.output
    text = new_configuration(arguments.stores, output, arguments.preset, arguments.target)
    if output is None:
        print(text, end="")
        return 0
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(
            "the file is there already", file=str(output), remedy="give another name with -o"
        ) from None
    print(f"wrote {output}; next: qgpipe check {output}")
    return 0
