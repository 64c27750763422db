"""Standard output and error of this process and its jobs, line by line.

While a part of a terminal is drawn anew again and again, nobody else may write to it: what jobs
say comes through a pipe, and is shown above that part.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable

POLL_SECONDS = 0.2


class Captured:
    """Hands lines that are written to the terminal to a function, until it is closed."""

    def __init__(self, tell: Callable[[str], None]):
        """``tell`` is called in a thread of its own, with each line."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._tell = tell
        self._saved = {fd: os.dup(fd) for fd in (1, 2) if os.isatty(fd)}
        self._source, target = os.pipe()
        for descriptor in self._saved:
            os.dup2(target, descriptor)
        os.close(target)
        self._rest = b""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def terminal(self) -> int:
        """A descriptor of the terminal itself, to be closed by the caller."""
        return os.dup(self._saved[2])

    def close(self) -> None:
        """Give the terminal back, when all lines up to here have been told."""
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in self._saved.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        self._ends.set()
        self._thread.join()
        # The pipe stays open: a job that is still about to end may write to it.

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._source], [], [], POLL_SECONDS)
            if not ready:
                if self._ends.is_set():
                    break
                continue
            data = os.read(self._source, 65536)
            if not data:  # nobody can write any more
                break
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._say(line)
        if self._rest:
            self._say(self._rest)

    def _say(self, line: bytes) -> None:
        # Of a line that was written over again and again, what was seen last.
        self._tell(line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace"))
