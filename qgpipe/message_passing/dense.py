"""Sums over neighbours as dense matrix products, graphs of similar size padded to one size."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qgpipe.message_passing.adjacency import Adjacency, precise


class DenseAdjacency(Adjacency):
    """The graphs of a batch in groups, with matrices padded to the largest of each group.

    ``blocks``: A of the graphs of each group, ``[graphs, n, n]``, zero where a graph is
    smaller. ``slot``: int64 ``[V]``, index of each node among the padded nodes of all groups;
    ``filler``: int64 ``[P]``, the node at each padded index, and for padding another node of the
    same graph.

    Node features stay ``[V, F]`` between layers, so that other modules (norms, pooling, users'
    modules) never see padding.
    """

    def __init__(
        self,
        blocks: Sequence[Tensor],
        slot: Tensor,
        filler: Tensor,
        make_edge_index: Callable[[], Tensor],
    ):
        super().__init__(len(slot), make_edge_index)
        self._blocks = tuple(blocks)
        self._slot = slot
        self._filler = filler

    def _count_incoming(self) -> Tensor:
        return self._of_nodes([block.sum(dim=1, dtype=torch.float32) for block in self._blocks])

    def _count_loops(self) -> Tensor:
        return self._of_nodes([block.diagonal(dim1=1, dim2=2).float() for block in self._blocks])

    def _of_nodes(self, values: Sequence[Tensor]) -> Tensor:
        return torch.cat([value.reshape(-1) for value in values]).index_select(0, self._slot)

    def transposed(self) -> "DenseAdjacency":
        """``Aᵀ``, with views of the same blocks."""
        blocks = [block.mT for block in self._blocks]
        return DenseAdjacency(blocks, self._slot, self._filler, lambda: self.edge_index.flip(0))

    def sum(self, x: Tensor) -> Tensor:
        """``Aᵀ x``, computed in the dtype of the blocks, or in float64 if ``x`` is float64."""
        dtype = precise(x, self._blocks[0].dtype)
        blocks = tuple(block.to(dtype) for block in self._blocks)
        return _Product.apply(x.to(dtype), True, self._slot, self._filler, blocks).to(x.dtype)


class _Product(torch.autograd.Function):
    """The product with A or Aᵀ; the gradient is the product with the other.

    Forward and backward only gather features and never scatter: padding may hold any values,
    because its rows and columns of A are zero.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        transposed: bool,
        slot: Tensor,
        filler: Tensor,
        blocks: tuple[Tensor, ...],
    ) -> Tensor:
        ctx.transposed = transposed
        ctx.blocks = blocks
        ctx.save_for_backward(slot, filler)
        padded = x.index_select(0, filler)
        results = []
        start = 0
        with torch.autocast(x.device.type, enabled=False):
            for block in blocks:
                graphs, size, _ = block.shape
                part = padded[start : start + graphs * size].view(graphs, size, x.shape[1])
                results.append(torch.bmm(block.mT if transposed else block, part).flatten(0, 1))
                start += graphs * size
        return (results[0] if len(results) == 1 else torch.cat(results)).index_select(0, slot)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        slot, filler = ctx.saved_tensors
        result = _Product.apply(gradient, not ctx.transposed, slot, filler, ctx.blocks)
        return result, None, None, None, None
