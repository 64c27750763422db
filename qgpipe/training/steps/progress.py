"""Progress of a training: a bar on a terminal of its own, otherwise one line for each epoch."""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from qgpipe import paths
from qgpipe.config.metric_mode import OWN
from qgpipe.system.logs import EPOCHS, NOTES, PROGRESS, shares_terminal, terminal

EVERY_SECONDS = 1.0


class Position:
    """Writes ``logs/position.json``, at most once a second.

    ``resumed_after``: number of epochs completed when this process resumed the training;
    ``num_epochs``; ``epoch``: the current one, from 1; ``step``: completed ones of its
    ``num_steps``.
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
        except OSError:  # progress must not stop the training
            with suppress(OSError):
                self._file.unlink(missing_ok=True)


_EXTREMES = [f"val_{own}loss_{which}" for own in ("", OWN) for which in ("min", "max")]


class Progress:
    """Progress of a run over epochs and steps.

    In a workflow job, where other jobs write to the same terminal, there is no bar, and each line
    begins with the name of the run.
    """

    def __init__(self, num_epochs: int, folder: Path):
        self._num_epochs = num_epochs
        self._position = Position(folder, num_epochs)
        self._name = f"{folder.name}: " if shares_terminal() else ""
        self._stream = terminal()
        self._has_bar = self._stream.isatty() and not shares_terminal()
        self._bar: tqdm | None = None

    def start_epoch(self, epoch: int, step: int, num_steps: int) -> None:
        """``epoch`` counts from 1; ``step`` of its ``num_steps`` are done already."""
        self._position.start_epoch(epoch, step, num_steps)
        if self._has_bar:
            self._bar = tqdm(
                desc=self._title(epoch),
                initial=step,
                total=num_steps,
                unit="batch",
                leave=False,
                file=self._stream,
            )

    def step(self) -> None:
        """A step is done."""
        self._position.step()
        if self._bar is not None:
            self._bar.update()

    def end_epoch(self, row: dict[str, Any]) -> None:
        """An epoch is completed; ``row``: its row of the history."""
        self.close()
        kept = {k: v for k, v in row.items() if k == "train_loss_avg" or k.startswith("val_")}
        values = shown({k: v for k, v in kept.items() if k not in _EXTREMES})
        line = f"{self._title(row['epoch'])}: {values}, {row['graphs_per_second']:.0f} graphs/s"
        self._tell(EPOCHS, line)

    def say(self, message: str) -> None:
        """Show ``message`` to the user, and log it."""
        self._tell(PROGRESS, message)

    def note(self, message: str) -> None:
        """Show a note on the result, now and at the end of the workflow."""
        self._tell(NOTES, message, logging.WARNING)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell(self, logger: logging.Logger, message: str, level: int = logging.INFO) -> None:
        logger.log(level, "%s%s", self._name, message)
        if self._has_bar:
            tqdm.write(message, file=self._stream)

    def _title(self, epoch: int) -> str:
        return f"epoch {epoch}/{self._num_epochs}"


class NoProgress(Progress):
    """Progress of a rank that shows nothing."""

    def start_epoch(self, epoch: int, step: int, num_steps: int) -> None:
        """Nothing is shown."""

    def step(self) -> None:
        """Nothing is shown."""

    def _tell(self, logger: logging.Logger, message: str, level: int = logging.INFO) -> None:
        """Nothing is shown or logged."""


def shown(values: Mapping[Any, Any]) -> str:
    """``name value`` pairs on one line, floats with five significant digits."""
    texts = (f"{v:.5g}" if isinstance(v, float) else str(v) for v in values.values())
    return ", ".join(f"{name} {text}" for name, text in zip(values, texts, strict=True))
