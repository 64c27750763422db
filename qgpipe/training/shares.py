"""How the graphs of a batch, and the batches of a set, are shared out among ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from qgpipe.data.loading.loader import GraphLoader

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """What a rank computes of a batch: ``graphs`` of its graphs, in ``batch``.

    A rank for which there is none has one graph in ``batch`` all the same, of weight zero: all
    ranks have to take each step together. ``step`` (seed, epoch, number of the batch) is what
    random numbers are a function of.
    """

    batch: Any
    graphs: int
    step: tuple[int, int, int]


def share_of_batch(positions: np.ndarray, rank: int, size: int) -> np.ndarray:
    """The graphs of a batch, at ``positions`` int64 [B], that ``rank`` of ``size`` computes.

    Every ``size``-th: the numbers differ by one at most, and where a batch is sorted by size,
    all ranks have large and small graphs.
    """
    return positions[rank::size]


def interleaved(shares: Sequence[Sequence[T]]) -> list[T]:
    """Items in their order, of which ``shares[rank]`` are every ``len(shares)``-th from ``rank``.

    The inverse of taking ``items[rank::size]`` for each rank.
    """
    longest = max(map(len, shares), default=0)
    return [share[i] for i in range(longest) for share in shares if i < len(share)]


class ShareLoader:
    """The shares of ``rank`` in the batches of ``loader``, whose order stays as it is."""

    def __init__(self, loader: GraphLoader, rank: int, size: int):
        self.loader = loader
        self.dataset = loader.dataset
        self.seed = loader.seed
        self._rank = rank
        self._size = size

    def __len__(self) -> int:
        """Number of batches in an epoch, which is that of any rank."""
        return len(self.loader)

    def num_graphs(self, start: int, stop: int) -> int:
        """Graphs of these batches, of all ranks."""
        return self.loader.num_graphs(start, stop)

    def iterate(self, epoch: int, start_batch: int = 0) -> Iterator[Share]:
        """The shares in the batches of ``epoch``, from number ``start_batch`` on."""
        wholes = self.loader.batches(epoch, start_batch)
        shares = [share_of_batch(positions, self._rank, self._size) for positions in wholes]
        computed = [s if len(s) else w[:1] for s, w in zip(shares, wholes, strict=True)]
        batches = self.loader.load(epoch, computed)
        numbered = enumerate(zip(batches, shares, strict=True), start_batch)
        for number, (batch, share) in numbered:
            yield Share(batch, len(share), (self.seed, epoch, number))
