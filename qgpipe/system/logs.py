"""Logging of a stage: everything to its log file, progress and errors also to the terminal."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TextIO

from qgpipe.errors import QgpipeError, one_line
from qgpipe.system.files import explained_disk_errors, os_error_of_user
from qgpipe.system.process import end_with_parent

PROGRESS = logging.getLogger("qgpipe.progress")
EPOCHS = logging.getLogger("qgpipe.progress.epochs")
# Notes on a result: shown at once, and again at the end by the workflow's display.
NOTES = logging.getLogger("qgpipe.progress.notes")
# How the epochs of a job are shown: by the job in lines, or (SHOWN) by the workflow's display.
SHOWING = "QGPIPE_EPOCHS"
LINES, SHOWN = "lines", "shown"
TRY_AGAIN = os.EX_TEMPFAIL  # 75: tells a scheduler that the same command resumes
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_terminal: TextIO | None = None


def set_terminal(stream: TextIO) -> None:
    """Set the stream that a person watches."""
    global _terminal
    _terminal = stream


def terminal() -> TextIO:
    """The stream that a person watches: standard error as it was before it was redirected."""
    return _terminal or sys.stderr


def shares_terminal() -> bool:
    """Whether other jobs of a workflow may also write to the terminal: then there is no bar."""
    return SHOWING in os.environ


@contextmanager
def stage(
    log_file: str | Path, level: str | int = "INFO", name: str | None = None
) -> Iterator[None]:
    """Run a stage of the workflow with its output and tracebacks in ``log_file``.

    Standard output and error of this process and its children go to the file. Lines of the
    ``qgpipe.progress`` logger and errors show on the terminal too: one line for an error that a
    user can fix, the traceback for a bug. The line begins with ``name``, by default the name of the
    file. An error ends the process with exit code 1; SIGINT, SIGTERM, SIGUSR1 and the death of the
    process that runs the workflow, with ``TRY_AGAIN``.
    """
    global _terminal
    path = Path(log_file)
    name = name or path.stem
    os.environ.setdefault(SHOWING, LINES)  # also for child processes
    saved = os.dup(2)
    _terminal = os.fdopen(saved, "w", buffering=1)
    try:
        _redirect(path)
        configure(level)
        _listen(name)
        yield
    except QgpipeError as error:
        _tell(error, name, path)
        raise SystemExit(1) from None
    except Exception as error:
        if (user_error := os_error_of_user(error)) is not None:
            _tell(user_error, name, path)
            raise SystemExit(1) from None
        text = traceback.format_exc()
        print(text, file=_terminal)
        with suppress(OSError):  # of a full disk
            print(text, file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        for number in SIGNALS:  # another one would interrupt the exit
            signal.signal(number, signal.SIG_IGN)
        logging.shutdown()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # the disk is full: what is left goes to the terminal, not to an error
            os.dup2(saved, 1)
            os.dup2(saved, 2)


def _tell(error: QgpipeError, name: str, log: Path) -> None:
    """Print an error that a user can fix to the terminal, and its details to the ``log``."""
    text, all_of_it = str(error), error.in_full()
    cut = "" if text == one_line(all_of_it) else f" (all of it is in {log})"
    print(f"\n{name}: {text}{cut}\n", file=_terminal)
    logging.getLogger("qgpipe").error("%s", all_of_it, exc_info=error.__cause__)


def _redirect(path: Path) -> None:
    """Send standard output and error to the file ``path``."""
    with explained_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", buffering=1) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)


def _listen(name: str) -> None:
    """Exit on signals of schedulers as after an error, so that temporary files are removed."""

    def stop(number: int, _: FrameType | None) -> None:
        # Past the buffer of the stream: Python refuses to write to it again in the middle of a
        # write, and a handler of the logging module would keep that error, and the signal, back.
        signal_name = signal.Signals(number).name
        line = f"{name}: stopped by {signal_name}; start the same command again to go on\n"
        with suppress(OSError):
            os.write(terminal().fileno(), line.encode())
        raise SystemExit(TRY_AGAIN)

    for number in SIGNALS:
        signal.signal(number, stop)
    end_with_parent(signal.SIGTERM)


def configure(level: str | int) -> None:
    """Log qgpipe from ``level`` on, other packages from WARNING; progress also to the terminal."""
    number = int(level) if str(level).isdigit() else str(level).upper()
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    to_file = logging.StreamHandler(sys.stderr)
    to_file.setFormatter(form)
    root = logging.getLogger()
    root.handlers = [to_file]
    root.setLevel(logging.WARNING)
    logging.getLogger("qgpipe").setLevel(number)
    logging.captureWarnings(True)
    if shares_terminal() or not terminal().isatty():
        to_terminal = logging.StreamHandler(terminal())
        if os.environ.get(SHOWING) == SHOWN:
            to_terminal.addFilter(lambda record: record.name != EPOCHS.name)
        to_terminal.setFormatter(logging.Formatter("%(message)s"))
        PROGRESS.addHandler(to_terminal)
