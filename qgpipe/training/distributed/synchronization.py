"""What ranks have to agree on while they train: numbers, now and then, and buffers."""

import time

import torch
from torch import nn

from qgpipe.training.distributed.process_group import Processes

SECONDS, STEPS = 1.0, 50  # between two talks of the ranks, whichever is over first


class PeriodicMax:
    """The largest of the ranks' numbers, found out about once a second.

    Ranks are a little ahead of one another, so what one sees after a step (a signal, that time
    is up) becomes known to all after a later one, the same for all. A single process knows at once.
    """

    def __init__(self, processes: Processes):
        self._processes = processes
        self._planned = self._left = 1
        self._since = time.perf_counter()

    def after_step(self, mine: int) -> int:
        """The largest number, if it is time to ask after this step; else 0."""
        if self._processes.size == 1:
            return mine
        self._left -= 1
        return 0 if self._left else self.now(mine)

    def now(self, mine: int) -> int:
        """The largest number."""
        if self._processes.size == 1:
            return mine
        seconds = (time.perf_counter() - self._since) / (self._planned - self._left or 1)
        both = torch.tensor([mine, seconds], dtype=torch.float64)
        largest, seconds_per_step = self._processes.all_max(both).tolist()
        self._planned = self._left = max(1, min(STEPS, int(SECONDS / max(seconds_per_step, 1e-9))))
        self._since = time.perf_counter()
        return int(largest)


def sync_buffers(processes: Processes, *models: nn.Module) -> None:
    """Give the buffers of ``models`` (running means) the values that they have on rank 0."""
    for model in models:
        for buffer in model.buffers():
            processes.broadcast(buffer)
