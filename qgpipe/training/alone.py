"""What a training is made of that depends on how many processes share it: here, one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import torch

from qgpipe.system.lock import writing
from qgpipe.training.checkpoint import CheckpointFolder
from qgpipe.training.interruption import SignalWatch
from qgpipe.training.loss_log import LossLog
from qgpipe.training.progress import Progress
from qgpipe.training.training_step import TrainingStep

T = TypeVar("T")


class Sent(Protocol):
    """What ranks send to each other."""

    def on_host(self) -> Self:
        """The same, with its tensors in the memory of the host."""


S = TypeVar("S", bound=Sent)


class Alone:
    """One process, which does everything.

    ``Group`` of ``qgpipe.training.group`` is the other case. The trainer is written for both.
    """

    size = 1
    is_first = True

    def first(self, compute: Callable[[], T]) -> T:
        """What ``compute`` returns or raises on the first rank, on all ranks."""
        return compute()

    def writing(self, lock: Path) -> AbstractContextManager[None]:
        """A block in which this training alone writes to the folder of ``lock``."""
        return writing(lock)

    def shares(self, loader: Any) -> Any:
        """A loader of what this process trains on."""
        return loader

    def training_step(self, *parts: Any) -> TrainingStep:
        """The step of a training that has ``parts``, as ``TrainingStep`` takes them."""
        return TrainingStep(*parts)

    def level(self, *models: torch.nn.Module) -> None:
        """Give the buffers of ``models`` (running means) the same values on all ranks."""

    def share_of_batches(self, loader: Iterable) -> Iterable:
        """The batches of ``loader`` that this process evaluates."""
        return loader

    def gathered(self, mine: list[S]) -> list[S]:
        """What was made of each batch, of all ranks, in the order of the batches."""
        return mine

    def loss_log(self) -> LossLog:
        """For the losses of the steps of an epoch."""
        return LossLog()

    def signal_watch(self) -> SignalWatch:
        """For signals to this training."""
        return SignalWatch()

    def checkpoint_folder(self, *arguments: Any) -> CheckpointFolder:
        """The checkpoints, with the arguments of ``CheckpointFolder``."""
        return CheckpointFolder(*arguments)

    def progress(self, num_epochs: int, folder: Path) -> Progress:
        """What a person sees of the training in ``folder``."""
        return Progress(num_epochs, folder)
