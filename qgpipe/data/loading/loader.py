"""Batches of a packed data set, in an order that depends only on seed and epoch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch.utils.data import Subset
from torch_geometric.data import Batch

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.samplers import Sampler
from qgpipe.data.loading.transformed import TransformedBatches
from qgpipe.message_passing.edge_format import EdgeFormat
from qgpipe.system.read_ahead import map_ahead

PREFETCH = 2
BUCKETS = 16  # batches over which graphs are sorted by size


class GraphLoader:
    """Iterates over ``dataset`` in batches, as PyG's ``DataLoader`` does, but faster.

    Batches are gathered as a whole, several small ones at once, by prefetching threads if
    ``num_workers`` is not 0. Only a data set with a ``transform`` is loaded graph by graph, by
    worker processes. Batches have ``sample_position`` (int64 [B]), positions in the whole data set.

    ``dataset``: a ``PackedDataset``, a view or a ``Subset`` of one.
    ``prefetch_factor``: batches that each worker prepares ahead (2), at least as many as are
    gathered together.
    ``persistent_workers``: keep worker processes between epochs.
    ``pin_memory``: put batches into page-locked memory if there is a GPU.
    ``seed``: the order of an epoch is a pure function of ``seed`` and the epoch.
    ``bucket_by_size``: put graphs of similar size into a batch; batches are shuffled over the
    epoch.

    ``sampler``: draws the graphs of an epoch, instead of shuffling them.

    ``edge_format``: as which the edges reach the model: ``edges`` (``edge_index``), ``csr`` or
    ``dense``. It is an attribute, set by code that knows the model.
    """

    def __init__(
        self,
        dataset: PackedDataset | Subset,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        num_workers: int = 0,
        pin_memory: bool = False,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        seed: int = 0,
        bucket_by_size: bool = False,
        sampler: Sampler | None = None,
    ):
        if batch_size < 1 or num_workers < 0:
            raise ValueError(f"there are no {batch_size} graphs a batch or {num_workers} workers")
        self.edge_format: EdgeFormat = "edges"
        self.bucket_by_size = bucket_by_size
        self.sampler = sampler
        self.dataset = _without_subsets(dataset)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.pin_memory = pin_memory and torch.cuda.is_available()
        self.prefetch_factor = PREFETCH if prefetch_factor is None else prefetch_factor
        self.seed = seed
        self.epoch = 0
        self._transformed = None
        if self.dataset.transform is not None:
            self._transformed = TransformedBatches(
                self.dataset,
                seed,
                num_workers,
                self.pin_memory,
                self.prefetch_factor,
                persistent_workers,
            )

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def num_graphs(self, start: int, stop: int) -> int:
        """Graphs in the batches from number ``start`` up to ``stop`` of an epoch."""
        return min(stop * self.batch_size, len(self.dataset)) - start * self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        return self.iterate(self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows."""
        self.epoch = epoch

    def order(self, epoch: int) -> np.ndarray:
        """Positions in the whole data set in the order of ``epoch``, int64 [len(dataset)]."""
        positions = self.dataset.positions
        if not self.shuffle and self.sampler is None:
            return positions
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, epoch))))
        if self.sampler is None:
            order = generator.permutation(positions)
        else:
            order = positions[self.sampler.draw(self.seed, epoch)]
        return self._in_buckets(order, generator) if self.bucket_by_size else order

    def _in_buckets(self, order: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """``order`` sorted by size within stretches of several batches; then batches are shuffled.

        An incomplete last batch keeps its graphs, so that ``drop_last`` drops graphs of any size.
        """
        full = len(order) // self.batch_size
        sorted_part, rest = np.split(order, [full * self.batch_size])
        stretch = np.arange(len(sorted_part)) // (BUCKETS * self.batch_size)
        by_size = np.lexsort((self.dataset.sizes()[sorted_part], stretch))
        batches = sorted_part[by_size].reshape(full, self.batch_size)
        return np.concatenate([generator.permutation(batches).ravel(), rest])

    def iterate(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch``, from number ``start_batch`` on."""
        return self.load(epoch, self.batches(epoch, start_batch))

    def batches(self, epoch: int, start_batch: int = 0) -> list[np.ndarray]:
        """Positions of the graphs of each of these batches, int64 [B]."""
        order = self.order(epoch)
        starts = range(start_batch * self.batch_size, len(self) * self.batch_size, self.batch_size)
        return [order[start : start + self.batch_size] for start in starts]

    def load(self, epoch: int, batches: list[np.ndarray]) -> Iterator[Batch]:
        """The batches with the graphs at ``batches`` (arrays of positions) in ``epoch``."""
        if self._transformed is not None:
            return self._transformed.iterate(epoch, batches, self.edge_format)
        self.dataset.prepare(self.edge_format)
        at_once = self.dataset.worth_at_once(self.batch_size, self.edge_format)
        stretches = _stretches(batches, at_once)
        if self.num_workers == 0:
            return _let_go(map(self._assemble, stretches))
        return _let_go(self._assemble_ahead(stretches, max(1, self.prefetch_factor // at_once)))

    def _assemble(self, positions: np.ndarray) -> list[Batch]:
        batches = self.dataset.batches(positions, self.edge_format)
        if not self.pin_memory:
            return batches
        return [batch if batch.ptr.is_cuda else batch.pin_memory() for batch in batches]

    def _assemble_ahead(self, stretches: list[np.ndarray], ahead: int) -> Iterator[list[Batch]]:
        """The batches, gathered by threads, each of which is up to ``ahead`` stretches ahead."""
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="qgpipe-loader")
        try:
            yield from map_ahead(pool, self._assemble, stretches, self.num_workers * ahead)
        finally:
            pool.shutdown(cancel_futures=True)


def _let_go(stretches: Iterator[list[Batch]]) -> Iterator[Batch]:
    """The batches one by one, without keeping a reference, so that their memory is freed early."""
    for batches in stretches:
        batches.reverse()
        while batches:
            yield batches.pop()


def _stretches(batches: list[np.ndarray], at_once: int) -> list[np.ndarray]:
    """Consecutive batches of equal size, up to ``at_once``, each stretch as one array [K, B]."""
    runs = [list(run) for _, run in groupby(batches, len)]
    return [
        np.stack(run[first : first + at_once])
        for run in runs
        for first in range(0, len(run), at_once)
    ]


def _without_subsets(dataset: PackedDataset | Subset) -> PackedDataset:
    """The view that a ``torch.utils.data.Subset`` (of a subset …) stands for."""
    if isinstance(dataset, Subset):
        parent: Any = dataset.dataset
        return _without_subsets(parent).index_select(dataset.indices)
    return dataset
