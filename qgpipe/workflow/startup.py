"""Checks before the first job for problems that would stop later ones."""

import sys
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from qgpipe.config.types import Config
from qgpipe.errors import ConfigError
from qgpipe.system.gpus import has_gpu


def require_plain_python(is_local: bool, python: str = sys.executable) -> None:
    """Raise ``WorkflowError`` if jobs run elsewhere, and a space in the path of Python breaks them.

    Snakemake does not quote the path in the command that starts a cluster job.
    """
    if not is_local and python.split() != [python]:
        raise WorkflowError(
            f"jobs of a cluster cannot be started by {python}, whose path has a space: "
            "install qgpipe in a folder without one"
        )


def require_device(config: Config, dag: Any, is_local: bool) -> None:
    """Raise ``WorkflowError`` if jobs of ``dag`` (Snakemake's) need a GPU, and here is none.

    Jobs that run elsewhere (``is_local`` is false) are not checked.
    """
    if not is_local or has_gpu() or config["training"]["device"] in ("auto", "cpu"):
        return
    if not any(job.resources.get("gpu", 0) for job in dag.needrun_jobs()):
        return
    from qgpipe.system.device import resolve_device  # takes seconds, and torch knows for certain

    try:
        resolve_device(config["training"]["device"])
    except ConfigError as error:
        raise WorkflowError(str(error)) from None
