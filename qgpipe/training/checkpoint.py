"""Checkpoints of a run: where training stands, so that it can go on exactly there.

A checkpoint is one dict of tensors and plain values:

=============  =====================================================================
``format``     version of this layout
``fingerprint``  of all that shapes the trajectory, data and split included
``epoch``      completed epochs
``step``       completed steps of the epoch in progress
``stopped``    whether early stopping has ended the training
``parts``      ``state_dict`` of model, optimizer, history, best model, ...
``rng``        states of the random number generators
=============  =====================================================================
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qgpipe.errors import TrainingError
from qgpipe.training import saved

FORMAT = 1
COST = 0.02  # of the time between two checkpoints may be spent on writing one
MID_EPOCH_SECONDS = 60.0

logger = logging.getLogger(__name__)


class CheckpointFolder:
    """The checkpoints of one trajectory: ``last.pt``, ``previous.pt``, ``epoch_NNNN.pt``.

    ``previous.pt`` is the one before the last, in case the last is damaged.
    """

    def __init__(self, folder: Path, fingerprint: str):
        self.folder = folder
        self.fingerprint = fingerprint
        self.last = folder / "last.pt"
        self.previous = folder / "previous.pt"
        self.best = folder / "best.pt"
        self.position: tuple[int, int] | None = None  # epoch and step of the newest one
        self._written: float | None = None
        self._seconds = 0.0
        for left_behind in folder.glob(".*.tmp"):  # of a process that was killed
            left_behind.unlink()

    def save(self, state: dict[str, Any], keep: bool = False) -> None:
        """Write ``state`` to ``last.pt``, and with ``keep`` to ``epoch_NNNN.pt`` as well."""
        started = time.perf_counter()
        state = {"format": FORMAT, "fingerprint": self.fingerprint, **state}
        if self.last.exists():
            self.last.replace(self.previous)
        saved.save(self.last, state)
        if keep:
            saved.save(self.folder / f"epoch_{state['epoch']:04d}.pt", state)
        self.position = state["epoch"], state["step"]
        self._written = time.perf_counter()
        self._seconds = self._written - started

    def is_due(self, mid_epoch: bool = False) -> bool:
        """Whether to write a checkpoint now.

        The first is always due; later ones when writing has become a small share of the time
        since. What is lost by a kill in between is computed again, to the same bytes.
        """
        if self._written is None:
            return not mid_epoch
        waited = time.perf_counter() - self._written
        return waited > max(self._seconds / COST, MID_EPOCH_SECONDS if mid_epoch else 0.0)

    def load(self, num_epochs: int) -> dict[str, Any] | None:
        """The newest intact checkpoint with at most ``num_epochs`` epochs, if there is one.

        Damaged files are passed over with a warning. Raises ``TrainingError`` for a file of
        another format version or another trajectory.
        """
        for path in self._newest_first():
            try:
                state = saved.load(path, FORMAT, "checkpoint")
            except saved.DamagedFile as error:
                logger.warning("%s; going back to the checkpoint before it", error)
                continue
            if state["fingerprint"] != self.fingerprint:
                raise TrainingError(
                    f"{path} belongs to another training ({state['fingerprint']})",
                    remedy="move it away; training then starts anew",
                )
            position = state["epoch"], state["step"]
            if position <= (num_epochs, 0):
                self.position = position
                return state
        return None

    def _newest_first(self) -> Iterator[Path]:
        yield from (path for path in (self.last, self.previous) if path.exists())
        yield from sorted(self.folder.glob("epoch_*.pt"), reverse=True)
