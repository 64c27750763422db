"""``qgpipe snakefile``."""

import argparse

HELP = "print where the workflow is: snakemake --snakefile $(qgpipe snakefile)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(arguments: argparse.Namespace) -> int:
    """Print the path of the Snakefile."""
    from qgpipe.workflow_folder import workflow_folder

    print(workflow_folder() / "Snakefile")
    return 0
