"""Which graphs of a batch are padded to the same size."""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qgpipe.system.device import sent_to

# The cost of a further group, in elements of an adjacency matrix: on a CPU a few calls, on a GPU
# kernel launches, which take longer than a large product.
GROUP_COST = {"cpu": 5_000, "cuda": 1_000_000}
GROUPS = (1, 2, 4, 8, 16)

# Padded sizes are multiples of it: rows of bits are whole bytes, and products are faster.
ALIGNMENT = 8


class Extent(NamedTuple):
    """A group: its first padded index, its number of graphs, and their padded size."""

    start: int
    graphs: int
    size: int


class Grouping:
    """The graphs of a batch in groups of similar size, padded to the largest of each group.

    ``extents``: the groups, smallest graphs first; ``P`` padded nodes in total.
    ``slot``: int64 ``[V]``, padded index of each node; ``filler``: int64 ``[P]``, the node at each
    padded index, or another node of the graph for padding; ``taken``: uint8 ``[P]``, 1 for a node,
    0 for padding.
    """

    def __init__(self, sizes: np.ndarray, ptr: Tensor):
        """``sizes``: int64 ``[B]``, on the host; ``ptr``: int64 ``[B + 1]``, on the device."""
        device = ptr.device
        order = np.argsort(sizes, kind="stable")
        self.extents = _extents(sizes[order], GROUP_COST.get(device.type, GROUP_COST["cuda"]))
        padded = np.concatenate([np.full(graphs, size) for _, graphs, size in self.extents])
        starts = np.empty(len(sizes), np.int64)
        starts[order] = np.cumsum(padded) - padded
        total = int(padded.sum())
        # One small copy for all values that are computed on the host.
        facts = np.stack([order, padded, starts, sizes])
        order_, padded_, starts_, sizes_ = sent_to(device, facts)
        nodes = torch.arange(int(sizes.sum()), device=device)
        shift = torch.repeat_interleave(starts_ - ptr[:-1], sizes_, output_size=len(nodes))
        self.slot = nodes + shift
        graph = torch.repeat_interleave(order_, padded_, output_size=total)
        local = torch.arange(total, device=device) - starts_[graph]
        taken = local < sizes_[graph]
        self.taken = taken.to(torch.uint8)
        first = ptr[graph].clamp(max=max(len(nodes) - 1, 0))
        self.filler = first + local * taken


def _extents(sizes: np.ndarray, group_cost: int) -> list[Extent]:
    """The cheapest of a few ways to split graphs, sorted by size, into groups of equal number."""
    padded = -(-sizes // ALIGNMENT) * ALIGNMENT
    ways = _ways_to_cut(len(sizes))
    costs = [int(graphs @ padded[ends - 1] ** 2) + group_cost * len(ends) for ends, graphs in ways]
    ends, graphs = ways[int(np.argmin(costs))]
    largest = padded[ends - 1]
    starts = np.cumsum(graphs * largest) - graphs * largest
    return [Extent(*extent) for extent in np.stack([starts, graphs, largest], axis=1).tolist()]


@functools.lru_cache(maxsize=64)
def _ways_to_cut(num_graphs: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """End and number of graphs of each group, for each number of groups."""
    ways = []
    for count in GROUPS:
        ends = np.unique(np.linspace(0, num_graphs, count + 1).round().astype(np.int64))
        ways.append((ends[1:], np.diff(ends)))
    return ways
