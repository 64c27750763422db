"""Batches of graphs to which a user's ``transform`` is applied one by one while loading."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch_geometric.data import Batch

from qgpipe.compat.private import edge_slices
from qgpipe.data.graphs.batch import edge_batch
from qgpipe.data.graphs.packed import EdgePairs
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.readers.sample_seeds import seed_all
from qgpipe.errors import DataError
from qgpipe.message_passing.edge_batch import EdgeBatch
from qgpipe.message_passing.edge_format import EdgeFormat
from qgpipe.system.rng import random_numbers_kept
from qgpipe.system.user_code import line_of_user

_STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}


@contextmanager
def held() -> Iterator[None]:
    """A block in which stop signals are blocked, also in workers that are started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_parent_only(_worker: int) -> None:
    """In a worker process, ignore stop signals except SIGTERM from its parent.

    A worker whose parent has died ends by itself.
    """
    for number in _STOPPING - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_wait_for_parent, daemon=True).start()
    else:  # on macOS the sender of a signal is not known
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _wait_for_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


Task = tuple[int, np.ndarray, EdgeFormat]  # epoch, positions of the graphs, format of their edges


class TransformedBatches:
    """Loads, transforms and collates graphs, in worker processes if ``num_workers`` is not 0.

    Random numbers of a transform (torch, numpy or random) are seeded from seed, epoch and graph
    only: the result is the same for any number of workers and after a restart, and the caller's
    generators are not changed.
    """

    def __init__(
        self,
        dataset: PackedDataset,
        seed: int,
        num_workers: int,
        pin_memory: bool,
        prefetch_factor: int,
        persistent_workers: bool,
    ):
        self._schedule: list[Task] = []
        in_workers = num_workers > 0
        self._loader: DataLoader = DataLoader(
            _Collated(dataset, seed),  # type: ignore[arg-type]
            batch_size=None,
            sampler=_Scheduled(self._schedule),
            num_workers=num_workers,
            collate_fn=_unchanged,
            pin_memory=pin_memory,
            prefetch_factor=prefetch_factor if in_workers else None,
            persistent_workers=persistent_workers and in_workers,
            generator=torch.Generator(),
            worker_init_fn=heed_parent_only,
        )

    def iterate(
        self, epoch: int, batches: list[np.ndarray], edge_format: EdgeFormat
    ) -> Iterator[Batch]:
        """The transformed graphs at each of ``batches``, arrays of positions.

        With another ``edge_format`` than ``edges`` they have ``edge_batch`` and ``edge_index``.
        Raises ``DataError`` naming the sample whose transform failed.
        """
        self._schedule[:] = [(epoch, positions, edge_format) for positions in batches]
        with held():
            loading = iter(self._loader)
        for batch in loading:
            if isinstance(batch, DataError):
                raise batch
            yield batch


class _Scheduled:
    """A sampler over a list that is replaced for every iteration."""

    def __init__(self, schedule: list[Task]):
        self._schedule = schedule

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._schedule))

    def __len__(self) -> int:
        return len(self._schedule)


class _Collated:
    """Maps a task to a batch of transformed graphs.

    A failure is returned, because only the text of an exception raised in a worker would be passed
    on.
    """

    def __init__(self, dataset: PackedDataset, seed: int):
        self._dataset = dataset
        self._seed = seed

    def __getitem__(self, task: Task) -> Batch | DataError:
        epoch, positions, edge_format = task
        graphs = []
        with random_numbers_kept(devices=False):
            for position in positions.tolist():
                seed_all(self._seed, epoch, position)
                try:
                    graphs.append(self._dataset.transform(self._dataset.get(position)))
                except Exception as error:
                    sample = self._dataset.sample_ids([position])[0]
                    return _failure(error, sample)
        batch = Batch.from_data_list(graphs)
        batch.sample_position = torch.from_numpy(positions)
        if edge_format != "edges" and "edge_index" in batch:
            batch.edge_batch = _edge_batch(batch, edge_format)
        return batch


def _failure(error: Exception, sample: str) -> DataError:
    problem = f"{type(error).__name__}: {error}{line_of_user(error)}"
    failure = DataError(f"data.transform failed: {problem}", sample=sample)
    failure.__cause__ = error  # lost when it is pickled
    return failure


def _edge_batch(batch: Batch, edge_format: EdgeFormat) -> EdgeBatch:
    edge_ptr = edge_slices(batch)
    start = torch.repeat_interleave(batch.ptr[:-1], edge_ptr.diff())
    pairs = EdgePairs((batch.edge_index - start).numpy(), edge_ptr.numpy())
    return edge_batch(pairs, batch.ptr.diff().numpy(), edge_format)


def _unchanged(batch: Batch | DataError) -> Batch | DataError:
    return batch
