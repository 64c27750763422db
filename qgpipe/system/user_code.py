"""The line of the user's code in which an error was raised."""

import os
import traceback
from pathlib import Path

INSTALLED = {"site-packages", "dist-packages"}
_OTHERS = (Path(__file__).parents[1], Path(traceback.__file__).parent)  # qgpipe, standard library


def line_of_user(error: BaseException) -> str:
    """`` (mymodule.py, line 12)``, the innermost line outside the installed packages.

    Empty if there is none, or if the error contains the line itself (``SyntaxError``).
    """
    if isinstance(error, SyntaxError):
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if os.access(path, os.R_OK) and not _is_installed(path):
            return f" ({path.name}, line {frame.lineno})"
    return ""


def _is_installed(path: Path) -> bool:
    return bool(INSTALLED & set(path.parts)) or any(map(path.is_relative_to, _OTHERS))
