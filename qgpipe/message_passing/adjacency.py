"""The interface that layers use for the edges of a batch, in any format."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor


class Adjacency(ABC):
    """The matrix A of a batch: ``A[i, j]`` is the number of edges from node i to node j.

    Created once per batch and shared by the layers. ``num_nodes`` is V.
    """

    def __init__(self, num_nodes: int, make_edge_index: Callable[[], Tensor]):
        """``make_edge_index``: returns the edges in the order of the edge attributes."""
        self.num_nodes = num_nodes
        self._make_edge_index = make_edge_index
        # Not cached properties, whose lock torch.compile cannot trace.
        self._edge_index: Tensor | None = None
        self._in_degree: Tensor | None = None
        self._self_loops: Tensor | None = None
        self._divisor: Tensor | None = None

    @property
    def edge_index(self) -> Tensor:
        """The edges as int64 ``[2, E]``, sources and targets; computed on first access."""
        if self._edge_index is None:
            self._edge_index = self._make_edge_index()
        return self._edge_index

    @property
    def in_degree(self) -> Tensor:
        """Number of edges that end at each node, float32 ``[V]``."""
        if self._in_degree is None:
            self._in_degree = self._count_incoming()
        return self._in_degree

    @property
    def self_loops(self) -> Tensor:
        """Number of edges from each node to itself, float32 ``[V]``."""
        if self._self_loops is None:
            self._self_loops = self._count_loops()
        return self._self_loops

    @abstractmethod
    def _count_incoming(self) -> Tensor:
        """``in_degree``."""

    @abstractmethod
    def _count_loops(self) -> Tensor:
        """``self_loops``."""

    @abstractmethod
    def transposed(self) -> "Adjacency":
        """``Aᵀ``: every edge runs the other way; the order of ``edge_index`` stays."""

    @abstractmethod
    def sum(self, x: Tensor) -> Tensor:
        """``Aᵀ x``: for each node the sum over the nodes from which an edge comes.

        ``x`` is ``[V, F]`` of any real type, and so is the result.
        """

    def mean(self, x: Tensor) -> Tensor:
        """As :meth:`sum`, divided by the number of edges; 0 where no edge ends."""
        if self._divisor is None:
            self._divisor = self.in_degree.clamp(min=1).unsqueeze(1)
        return (self.sum(x) / self._divisor).to(x.dtype)


def precise(x: Tensor, dtype: torch.dtype) -> torch.dtype:
    """The dtype of the product of an adjacency of ``dtype`` with ``x``."""
    return x.dtype if x.dtype == torch.float64 else dtype
