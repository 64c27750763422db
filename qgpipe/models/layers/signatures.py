"""Signatures of the layers in a ``Sequential``: ``x, edge_index -> h``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from inspect import Parameter

from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models.construct.bind_arguments import forward_parameters


@dataclass(frozen=True)
class Signature:
    """Names of what a layer takes, and of what it gives."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def parse_names(text: str) -> tuple[str, ...]:
    """``x, edge_index: Tensor`` → ``("x", "edge_index")``. Raises ``ConfigError``."""
    names = tuple(part.partition(":")[0].strip() for part in text.split(","))
    if not all(name.isidentifier() for name in names):
        raise ConfigError(
            f"'{text.strip()}' is not a list of names", remedy="write for instance 'x, edge_index'"
        )
    return names


def parse_signature(text: str) -> Signature:
    """``inputs -> outputs``; without an arrow the layer gives ``x``. Raises ``ConfigError``."""
    inputs, arrow, outputs = text.partition("->")
    return Signature(parse_names(inputs), parse_names(outputs) if arrow else ("x",))


def default_signature(
    layer: nn.Module, previous: Sequence[str], known: Collection[str]
) -> Signature:
    """The signature of a layer that is given without one.

    It takes the result of the layer before, or ``x``, then those of ``edge_index`` and
    ``batch`` that come next among the parameters of its ``forward``, and gives what it took.
    """
    first = tuple(previous)
    rest: list[str] = []
    for parameter in (forward_parameters(layer) or [])[len(first) :]:
        usable = parameter.name in ("edge_index", "batch") and parameter.name in known
        if not usable or parameter.kind is Parameter.KEYWORD_ONLY:
            break
        rest.append(parameter.name)
    return Signature((*first, *rest), first)
