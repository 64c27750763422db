"""Assigns the GPUs of a machine to the jobs that run on it at the same time.

Snakemake counts the GPUs of jobs (``resources: gpu``), but does not select them. So each job takes
a lock for its GPU, and makes only that one visible (``CUDA_VISIBLE_DEVICES``). Locks end with their
process, so a killed job releases its GPU. Under Slurm, Slurm assigns GPUs.
"""

import itertools
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qgpipe.system.lock import FolderInUse, FolderLock

VISIBLE = "CUDA_VISIBLE_DEVICES"
_DRIVER = Path("/proc/driver/nvidia/gpus")
_OTHER_DRIVERS = (Path("/dev/dxg"), Path("/dev/kfd"))  # in Windows' Linux, of AMD

logger = logging.getLogger(__name__)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    named = os.environ.get(VISIBLE)
    if named is None:
        return [str(number) for number, _ in enumerate(_DRIVER.glob("*"))]
    return [name.strip() for name in named.split(",") if name.strip()]


def has_gpu() -> bool:
    """Whether there is a GPU that this process may use; checked without loading a driver."""
    elsewhere = VISIBLE not in os.environ and any(map(Path.exists, _OTHER_DRIVERS))
    return bool(visible_gpus()) or elsewhere


@contextmanager
def own_gpus(count: int, device: str) -> Iterator[list[str]]:
    """A block in which ``count`` GPUs are visible to this process and its children.

    If all are taken (``--resources gpu`` is larger than their number), those with the fewest jobs
    are shared. Yields the names of the GPUs. Yields none and changes nothing if ``count`` is 0, if
    ``device`` is the CPU or a specific GPU, under Slurm, without a GPU, and if locks cannot be
    created.
    """
    gpus = visible_gpus()
    chosen = device not in ("auto", "cuda") or "SLURM_JOB_ID" in os.environ
    if chosen or not gpus or count < 1:
        yield []
        return
    before = os.environ.get(VISIBLE)
    try:
        locks = _take(gpus, min(count, len(gpus)))
    except OSError as error:
        logger.warning("jobs on this machine may take the same GPU: %s", error)
        yield []
        return
    try:
        os.environ[VISIBLE] = ",".join(sorted(locks, key=gpus.index))
        yield sorted(locks, key=gpus.index)
    finally:
        for lock in locks.values():
            lock.release()
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before


def _take(gpus: Sequence[str], count: int) -> dict[str, FolderLock]:
    """Locks of ``count`` of the GPUs, by name: first of free ones, then of those with one job, …"""
    own = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(own, f"qgpipe-gpus-{os.getuid()}")
    locks: dict[str, FolderLock] = {}
    for jobs in itertools.count():
        for gpu in gpus:
            if len(locks) == count:
                return locks
            if gpu in locks:
                continue
            lock = FolderLock(folder / f"{gpu.replace('/', '-')}.{jobs}")
            try:
                lock.write()
            except FolderInUse:
                continue
            locks[gpu] = lock
    raise AssertionError("unreachable")
