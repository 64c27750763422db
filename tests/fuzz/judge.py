"""One mutant after another, each in a process of its own, and what came of it.

A mutant is a folder in which something is wrong, and a command that meets it. What came of it is

========== ===========================================================================
ran        exit code 0
message    another exit code, and one or two lines that say why
long       another exit code, and more than that
traceback  a traceback, on the terminal or in a log
hang       no end within ``LIMIT`` seconds
died       ended by a signal, an abort in C++ for instance
silent     exit code 0 where the mutant had to be refused, or with another result
========== ===========================================================================

The last five are faults. The process is a fork of this one, so that nothing is imported again; this
one must therefore start no threads of its own (no torch operation, no read by TensorStore).
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

LIMIT = 10.0  # seconds
LONGEST = 600  # characters of a message
FAULTS = ("long", "traceback", "hang", "died", "silent")


@dataclass(frozen=True)
class Mutant:
    """``make`` breaks something in the folder that it is given, a fresh copy of one that works.

    ``run`` is then called there, as the working directory, and returns an exit code. ``refused``:
    whether it has to end with a message; None where both are right, if the result is.
    ``same`` is called after exit code 0 and says whether the result is what it has to be.
    """

    name: str
    make: Callable[[Path], None]
    run: Callable[[], int]
    refused: bool | None = None
    same: Callable[[Path], bool] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant, with what it printed to the error stream."""

    mutant: str
    kind: str
    error: str
    seconds: float


def judge(mutant: Mutant, folder: Path) -> Outcome:
    """Make and run ``mutant`` in ``folder``."""
    mutant.make(folder)
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        status = _run(mutant, folder, said.fileno())
        said.seek(0)
        error = said.read().decode(errors="replace")
    seconds = time.perf_counter() - begin
    return Outcome(mutant.name, _kind(mutant, folder, status, error), error, seconds)


def kinds(outcomes: Iterable[Outcome]) -> Counter[str]:
    """How many mutants came to what."""
    return Counter(outcome.kind for outcome in outcomes)


def _kind(mutant: Mutant, folder: Path, status: int | None, error: str) -> str:
    if status is None:
        return "hang"
    if "Traceback (most recent call last)" in error:
        return "traceback"
    if os.WIFSIGNALED(status):
        return "died"
    if os.WEXITSTATUS(status) == 0:
        wrong = mutant.refused or (mutant.same is not None and not mutant.same(folder))
        return "silent" if wrong else "ran"
    lines = [line for line in error.splitlines() if line.strip()]
    return "message" if 1 <= len(lines) <= 2 and len(error) <= LONGEST else "long"


def _run(mutant: Mutant, folder: Path, said: int) -> int | None:
    """The status of the process as ``os.wait`` gives it; None if it had to be killed."""
    process = os.fork()
    if process == 0:
        code = 70
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(said, 2)
            sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
            sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, closefd=False)
            os.chdir(folder)
            code = mutant.run()
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else 1
        except BaseException:
            os.write(2, traceback.format_exc().encode(errors="replace"))
        finally:
            os._exit(code)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None
