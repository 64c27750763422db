"""Distributes the graphs of a batch, and the batches of a set, among ranks."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import TrainingError
from qgpipe.training.distributed.process_group import Processes

T = TypeVar("T")


class OnHost(Protocol):
    """Results for a batch that can be sent to other ranks."""

    def on_host(self) -> Self:
        """A copy with all tensors on the CPU."""


S = TypeVar("S", bound=OnHost)


@dataclass(frozen=True)
class BatchShard:
    """The part of a batch that a rank computes: ``graphs`` of its graphs, in ``batch``.

    If there is none for this rank, ``graphs`` is 0 and ``batch`` has one graph, of weight zero,
    because all ranks have to take each step together. ``step``: seed, epoch and number of the
    batch, from which random numbers are seeded.
    """

    batch: Any
    graphs: int
    step: tuple[int, int, int]


def shard_of_batch(positions: np.ndarray, rank: int, size: int) -> np.ndarray:
    """The graphs of a batch (``positions``: int64 [B]) that ``rank`` of ``size`` computes.

    Every ``size``-th, so that the numbers of graphs differ by at most one, and all ranks get large
    and small graphs even if a batch is sorted by size.
    """
    return positions[rank::size]


def interleaved(shards: Sequence[Sequence[T]]) -> list[T]:
    """The items in order, where ``shards[rank]`` is ``items[rank::len(shards)]``."""
    longest = max(map(len, shards), default=0)
    return [shard[i] for i in range(longest) for shard in shards if i < len(shard)]


class ShardLoader:
    """The shards of ``rank`` in the batches of ``loader``, in the same order."""

    def __init__(self, loader: GraphLoader, rank: int, size: int):
        self.loader = loader
        self.dataset = loader.dataset
        self.seed = loader.seed
        self._rank = rank
        self._size = size

    def __len__(self) -> int:
        """Number of batches in an epoch, the same for all ranks."""
        return len(self.loader)

    def num_graphs(self, start: int, stop: int) -> int:
        """Number of graphs in these batches, over all ranks."""
        return self.loader.num_graphs(start, stop)

    def iterate(self, epoch: int, start_batch: int = 0) -> Iterator[BatchShard]:
        """The shards in the batches of ``epoch``, from number ``start_batch`` on."""
        wholes = self.loader.batches(epoch, start_batch)
        shards = [shard_of_batch(positions, self._rank, self._size) for positions in wholes]
        computed = [s if len(s) else w[:1] for s, w in zip(shards, wholes, strict=True)]
        batches = self.loader.load(epoch, computed)
        numbered = enumerate(zip(batches, shards, strict=True), start_batch)
        for number, (batch, shard) in numbered:
            yield BatchShard(batch, len(shard), (self.seed, epoch, number))


def shard_loader(loader: Any, processes: Processes) -> Any:
    """The loader for training in this process: of shards, if there are several processes.

    Raises ``TrainingError`` for a loader whose batches cannot be split.
    """
    if processes.size == 1:
        return loader
    if not isinstance(loader, GraphLoader):
        raise TrainingError(
            f"a {type(loader).__name__} cannot be shared out among {processes.size} processes",
            where="parallel.world_size",
            remedy="train with the loaders of prepare_dataloaders",
        )
    return ShardLoader(loader, processes.rank, processes.size)


def shard_batches(loader: Iterable, processes: Processes) -> Iterable:
    """The whole batches of ``loader`` that this process evaluates: every ``size``-th."""
    if processes.size == 1:
        return loader
    if not isinstance(loader, GraphLoader):
        return itertools.islice(loader, processes.rank, None, processes.size)
    batches = loader.batches(loader.epoch)
    return loader.load(loader.epoch, batches[processes.rank :: processes.size])


def gather_batches(mine: list[S], processes: Processes) -> list[S]:
    """The results of all ranks for their batches from ``shard_batches``, in batch order."""
    if processes.size == 1:
        return mine  # stays on its device
    return interleaved(processes.all_gather([item.on_host() for item in mine]))
