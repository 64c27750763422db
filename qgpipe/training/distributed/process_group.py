"""The processes of a training, and how they pass values to one another: collectives."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

PATIENCE = timedelta(days=1)  # rank 0 may prepare data for long; a dead one is noticed


class SingleProcess:
    """A training in one process: every collective returns what it is given."""

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

    All ranks have the same weights and the same results of every evaluation, so they take the
    same decisions. What may differ (files, clocks, signals, the user's own evaluators) is
    decided by rank 0 for all, or agreed on. Every rank has to call each method, in the same order.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._hosts = dist.new_group(backend="gloo", timeout=PATIENCE)  # for what is in memory

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

ALONE = SingleProcess()  # the default of what several processes may share
