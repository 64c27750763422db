"""The processes of a training, and the exchange of values between them."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

PATIENCE = timedelta(days=1)  # rank 0 may prepare data for long; dead ranks are noticed anyway


class SingleProcess:
    """A training in one process: every collective returns its argument."""

    rank = 0
    size = 1

    def run_on_rank0(self, compute: Callable[[], T]) -> T:
        """What ``compute`` returns or raises on rank 0, on all ranks."""
        return compute()

    def broadcast(self, tensor: Tensor) -> None:
        """Overwrite ``tensor``, of any shape, with its values on rank 0."""

    def all_gather(self, value: T) -> list[T]:
        """The ``value`` of each rank, by rank; tensors in it have to be in the host's memory."""
        return [value]

    def all_sum(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks of ``tensor``, of any shape, in the host's memory."""
        return tensor

    def all_max(self, tensor: Tensor) -> Tensor:
        """The elementwise largest of ``tensor``, of any shape, in the host's memory."""
        return tensor


class ProcessGroup:
    """A rank of the default process group of ``torch.distributed``.

    All ranks have the same weights and the same results of every evaluation, so they make the same
    decisions. Decisions from values that may differ (files, clocks, signals, the user's evaluators)
    are made by rank 0 or agreed on. Every rank has to call the same methods in the same order.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._hosts = dist.new_group(backend="gloo", timeout=PATIENCE)  # for values in host memory

    def run_on_rank0(self, compute: Callable[[], T]) -> T:
        """What ``compute`` returns or raises on rank 0, on all ranks."""
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer = [compute(), None]
            except Exception as raised:
                answer = [None, raised]
        dist.broadcast_object_list(answer, src=0, group=self._hosts, device=torch.device("cpu"))
        result, error = answer
        if error is not None:
            raise error
        return result

    def broadcast(self, tensor: Tensor) -> None:
        """Overwrite ``tensor``, of any shape, with its values on rank 0."""
        dist.broadcast(tensor, src=0)

    def all_gather(self, value: T) -> list[T]:
        """The ``value`` of each rank, by rank; tensors in it have to be in the host's memory."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._hosts)
        return values

    def all_sum(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks of ``tensor``, of any shape, in the host's memory."""
        return torch.stack(self.all_gather(tensor)).sum(dim=0)

    def all_max(self, tensor: Tensor) -> Tensor:
        """The elementwise largest of ``tensor``, of any shape, in the host's memory."""
        dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self._hosts)
        return tensor


Processes = SingleProcess | ProcessGroup

ALONE = SingleProcess()  # the default of ``processes``


SECONDS, STEPS = 1.0, 50  # between two exchanges of the ranks, whichever is shorter


class PeriodicMax:
    """The maximum of a number over the ranks, exchanged about once a second.

    Ranks are not exactly in step, so an event that one of them observes after a step (a signal, the
    end of an interval) is communicated after a later step, the same for all. In a single process it
    has effect immediately.
    """

    def __init__(self, processes: Processes):
        self._processes = processes
        self._planned = self._left = 1
        self._since = time.perf_counter()

    def after_step(self, mine: int) -> int:
        """The maximum, if it is time for an exchange after this step; else 0."""
        if self._processes.size == 1:
            return mine
        self._left -= 1
        return 0 if self._left else self.now(mine)

    def now(self, mine: int) -> int:
        """The maximum."""
        if self._processes.size == 1:
            return mine
        seconds = (time.perf_counter() - self._since) / (self._planned - self._left or 1)
        both = torch.tensor([mine, seconds], dtype=torch.float64)
        largest, seconds_per_step = self._processes.all_max(both).tolist()
        self._planned = self._left = max(1, min(STEPS, int(SECONDS / max(seconds_per_step, 1e-9))))
        self._since = time.perf_counter()
        return int(largest)


def sync_buffers(processes: Processes, *models: nn.Module) -> None:
    """Set the buffers of ``models`` (running means) to their values on rank 0."""
    for model in models:
        for buffer in model.buffers():
            processes.broadcast(buffer)
