"""Where a stage's words go: everything to its log file, progress and errors to the terminal too."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from qgpipe.errors import QgpipeError

PROGRESS = logging.getLogger("qgpipe.progress")
_terminal: TextIO | None = None


def terminal() -> TextIO:
    """The stream that a person watches: standard error as it was before it was redirected."""
    return _terminal or sys.stderr


@contextmanager
def stage(log_file: str | Path, level: str | int = "INFO") -> Iterator[None]:
    """Run a stage of the workflow with its output and tracebacks in ``log_file``.

    Standard output and error of this process and its children go to the file. Lines of the
    ``qgpipe.progress`` logger and errors show on the terminal too: one line for what a user
    can mend, the traceback for a bug. An error ends the process with exit code 1.
    """
    global _terminal
    path = Path(log_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = os.dup(2)
    _terminal = os.fdopen(saved, "w", buffering=1)
    with path.open("w", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    _configure(level)
    try:
        yield
    except QgpipeError as error:
        logging.getLogger("qgpipe").error("%s", error, exc_info=error.__cause__)
        print(f"\n{path.stem}: {error}\n", file=_terminal)
        raise SystemExit(1) from None
    except Exception:
        text = traceback.format_exc()
        print(text, file=sys.stderr)
        print(text, file=_terminal)
        raise SystemExit(1) from None
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()


def _configure(level: str | int) -> None:
    number = int(level) if str(level).isdigit() else str(level).upper()
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    to_file = logging.StreamHandler(sys.stderr)
    to_file.setFormatter(form)
    root = logging.getLogger()
    root.handlers = [to_file]
    root.setLevel(logging.WARNING)
    logging.getLogger("qgpipe").setLevel(number)
    logging.captureWarnings(True)
    if not terminal().isatty():
        to_terminal = logging.StreamHandler(terminal())
        to_terminal.setFormatter(logging.Formatter("%(message)s"))
        PROGRESS.addHandler(to_terminal)
