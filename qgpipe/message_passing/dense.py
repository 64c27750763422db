"""Sums over neighbours as dense matrix products, graphs of similar size padded to one size."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qgpipe.message_passing.adjacency import Adjacency, precise


class Block(NamedTuple):
    """Entries ``[row : row + R, column : column + C]`` of the matrices of several graphs.

    ``values``: ``[graphs, R, C]``.
    """

    values: Tensor
    row: int
    column: int

    @property
    def rows(self) -> slice:
        """The rows of the matrices that it has."""
        return slice(self.row, self.row + self.values.shape[1])

    @property
    def columns(self) -> slice:
        """The columns of the matrices that it has."""
        return slice(self.column, self.column + self.values.shape[2])


class Group(NamedTuple):
    """The matrices A of several graphs, padded to ``size``; outside of ``blocks`` they are zero.

    A single block is the whole matrices.
    """

    graphs: int
    size: int
    blocks: tuple[Block, ...]

    def to(self, dtype: torch.dtype) -> "Group":
        """The same matrices in another dtype."""
        return self._replace(
            blocks=tuple(block._replace(values=block.values.to(dtype)) for block in self.blocks)
        )


class DenseAdjacency(Adjacency):
    """The graphs of a batch in groups, with matrices padded to the largest of each group.

    ``slot``: int64 ``[V]``, index of each node among the padded nodes of all groups; ``filler``:
    int64 ``[P]``, the node at each padded index, and for padding another node of the same graph.

    Node features stay ``[V, F]`` between layers, so that other modules (norms, pooling, users'
    modules) never see padding.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        slot: Tensor,
        filler: Tensor,
        make_edge_index: Callable[[], Tensor],
    ):
        super().__init__(len(slot), make_edge_index)
        self._groups = tuple(groups)
        self._slot = slot
        self._filler = filler

    def _count_incoming(self) -> Tensor:
        return self._of_nodes([_column_sums(group) for group in self._groups])

    def _count_loops(self) -> Tensor:
        return self._of_nodes([_diagonals(group) for group in self._groups])

    def _of_nodes(self, values: Sequence[Tensor]) -> Tensor:
        return torch.cat([value.reshape(-1) for value in values]).index_select(0, self._slot)

    def transposed(self) -> "DenseAdjacency":
        """``Aᵀ``, with views of the same blocks."""
        groups = [
            group._replace(
                blocks=tuple(Block(v.mT, column, row) for v, row, column in group.blocks)
            )
            for group in self._groups
        ]
        return DenseAdjacency(groups, self._slot, self._filler, lambda: self.edge_index.flip(0))

    def sum(self, x: Tensor) -> Tensor:
        """``Aᵀ x``, computed in the dtype of the blocks, or in float64 if ``x`` is float64."""
        stored = self._groups[0].blocks[0].values.dtype
        dtype = precise(x, stored)
        groups = self._groups
        if dtype != stored:
            groups = tuple(group.to(dtype) for group in groups)
        return _Product.apply(x.to(dtype), True, self._slot, self._filler, groups).to(x.dtype)


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
        groups: tuple[Group, ...],
    ) -> Tensor:
        ctx.transposed = transposed
        ctx.groups = groups
        ctx.save_for_backward(slot, filler)
        padded = x.index_select(0, filler)
        results = []
        start = 0
        with torch.autocast(x.device.type, enabled=False):
            for graphs, size, blocks in groups:
                part = padded[start : start + graphs * size].view(graphs, size, x.shape[1])
                results.append(_multiply(blocks, part, transposed).flatten(0, 1))
                start += graphs * size
        return (results[0] if len(results) == 1 else torch.cat(results)).index_select(0, slot)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        slot, filler = ctx.saved_tensors
        result = _Product.apply(gradient, not ctx.transposed, slot, filler, ctx.groups)
        return result, None, None, None, None


def _column_sums(group: Group) -> Tensor:
    """Sums over the columns of each matrix, float32 ``[graphs, size]``."""
    if len(group.blocks) == 1:
        return group.blocks[0].values.sum(dim=1, dtype=torch.float32)
    sums = group.blocks[0].values.new_zeros(group.graphs, group.size, dtype=torch.float32)
    for block in group.blocks:
        sums[:, block.columns] += block.values.sum(dim=1, dtype=torch.float32)
    return sums


def _diagonals(group: Group) -> Tensor:
    """The diagonal of each matrix, float32 ``[graphs, size]``."""
    diagonals = group.blocks[0].values.new_zeros(group.graphs, group.size, dtype=torch.float32)
    for values, row, column in group.blocks:
        part = values.diagonal(row - column, dim1=1, dim2=2)
        first = max(row, column)
        diagonals[:, first : first + part.shape[1]] += part
    return diagonals


def _multiply(blocks: tuple[Block, ...], x: Tensor, transposed: bool) -> Tensor:
    """``A x``, or ``Aᵀ x`` if ``transposed``, with ``x`` ``[graphs, size, F]``."""
    if len(blocks) == 1:
        values = blocks[0].values
        return torch.bmm(values.mT if transposed else values, x)
    result = torch.zeros_like(x)
    for block in blocks:
        if transposed:
            result[:, block.columns].baddbmm_(block.values.mT, x[:, block.rows])
        else:
            result[:, block.rows].baddbmm_(block.values, x[:, block.columns])
    return result
