"""Joins tensors with one row for each graph: pooled vectors and graph features."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from qgpipe.models.construct.bind_arguments import (
    callable_parameters,
    forward_parameters,
    is_required,
)
from qgpipe.models.construct.build_module import construct
from qgpipe.models.construct.function import Function

# Default ``dim`` of torch functions, with which the result has one row for each graph.
_DEFAULT_DIM = {torch.cat: -1, torch.concat: -1, torch.concatenate: -1, torch.stack: 1}
_REDUCTIONS = (torch.sum, torch.mean, torch.prod, torch.amax, torch.amin)


class Pairwise(Function):
    """A function or module of several tensors, ``concat(x, y)``, that is called with their list."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """``function(*tensors)`` of one list of tensors."""
        return super().forward(*inputs[0], **named)


class Reduction(Function):
    """A torch reduction over a list of tensors of the same shape, stacked along a new first dim."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """``function(stacked)`` of one list of tensors."""
        return super().forward(torch.stack(inputs[0]), **named)


def build_join(
    kind: Any, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, name: str
) -> nn.Module:
    """The module that joins a list of tensors ``[B, F_i]`` to one tensor with ``B`` rows.

    - ``None``, ``torch.cat``: concatenated features, ``[B, F_1 + F_2 + …]``;
    - ``torch.stack``: ``[B, number of tensors, F]``;
    - ``torch.sum``, ``mean``, ``prod``, ``amax``, ``amin``: elementwise, ``[B, F]``;
    - a function with two or more parameters without a default, ``concat(x, y)``: called with the
      tensors;
    - any other function or module is called with the list.

    ``args`` and ``kwargs`` follow the list in the call of a function, so ``dim`` can be set; for
    reductions it refers to ``[number of tensors, B, F]``. ``name``: prefix of the keys, as in
    ``construct``. Raises ``ConfigError``.
    """
    module = construct(torch.cat if kind is None else kind, args, kwargs, name=name)
    if not isinstance(module, Function):
        return Pairwise(module) if _takes_each(module) else module
    if _takes_each(module.function, module.args, module.kwargs):
        return Pairwise(module.function, module.args, module.kwargs)
    reduces = any(module.function is f for f in _REDUCTIONS)
    dim = 0 if reduces else next((d for f, d in _DEFAULT_DIM.items() if f is module.function), None)
    if dim is not None and not module.args and "dim" not in module.kwargs:
        module.kwargs["dim"] = dim
    return Reduction(module.function, module.args, module.kwargs) if reduces else module


def _takes_each(
    join: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> bool:
    """Whether ``join`` takes each tensor as an argument of its own, beside ``args``, ``kwargs``."""
    parameters = (
        forward_parameters(join) if isinstance(join, nn.Module) else callable_parameters(join)
    )
    required = [p for p in parameters or () if is_required(p) and p.name not in (kwargs or {})]
    return len(required) - len(args) > 1
