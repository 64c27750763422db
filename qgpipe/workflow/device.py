"""Says before the first job that the device of the last ones is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from qgpipe.errors import ConfigError
from qgpipe.system.gpus import has_gpu


def require_device(config: Mapping[str, Any], dag: Any, is_local: bool) -> None:
    """Raise ``WorkflowError`` if jobs of ``dag`` (Snakemake's) need a GPU, and here is none.

    Of jobs that run elsewhere (``is_local`` is false) nothing is known.
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
