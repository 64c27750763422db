"""Prevents two runs of the workflow from using the same output folders.

The data folder and each run folder have their own lock, which is taken before jobs start: exclusive
if jobs write there, shared if they only read. So different runs can train on the same data at the
same time. A dry run locks nothing.
"""

import atexit
import threading
import time
from collections.abc import Iterable
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from qgpipe import paths
from qgpipe.config.types import Config
from qgpipe.errors import QgpipeError
from qgpipe.system.lock import FolderLock


def lock_outputs(config: Config, dag: Any) -> None:
    """Lock the folders that the jobs of ``dag`` (Snakemake's) write to or read from.

    The data folder is locked for writing only until its last file is written; then another run can
    read it while this one trains. Raises ``WorkflowError`` if another run, which is named, holds
    one of the locks, or if a folder cannot be written to.
    """
    writers, runs = _jobs_by_folder(dag)
    data = FolderLock(paths.data_lock(config))
    try:
        if writers:
            data.write()
        elif runs:
            data.read()
        locks = [FolderLock(paths.run_lock(config, run)) for run in sorted(runs)]
        for lock in locks:
            lock.write()
    except QgpipeError as error:
        raise WorkflowError(str(error)) from None
    except OSError as error:
        raise WorkflowError(
            f"{error.filename}: {error.strerror}; see data.output and training.path"
        ) from None
    for lock in (data, *locks):
        atexit.register(lock.release)
    if writers and runs:
        threading.Thread(target=_share, args=(data, dag, writers), daemon=True).start()


def _jobs_by_folder(dag: Any) -> tuple[list[Any], set[str]]:
    """The jobs that write to the data folder, and the names of the runs that jobs work on."""
    jobs = [job for job in dag.needrun_jobs() if job.output]
    runs = {run for job in jobs if (run := _run(job)) is not None}
    return [job for job in jobs if _run(job) is None], runs


def _run(job: Any) -> str | None:
    """The run that a job works on, or the sweep whose runs it compares."""
    return getattr(job.wildcards, "run", None) or getattr(job.wildcards, "sweep", None)


def _share(lock: FolderLock, dag: Any, writers: Iterable[Any]) -> None:
    while not all(dag.finished(job) for job in writers):
        time.sleep(1)
    lock.share()
