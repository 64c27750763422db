"""Which inputs a module takes, and how to hand them over.

Layers name their inputs differently: a pooling function takes ``(x, batch, size)``, an
aggregation ``(x, index, ptr, dim_size)``, a user's encoder ``(h, edges)``. The wiring is
worked out once, when a model is built, and only followed in ``forward``.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from torch import nn

from qgpipe.message_passing.layers import call

# Names with a meaning of their own, which no other input is passed to by position.
KNOWN = frozenset(
    ("x", "edge_index", "batch", "ptr", "edge_attr", "edge_weight", "pos", "graph_features")
)

# What poolings are called with, and their names for it. Given the number of graphs, PyG's need
# not read it back from the device.
BATCH_SIZE = {"batch_size": "num_graphs"}
POOLING_VALUES = ("x", "batch", "num_graphs")
POOLING_NAMES = {**BATCH_SIZE, "size": "num_graphs", "dim_size": "num_graphs", "index": "batch"}


def callable_parameters(function: Callable[..., Any]) -> list[Parameter] | None:
    """The named parameters of a callable; ``None`` where they cannot be known."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a C function such as torch.cat
        return None
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return named or None


def forward_parameters(module: nn.Module) -> list[Parameter] | None:
    """The named parameters of a module's ``forward``; ``None`` where they cannot be known.

    A module whose ``forward`` depends on how it was built says so itself, in a method of
    this name.
    """
    own = getattr(module, "forward_parameters", None)
    return own() if own is not None else callable_parameters(module.forward)


def is_required(parameter: Parameter) -> bool:
    """Whether a call has to give the parameter."""
    return parameter.default is Parameter.empty


def named_parameters(required: Sequence[str], optional: Sequence[str] = ()) -> list[Parameter]:
    """Parameters by name, the optional ones with ``None`` as their default."""
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return [
        *(Parameter(name, kind) for name in required),
        *(Parameter(name, kind, default=None) for name in optional),
    ]


@dataclass(frozen=True)
class Wiring:
    """Which of the caller's values go to which parameter of a module.

    ``positional`` and the values of ``named`` are names of the caller's values; ``open``
    are the required parameters that none of them fits.
    """

    positional: tuple[str, ...]
    named: dict[str, str]
    open: tuple[str, ...]

    def call(self, module: nn.Module, values: Mapping[str, Any], **extra: Any) -> Any:
        """Call ``module``; a named value that is ``None`` is left to the module's default."""
        named = {p: values[name] for p, name in self.named.items() if values[name] is not None}
        return call(module, *[values[name] for name in self.positional], **named, **extra)


def wire(
    module: nn.Module, values: Sequence[str], aliases: Mapping[str, str] | None = None
) -> Wiring:
    """Match the caller's ``values`` (names, the node features first) to a module's parameters.

    By name, or by ``aliases`` (parameter → value); then the first two values go to the
    first required parameters that are left and have no known meaning. A module whose
    parameters cannot be known gets the first value alone.
    """
    parameters = forward_parameters(module)
    if not parameters:
        return Wiring((values[0],), {}, ())
    chosen: dict[str, str] = {}
    for parameter in parameters:
        value = (aliases or {}).get(parameter.name, parameter.name)
        if value in values:
            chosen[parameter.name] = value
    left = [v for v in values[:2] if v not in chosen.values()]
    for parameter in parameters:
        free = parameter.name not in chosen and parameter.name not in KNOWN
        if left and free and is_required(parameter):
            chosen[parameter.name] = left.pop(0)
    if values[0] not in chosen.values():
        chosen[parameters[0].name] = values[0]
    positional: list[str] = []
    for parameter in parameters:
        if parameter.name not in chosen or parameter.kind is Parameter.KEYWORD_ONLY:
            break
        positional.append(chosen[parameter.name])
    named = {p: v for p, v in chosen.items() if v not in positional}
    unmet = [p.name for p in parameters if is_required(p) and p.name not in chosen]
    return Wiring(tuple(positional), named, tuple(unmet))
