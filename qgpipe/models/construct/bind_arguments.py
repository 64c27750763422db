"""Which inputs a module takes, and how they are passed.

Layers name their inputs differently: a pooling function takes ``(x, batch, size)``, an
aggregation ``(x, index, ptr, dim_size)``, a user's encoder ``(h, edges)``. The wiring is
determined once, when a model is built, and used in ``forward``.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from itertools import takewhile
from typing import Any

from torch import nn

from qgpipe.message_passing.layers import call

# Parameter names with a fixed meaning: no other input is passed to them by position.
KNOWN = frozenset(
    ("x", "edge_index", "batch", "ptr", "edge_attr", "edge_weight", "pos", "graph_features")
)

# The arguments of poolings, and other names for them. With the number of graphs given, PyG's
# poolings do not have to read it from the device.
BATCH_SIZE = {"batch_size": "num_graphs"}
POOLING_VALUES = ("x", "batch", "num_graphs")
POOLING_NAMES = {**BATCH_SIZE, "size": "num_graphs", "dim_size": "num_graphs", "index": "batch"}


def callable_parameters(function: Callable[..., Any]) -> list[Parameter] | None:
    """The named parameters of a callable; ``None`` if they are not known."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a C function such as torch.cat
        return None
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return named or None


def forward_parameters(module: nn.Module) -> list[Parameter] | None:
    """The named parameters of a module's ``forward``; ``None`` if they are not known.

    A module whose ``forward`` takes ``*args`` can return them from a method of this name.
    """
    own = getattr(module, "forward_parameters", None)
    return own() if own is not None else callable_parameters(module.forward)


def is_required(parameter: Parameter) -> bool:
    """Whether the parameter has no default."""
    return parameter.default is Parameter.empty


def named_parameters(required: Sequence[str], optional: Sequence[str] = ()) -> list[Parameter]:
    """Parameters with these names, the optional ones with default ``None``."""
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return [
        *(Parameter(name, kind) for name in required),
        *(Parameter(name, kind, default=None) for name in optional),
    ]


@dataclass(frozen=True)
class Wiring:
    """Which of the caller's values are passed to which parameter of a module.

    ``positional`` and the values of ``named`` are names of the caller's values; ``open``: required
    parameters to which none of them is passed.
    """

    positional: tuple[str, ...]
    named: dict[str, str]
    open: tuple[str, ...]

    def call(self, module: nn.Module, values: Mapping[str, Any], **extra: Any) -> Any:
        """Call ``module``; named values that are ``None`` are left out, so defaults apply."""
        named = {p: values[name] for p, name in self.named.items() if values[name] is not None}
        return call(module, *[values[name] for name in self.positional], **named, **extra)


def wire(
    module: nn.Module, values: Sequence[str], aliases: Mapping[str, str] | None = None
) -> Wiring:
    """Match the caller's ``values`` (names, the node features first) to a module's parameters.

    By name, or by ``aliases`` (parameter → value); then the first two values are assigned to the
    first remaining required parameters without a fixed meaning. A module with unknown parameters
    gets only the first value.
    """
    parameters = forward_parameters(module)
    if not parameters:
        return Wiring((values[0],), {}, ())
    wanted = {p.name: (aliases or {}).get(p.name, p.name) for p in parameters}
    chosen = {name: value for name, value in wanted.items() if value in values}
    left = [v for v in values[:2] if v not in chosen.values()]
    for parameter in parameters:
        free = parameter.name not in chosen and parameter.name not in KNOWN
        if left and free and is_required(parameter):
            chosen[parameter.name] = left.pop(0)
    if values[0] not in chosen.values():
        chosen[parameters[0].name] = values[0]
    leading = takewhile(lambda p: p.name in chosen and p.kind is not p.KEYWORD_ONLY, parameters)
    positional = tuple(chosen[p.name] for p in leading)
    named = {p: v for p, v in chosen.items() if v not in positional}
    unmet = tuple(p.name for p in parameters if is_required(p) and p.name not in chosen)
    return Wiring(positional, named, unmet)
