"""A batch that a model is called with many times, whose edges are the same each time."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.message_passing.edge_batch import EdgeBatch


class _Expanded:
    """Stands for an ``EdgeBatch``, whose adjacency it expands once for each dtype."""

    def __init__(self, edges: EdgeBatch):
        self._edges = edges
        self._known: dict[torch.dtype, Adjacency] = {}

    def expand(self, dtype: torch.dtype, edge_index: Tensor | None = None) -> Adjacency:
        """As ``EdgeBatch.expand``."""
        if dtype not in self._known:
            self._known[dtype] = self._edges.expand(dtype, edge_index)
        return self._known[dtype]


def expanded_once(batch: Any) -> Any:
    """``batch``, already on its device, with edges that are made ready for layers only once."""
    if "edge_batch" not in batch:
        return batch
    batch = copy.copy(batch)
    batch.edge_batch = _Expanded(batch.edge_batch)
    return batch
