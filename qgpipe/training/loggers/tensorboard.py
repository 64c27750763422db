"""Writes the history of a training to event files for TensorBoard."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.dump import to_yaml
from qgpipe.errors import ConfigError
from qgpipe.training.loggers.history import TRAIN, VALIDATION

GROUPS = {TRAIN: "train/", VALIDATION: "val/"}


class TensorBoardLogger:
    """Writes a scalar for each column of the history to the folder ``tensorboard`` of the run.

    The step is the epoch. When a training resumes, the events of all completed epochs are written
    to a new file and older files are removed, so that each epoch occurs exactly once. Earlier
    epochs then have times as if there had been no interruption.
    """

    def start(self, config: Mapping[str, Any], folder: Path, rows: list[dict[str, Any]]) -> None:
        """Open an event file with the completed epochs, and the configuration as text."""
        from torch.utils.tensorboard import SummaryWriter

        target = paths.tensorboard(folder)
        older = list(target.glob("events.out.tfevents.*"))
        # At this step a running TensorBoard discards what it has read from older files.
        self._writer = SummaryWriter(target, purge_step=1)
        self._add_configuration(config)
        since_then = sum(row["seconds"] for row in rows)
        now = time.time()
        for row in rows:
            since_then -= row["seconds"]
            self._add(row, now - since_then)
        self._writer.flush()
        for file in older:
            file.unlink()

    def log(self, row: dict[str, Any]) -> None:
        """Add the scalars of an epoch, and flush them."""
        self._add(row, time.time())
        self._writer.flush()

    def finish(self, outcome: str) -> None:
        """Close the file."""
        self._writer.close()

    def _add(self, row: Mapping[str, Any], when: float) -> None:
        for name, value in row.items():
            if name != "epoch" and isinstance(value, int | float):
                self._writer.add_scalar(_tag(name), value, row["epoch"], walltime=when)

    def _add_configuration(self, config: Mapping[str, Any]) -> None:
        try:
            text = to_yaml(config)
        except ConfigError:  # written in Python, with objects without an importable name
            return
        self._writer.add_text("configuration", f"```yaml\n{text}```", 0)


def _tag(column: str) -> str:
    """``val/loss_avg`` for ``val_loss_avg``: TensorBoard groups tags by the part before /."""
    for prefix, group in GROUPS.items():
        if column.startswith(prefix):
            return group + column.removeprefix(prefix)
    return column
