"""The history of a training as event files for TensorBoard."""

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

    The step is the epoch. When a training is taken up, the events of all epochs that are done
    are written anew and older files removed: what is there is always the history, each epoch
    once. The times of epochs of before are those without the interruption.
    """

    def start(self, config: Mapping[str, Any], folder: Path, rows: list[dict[str, Any]]) -> None:
        """Open an event file with the epochs that are done, and the configuration as text."""
        from torch.utils.tensorboard import SummaryWriter

        target = paths.tensorboard(folder)
        older = list(target.glob("events.out.tfevents.*"))
        # A TensorBoard that is open forgets at this step what it has read from older files.
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
        """Add the scalars of an epoch, to be seen at once."""
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
        except ConfigError:  # written in Python, with objects that have no name
            return
        self._writer.add_text("configuration", f"```yaml\n{text}```", 0)


def _tag(column: str) -> str:
    """``val/loss_avg`` of ``val_loss_avg``: TensorBoard makes a section of what is before /."""
    for prefix, group in GROUPS.items():
        if column.startswith(prefix):
            return group + column.removeprefix(prefix)
    return column
