"""A running training, followed by the files that it writes.

They are read now and then, so this works for a job on another machine as well, as long as the
file system is shared. What an earlier attempt has left is not taken for news: a file counts from
its first change on.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qgpipe import paths

WINDOW = 300  # observations, from the oldest of which the time of an epoch is reckoned


class Training:
    """What is known of a training: its epochs, and where it stands in the one that runs."""

    def __init__(self, run: str, folder: Path, clock: Callable[[], float] = time.monotonic):
        """``folder`` is that of the run; nothing in it counts until it changes."""
        self.run = run
        self.row: dict[str, str] = {}
        self.position: dict[str, int] | None = None
        self._clock = clock
        self._history = _Followed(paths.epoch_log(folder))
        self._where = _Followed(paths.training_position(folder))
        self._told = 0
        self._seen: deque[tuple[float, float]] = deque(maxlen=WINDOW)

    def poll(self) -> list[dict[str, str]]:
        """Read what is new; returns the rows of the epochs that have ended since the last time."""
        text = self._where.news()
        if text is not None:
            try:
                self.position = json.loads(text)
            except json.JSONDecodeError:  # it is being written
                self._where.forget()
        if self.position is None:
            return []
        text = self._history.news()
        rows = _rows(text) if text is not None else []
        done = max(self._told, self.position["resumed_after"])
        new = [row for row in rows if int(row["epoch"]) > done]
        if rows:
            self.row = rows[-1]
            self._told = max(done, int(self.row["epoch"]))
        if not self._seen or self.epochs_done > self._seen[-1][1]:
            self._seen.append((self._clock(), self.epochs_done))
        return new

    @property
    def num_epochs(self) -> int | None:
        """How many epochs it may have; early stopping may end it before."""
        return None if self.position is None else self.position["num_epochs"]

    @property
    def epochs_done(self) -> float:
        """Epochs that are done, with the part of the running one."""
        if self.position is None:
            return 0.0
        whole, here = self._told, self.position["epoch"] - 1
        if here < whole:  # the history is newer
            return float(whole)
        return here + self.position["step"] / max(self.position["num_steps"], 1)

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean time from epoch to epoch, validation and checkpoints included."""
        if len(self._seen) < 2:
            return None
        (start, first), (stop, last) = self._seen[0], self._seen[-1]
        return (stop - start) / (last - first)

    @property
    def seconds_left(self) -> float | None:
        """Until the last epoch is done, if no early stopping comes before."""
        each = self.seconds_per_epoch
        if each is None or self.num_epochs is None:
            return None
        since = self._clock() - self._seen[-1][0]
        return max((self.num_epochs - self._seen[-1][1]) * each - since, 0.0)


class _Followed:
    """A file that changes now and then."""

    def __init__(self, path: Path):
        self._path = path
        self._state = self._stat()

    def news(self) -> str | None:
        """Its text if it has changed since the last time."""
        state = self._stat()
        if state is None or state == self._state:
            return None
        try:
            text = self._path.read_text(encoding="utf-8")
        except OSError:
            return None
        self._state = state
        return text

    def forget(self) -> None:
        """Let the next text be news in any case."""
        self._state = None

    def _stat(self) -> Any:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _rows(text: str) -> list[dict[str, str]]:
    """The rows of a table of which the last line may be half written."""
    whole = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(io.StringIO(whole, newline="")))
