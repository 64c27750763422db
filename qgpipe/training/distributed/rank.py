"""Runs a pickled function in a rank, and reports its error to the process that started it."""

import logging
import pickle
import time
import traceback
from pathlib import Path

import torch

from qgpipe.errors import QgpipeError
from qgpipe.system import logs

_SUFFIX = ".cause.pickle"


def run_payload(payload: bytes, folder: Path, rank: str, level: int, threads: int) -> None:
    """Call the function that is pickled in ``payload`` with its arguments, in this process.

    ``level``: log level; other ranks than ``0`` only log warnings. ``threads``: number of threads
    of torch. An error is written to a file in ``folder`` before this rank ends, which makes the
    other ranks fail.
    """
    logs.configure(level if rank == "0" else max(logging.WARNING, level))
    torch.set_num_threads(threads)
    try:
        function, *arguments = pickle.loads(payload)
        function(*arguments)
    except Exception as error:
        _write_error(folder, rank, error)
        raise


def _write_error(folder: Path, rank: str, error: Exception) -> None:
    content = {
        "rank": rank,
        "nanoseconds": time.time_ns(),
        "traceback": traceback.format_exc(),
        "user_error": pickle.dumps(error) if isinstance(error, QgpipeError) else None,
    }
    (folder / f"{rank}{_SUFFIX}").write_bytes(pickle.dumps(content))


def first_error(folder: Path) -> Exception | None:
    """The first error that ranks have written below ``folder``, which caused all others.

    An error that a user can fix is returned as it was raised; a bug as a ``RuntimeError`` with its
    traceback.
    """
    errors = [pickle.loads(file.read_bytes()) for file in folder.rglob(f"*{_SUFFIX}")]
    if not errors:
        return None
    first = min(errors, key=lambda content: content["nanoseconds"])
    if first["user_error"] is not None:
        return pickle.loads(first["user_error"])
    return RuntimeError(f"rank {first['rank']} failed:\n\n{first['traceback']}")
