"""Neighbours summed by products of dense matrices: graphs of like size, padded to one size."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qgpipe.message_passing.adjacency import Adjacency, precise


class DenseAdjacency(Adjacency):
    """A batch's graphs as groups of matrices that are padded to the size of the largest.

    ``blocks``: A of the graphs of each group, ``[graphs, n, n]``, zero where a graph is
    smaller. ``slot``: int64 ``[V]``, the place of each node among the padded ones of all
    groups; ``filler``: int64 ``[P]``, the node in each of these places, and in those that are
    left over some other node of the same graph.

    Node features stay ``[V, F]`` between layers, so that whatever stands there (norms,
    pooling, a user's module) never sees padding.
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

    def sum(self, x: Tensor) -> Tensor:
        """``Aᵀ x``, computed in the type of the blocks, or in float64 if ``x`` is."""
        dtype = precise(x, self._blocks[0].dtype)
        blocks = tuple(block.to(dtype) for block in self._blocks)
        return _Product.apply(x.to(dtype), True, self._slot, self._filler, blocks).to(x.dtype)


class _Product(torch.autograd.Function):
    """The product with A or Aᵀ, whose gradient is that with the other.

    Both ways features are only gathered, never scattered: padding may hold anything, since
    its rows and columns of A are zero.
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
