"""Checkpoints of a run: the state of the training, from which it resumes exactly.

A checkpoint is one dict of tensors and plain values, read without executing code:

================  ==================================================================
``format``        version of this layout
``fingerprints``  of ``config``, ``data`` and ``split``: the trajectory
``epoch``         completed epochs
``step``          completed steps of the epoch in progress
``parts``         ``state_dict`` of model, optimizer, scheduler, loss scale, average of
                  the weights, early stopping, history, best model so far, losses of
                  the epoch in progress
``rng``           states of the random number generators
================  ==================================================================

The position of the loader follows from ``epoch`` and ``step``. The entry ``sampler`` in older files
is ignored.
"""

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from qgpipe.compat.private import version_of
from qgpipe.errors import TrainingError
from qgpipe.stages.fingerprint import Trajectory
from qgpipe.system import tensor_files
from qgpipe.system.files import atomic_path, write_bytes
from qgpipe.system.json_shapes import misfit
from qgpipe.training.distributed.process_group import ALONE, PeriodicMax, Processes

FORMAT = 2
_SHAPE = {"fingerprints": {str: str}, "epoch": int, "step": int, "parts?": {}, "rng?": {}}
COST = 0.02  # share of the time that may be spent on checkpoints
MID_EPOCH_SECONDS = 60.0

logger = logging.getLogger(__name__)


class CheckpointFolder:
    """The checkpoints of one trajectory: ``last.pt``, ``previous.pt``, ``epoch_NNNN.pt``.

    ``previous.pt`` is the checkpoint before the last, in case the last is damaged. At any time the
    newest undamaged file can be resumed from. With several ``processes`` rank 0 decides when a
    checkpoint is due, and writes and reads.
    """

    def __init__(
        self,
        folder: Path,
        trajectory: Trajectory,
        every_steps: int | None = None,
        keep_epochs: int | None = None,
        processes: Processes = ALONE,
    ):
        """``every_steps``: interval within an epoch; ``None``: as often as costs little time.

        ``keep_epochs``: number of files ``epoch_NNNN.pt`` that are kept, ``None`` for all.
        """
        self.folder = folder
        self.trajectory = trajectory
        self.last = folder / "last.pt"
        self.previous = folder / "previous.pt"
        self.best = folder / "best.pt"
        self.position: tuple[int, int] | None = None  # epoch and step of the newest checkpoint
        self._every_steps = every_steps
        self._keep_epochs = keep_epochs
        self._processes = processes
        self._largest = PeriodicMax(processes)
        self._began = self._since = time.perf_counter()  # ``_since``: time of the last checkpoint
        self._spent = 0.0  # seconds, on all checkpoints

    def save(self, state: dict[str, Any], keep: bool = False) -> None:
        """Write ``state`` to ``last.pt``, and with ``keep`` to ``epoch_NNNN.pt`` as well.

        Raises ``DiskFullError`` if the disk is full; the checkpoints are then unchanged.
        """
        if self._processes.rank == 0:
            self._write(state, keep)
        self.position = state["epoch"], state["step"]

    def _write(self, state: dict[str, Any], keep: bool) -> None:
        fingerprints = asdict(self.trajectory)
        data = tensor_files.to_bytes({"format": FORMAT, "fingerprints": fingerprints, **state})
        if keep:  # before last.pt: a run that resumes from that would not write this file
            write_bytes(self._kept(state["epoch"]), data)
        with atomic_path(self.last) as temporary:
            _write_to_disk(temporary, data)
            if self.last.exists():  # if this process dies before the rename, there is a previous.pt
                self.last.replace(self.previous)
        if keep:
            self._prune(state["epoch"])

    @contextmanager
    def at_cost(self) -> Iterator[None]:
        """A block that makes a checkpoint; its time affects when the next one is due."""
        started = time.perf_counter()
        yield
        self._since = time.perf_counter()
        self._spent += self._since - started

    def is_due(self, step: int = 0) -> bool:
        """Whether to write a checkpoint now, after an epoch or after ``step`` of the next.

        Always after the first epoch; later, and within long epochs, if the time spent on
        checkpoints is a small share of the total. Steps after the last checkpoint of a killed run
        are computed again, with identical results.
        """
        if step and self._every_steps is not None:
            return step % self._every_steps == 0
        mine = int(self._processes.rank == 0 and self._is_cheap(step))
        return bool(self._largest.after_step(mine) if step else self._largest.now(mine))

    def _is_cheap(self, step: int) -> bool:
        """Whether a checkpoint costs little time now, by the clock of this process."""
        if self.position is None and not step:
            return True
        now = time.perf_counter()
        if step and now - self._since < MID_EPOCH_SECONDS:
            return False
        return self._spent <= COST * (now - self._began)

    def load(self, num_epochs: int) -> dict[str, Any] | None:
        """The newest intact checkpoint with at most ``num_epochs`` epochs, if there is one.

        Damaged files are renamed with a warning. Raises ``DataError`` for a file of another format
        version or one that holds code, ``TrainingError`` for one of another trajectory.
        """
        state = self._processes.run_on_rank0(lambda: self._read(num_epochs))
        if state is not None:
            self.position = state["epoch"], state["step"]
        return state

    def _read(self, num_epochs: int) -> dict[str, Any] | None:
        for path in self._newest_first():
            try:
                state = tensor_files.load(path, FORMAT, "checkpoint")
                if problem := misfit(state, _SHAPE):
                    raise tensor_files.DamagedFile(f"{path} is damaged ({problem})")
            except tensor_files.DamagedFile as error:
                logger.warning("%s; going back to the checkpoint before it", error.problem)
                # Otherwise the next save would replace an intact previous.pt by it.
                path.replace(path.with_suffix(".damaged"))
                continue
            if different := self.trajectory.differences(state["fingerprints"]):
                raise TrainingError(
                    f"{path} belongs to another training, with another {' and '.join(different)}",
                    remedy="move it away; training then starts anew",
                )
            if (state["epoch"], state["step"]) <= (num_epochs, 0):
                return state
        return None

    def _newest_first(self) -> Iterator[Path]:
        yield from (path for path in (self.last, self.previous) if path.exists())
        yield from reversed(self._epochs())

    def _epochs(self) -> list[Path]:
        return sorted(self.folder.glob("epoch_*.pt"), key=lambda path: (len(path.name), path.name))

    def _kept(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:04d}.pt"

    def _prune(self, epoch: int) -> None:
        """Remove the oldest files ``epoch_NNNN.pt`` up to ``epoch`` if there are too many."""
        if self._keep_epochs is None:
            return
        files = self._epochs()
        files = files[: files.index(self._kept(epoch)) + 1]
        for file in files[: -self._keep_epochs]:
            file.unlink()


def _write_to_disk(path: Path, data: memoryview) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def weight_marks(model: nn.Module) -> list[tuple[int, int]]:
    """Identifiers that change with the weights of ``model`` and are cheap to compute."""
    return [(id(value), version_of(value)) for value in model.parameters()]


def warn_of_lost_weights(epoch: int, checkpoints: Path) -> None:
    """Warn that training resumes after ``epoch`` of a checkpoint, with other weights."""
    warnings.warn(
        "the weights of trainer.model were changed by hand, and are not used: the training "
        f"goes on after epoch {epoch} of {checkpoints}; to start from yours, "
        "move that folder away or choose another training.path, and give them to a new trainer",
        stacklevel=3,
    )
