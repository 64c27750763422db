"""The option ``--trust`` of the commands that apply a model."""

import argparse


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Whether code that the run names is imported though the run was not trained here."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import whatever the run names, though it was not trained here; names are printed",
    )
