"""Sums over neighbours as sparse matrix products."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qgpipe.message_passing.adjacency import Adjacency, precise


class CsrAdjacency(Adjacency):
    """The edges of a batch as two CSR matrices: Aᵀ for sums, and A for their gradients.

    ``in_ptr`` and ``out_ptr``: int32 ``[V + 1]``, row offsets of Aᵀ and A. ``sources`` and
    ``targets``: int32 ``[K]``, column indices of Aᵀ and A. ``values``: ``[K]``, the weight of each
    entry, in both matrices: 1, or 0 for padding.
    ``degrees``: int32 ``[V, 4]``, out-degree, in-degree, number of self-loops, and zero.
    """

    def __init__(
        self,
        in_ptr: Tensor,
        sources: Tensor,
        out_ptr: Tensor,
        targets: Tensor,
        values: Tensor,
        degrees: Tensor,
        make_edge_index: Callable[[], Tensor],
    ):
        super().__init__(len(degrees), make_edge_index)
        self._incoming = in_ptr, sources
        self._outgoing = out_ptr, targets
        self._values = values
        self._degrees = degrees

    def _count_incoming(self) -> Tensor:
        return self._degrees[:, 1].float()

    def _count_loops(self) -> Tensor:
        return self._degrees[:, 2].float()

    def transposed(self) -> "CsrAdjacency":
        """``Aᵀ``, which shares all arrays but the degrees."""
        degrees = self._degrees[:, [1, 0, 2, 3]]
        return CsrAdjacency(
            *self._outgoing,
            *self._incoming,
            self._values,
            degrees,
            lambda: self.edge_index.flip(0),
        )

    def sum(self, x: Tensor) -> Tensor:
        """``Aᵀ x``. Computed in float32, or in float64 if ``x`` is: few CPUs support less."""
        dtype = precise(x, torch.float32)
        values = self._values.to(dtype)
        return _Product.apply(x.to(dtype), *self._incoming, *self._outgoing, values).to(x.dtype)


class _Product(torch.autograd.Function):
    """The product with one sparse matrix, whose gradient is that with its transpose."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        ptr: Tensor,
        columns: Tensor,
        ptr_transposed: Tensor,
        columns_transposed: Tensor,
        values: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(ptr_transposed, columns_transposed, ptr, columns, values)
        multiply = _traced_multiply if torch.compiler.is_compiling() else _multiply
        return multiply(x, ptr, columns, values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (_Product.apply(gradient, *ctx.saved_tensors), None, None, None, None, None)


def _multiply(x: Tensor, ptr: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    _silence_beta_warning()
    with torch.autocast(x.device.type, enabled=False):
        shape = len(ptr) - 1, len(x)
        matrix = torch.sparse_csr_tensor(ptr, columns, values, shape, check_invariants=False)
        return torch.mm(matrix, x)


@torch.library.custom_op("qgpipe::multiply", mutates_args=())
def _traced_multiply(x: Tensor, ptr: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    # torch.compile does not trace into custom operators, and cannot trace sparse tensors.
    return _multiply(x, ptr, columns, values)


@_traced_multiply.register_fake
def _(x: Tensor, ptr: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    return torch.empty_like(x)


@functools.cache
def _silence_beta_warning() -> None:
    """Trigger and suppress torch's warning that sparse CSR tensors are in beta, shown once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nothing = torch.zeros(1, dtype=torch.int32)
        torch.sparse_csr_tensor(nothing, nothing[:0], torch.zeros(0), (0, 0))
