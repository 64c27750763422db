"""What ended a rank, told to the process that started the ranks: through a file each."""

import pickle
import time
import traceback
from pathlib import Path

from qgpipe.errors import QgpipeError

_SUFFIX = ".cause.pickle"


def write_error(folder: Path, rank: str, error: Exception) -> None:
    """Write ``error``, which ends ``rank``, to a file in ``folder``."""
    content = {
        "rank": rank,
        "nanoseconds": time.time_ns(),
        "traceback": traceback.format_exc(),
        "user_error": pickle.dumps(error) if isinstance(error, QgpipeError) else None,
    }
    (folder / f"{rank}{_SUFFIX}").write_bytes(pickle.dumps(content))


def first_error(folder: Path) -> Exception | None:
    """The first error that ranks have written below ``folder``: all others follow of it.

    What a user can fix is as it was raised; a ``RuntimeError`` holds the traceback of a bug.
    """
    errors = [pickle.loads(file.read_bytes()) for file in folder.rglob(f"*{_SUFFIX}")]
    if not errors:
        return None
    first = min(errors, key=lambda content: content["nanoseconds"])
    if first["user_error"] is not None:
        return pickle.loads(first["user_error"])
    return RuntimeError(f"rank {first['rank']} failed:\n\n{first['traceback']}")
