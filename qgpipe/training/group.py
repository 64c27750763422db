"""Several processes that train one model together: what they share, and how they agree."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import TrainingError
from qgpipe.training.agreement import (
    Agreement,
    GroupCheckpoints,
    GroupLossLog,
    GroupSignals,
)
from qgpipe.training.alone import Alone, S
from qgpipe.training.checkpoint import CheckpointFolder
from qgpipe.training.group_step import GroupStep
from qgpipe.training.interruption import SignalWatch
from qgpipe.training.loss_log import LossLog
from qgpipe.training.progress import NoProgress, Progress
from qgpipe.training.shares import ShareLoader, interleaved
from qgpipe.training.training_step import TrainingStep

T = TypeVar("T")

PATIENCE = timedelta(days=1)  # the first rank may prepare data for long; a dead one is noticed


class Group(Alone):
    """A rank of the default process group of ``torch.distributed``.

    All ranks have the same weights and the same results of every evaluation, so they take the
    same decisions. What may differ (files, clocks, signals, the user's own evaluators) is
    decided by the first rank for all, or agreed on.
    """

    def __init__(self, find_unused_parameters: bool = False):
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self.is_first = self.rank == 0
        self._find_unused_parameters = find_unused_parameters
        self._hosts = dist.new_group(backend="gloo", timeout=PATIENCE)  # for what is in memory

    def first(self, compute: Callable[[], T]) -> T:
        """What ``compute`` returns or raises on the first rank, on all ranks."""
        answer: list[Any] = [None, None]
        if self.is_first:
            try:
                answer = [compute(), None]
            except Exception as raised:
                answer = [None, raised]
        dist.broadcast_object_list(answer, src=0, group=self._hosts, device=torch.device("cpu"))
        result, error = answer
        if error is not None:
            raise error
        return result

    def writing(self, lock: Path) -> AbstractContextManager[None]:
        """The first rank takes the lock for all."""
        return super().writing(lock) if self.is_first else nullcontext()

    def shares(self, loader: Any) -> ShareLoader:
        """The shares of this rank. Raises ``TrainingError`` for a loader that has none."""
        if not isinstance(loader, GraphLoader):
            raise TrainingError(
                f"a {type(loader).__name__} cannot be shared out among {self.size} processes",
                where="parallel.world_size",
                remedy="train with the loaders of prepare_dataloaders",
            )
        return ShareLoader(loader, self.rank, self.size)

    def training_step(self, *parts: Any) -> TrainingStep:
        """A step on shares, whose gradients are those of the whole batch."""
        step = GroupStep(*parts)
        step.join(self.rank, self.size, self._find_unused_parameters)
        return step

    def level(self, *models: torch.nn.Module) -> None:
        """Give the buffers of ``models`` the values that they have on the first rank."""
        for buffer in itertools.chain.from_iterable(model.buffers() for model in models):
            dist.broadcast(buffer, src=0)

    def share_of_batches(self, loader: Iterable) -> Iterable:
        """Every ``size``-th batch, whole: the results are those of one process."""
        if not isinstance(loader, GraphLoader):
            return itertools.islice(loader, self.rank, None, self.size)
        batches = loader.batches(loader.epoch)
        return loader.load(loader.epoch, batches[self.rank :: self.size])

    def gathered(self, mine: list[S]) -> list[S]:
        """What all ranks made of their batches, in the order of the batches."""
        return interleaved(self._all([item.on_host() for item in mine]))

    def loss_log(self) -> LossLog:
        """Losses of whole batches, added up over the ranks when they are settled."""
        return GroupLossLog(self._all)

    def signal_watch(self) -> SignalWatch:
        """Signals to any rank, on which all act after the same step."""
        return GroupSignals(Agreement(self._hosts))

    def checkpoint_folder(self, *arguments: Any) -> CheckpointFolder:
        """Written and read by the first rank, when that finds it due."""
        return GroupCheckpoints(self, Agreement(self._hosts), *arguments)

    def progress(self, num_epochs: int, folder: Path) -> Progress:
        """Shown by the first rank only."""
        progress = Progress if self.is_first else NoProgress
        return progress(num_epochs, folder)

    def _all(self, mine: T) -> list[T]:
        """``mine`` of each rank."""
        theirs: list[Any] = [None] * self.size
        dist.all_gather_object(theirs, mine, group=self._hosts)
        return theirs
