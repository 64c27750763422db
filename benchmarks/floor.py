"""What a layer must at least take on a device: bytes to move and operations to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from measure import processor_time

ROUNDS = 5


@dataclass(frozen=True)
class Hardware:
    """Bytes that a device copies, and operations in float32 that it does, a second."""

    bytes: float
    operations: float

    def seconds(self, cost: Cost) -> float:
        """The least time for ``cost``, if moving and computing overlap perfectly."""
        return max(cost.bytes / self.bytes, cost.operations / self.operations)


@dataclass(frozen=True)
class Cost:
    """Bytes and operations of some work."""

    bytes: float
    operations: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.bytes + other.bytes, self.operations + other.operations)


def measure_hardware(device: torch.device, size: int) -> Hardware:
    """The best rates of copying ``size ** 2`` numbers, and of multiplying matrices of them."""
    a, b = (torch.rand(size, size, device=device) for _ in range(2))
    copying, computing = (
        min(_seconds(work, device) for _ in range(ROUNDS))
        for work in (lambda: a.copy_(b), lambda: torch.mm(a, b))
    )
    return Hardware(8 * size**2 / copying, 2 * size**3 / computing)


def sage_cost(nodes: int, edges: int, pairs: int, width_in: int, width_out: int) -> Cost:
    """Forward and backward of one SAGEConv with the smallest form of the adjacency.

    That is a bit for each of ``pairs``, or two bytes for each edge. It is read twice; features,
    result and their gradients are read or written once each, and the features once more.
    Weights, which fit into a cache, do not count. Aggregating takes ``width_in`` additions an
    edge, twice; each of the two linear maps is three products.
    """
    adjacency = min(pairs / 8, 2 * edges)
    features = 4 * nodes * (3 * width_in + 2 * width_out)
    maps = 2 * 3 * 2 * nodes * width_in * width_out
    return Cost(2 * adjacency + features, 2 * edges * width_in + maps)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    synchronize(device)
    clock = processor_time(torch.get_num_threads(), device.type)
    start = clock()
    work()
    synchronize(device)
    return clock() - start


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
