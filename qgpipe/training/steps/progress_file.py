"""Where a training stands, in a small file that others may follow while it goes on."""

import json
import time
from contextlib import suppress
from pathlib import Path

from qgpipe import paths

EVERY_SECONDS = 1.0


class Position:
    """Writes ``logs/position.json``, at most once a second.

    ``resumed_after``: the epochs that were done when this process took up the training;
    ``num_epochs``; ``epoch``, the running one, from 1; ``step`` of its ``num_steps`` that are
    done.
    """

    def __init__(self, folder: Path, num_epochs: int):
        self._file = paths.training_position(folder)
        self._content = {"num_epochs": num_epochs}
        self._written = -EVERY_SECONDS

    def start_epoch(self, epoch: int, step: int, num_steps: int) -> None:
        """``epoch`` counts from 1; ``step`` of its ``num_steps`` are done already."""
        self._content.setdefault("resumed_after", epoch - 1)
        self._content.update(epoch=epoch, step=step, num_steps=num_steps)
        self._write()

    def step(self) -> None:
        """A step is done."""
        self._content["step"] += 1
        self._write()

    def _write(self) -> None:
        now = time.monotonic()
        if now - self._written < EVERY_SECONDS:
            return
        self._written = now
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._content), encoding="utf-8")
        except OSError:  # no training ends because it cannot be watched
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
