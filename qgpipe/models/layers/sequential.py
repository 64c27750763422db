"""A sequence of layers with named inputs and outputs."""

import inspect
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from torch import Tensor, nn

from qgpipe.config.spec import as_spec
from qgpipe.errors import ConfigError
from qgpipe.message_passing.layers import call
from qgpipe.models.construct.bind_arguments import forward_parameters, named_parameters
from qgpipe.models.construct.build_module import build_module, construct, under
from qgpipe.models.construct.configurable import Configurable
from qgpipe.models.layers.skip_connection import SkipConnection


@dataclass(frozen=True)
class Signature:
    """Names of the inputs and outputs of a layer."""

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
    """``inputs -> outputs``; without an arrow the output is ``x``. Raises ``ConfigError``."""
    inputs, arrow, outputs = text.partition("->")
    return Signature(parse_names(inputs), parse_names(outputs) if arrow else ("x",))


def default_signature(
    layer: nn.Module, previous: Sequence[str], known: Collection[str]
) -> Signature:
    """The signature of a layer without a given one.

    The inputs are the outputs of the previous layer, or ``x``, and ``edge_index`` and ``batch`` if
    these are the next parameters of its ``forward``. Its outputs replace those of the previous
    layer.
    """
    first = tuple(previous)
    rest: list[str] = []
    for parameter in (forward_parameters(layer) or [])[len(first) :]:
        usable = parameter.name in ("edge_index", "batch") and parameter.name in known
        if not usable or parameter.kind is Parameter.KEYWORD_ONLY:
            break
        rest.append(parameter.name)
    return Signature((*first, *rest), first)


log = logging.getLogger(__name__)


class Sequential(Configurable):
    """Layers called in sequence on named values, as in ``torch_geometric.nn.Sequential``.

    ``layers``: specs ``[type, args, kwargs, signature]``. A signature ``"x, edge_index -> h"``
    names inputs and outputs of the layer; without an arrow the output is ``x``. Without a signature
    a layer gets the previous output, and ``edge_index`` and ``batch`` if these are the next
    parameters of its ``forward``. ``forward_signature``: names of the inputs of the sequence;
    ``batch`` is optional in a call (None: one graph). ``with_skip`` adds
    ``SkipConnection(*skip_args, **skip_kwargs)`` from the first input to the result.

    PyG's own class is not used: it writes its ``forward`` to a module named by Python's random
    state, so two models built from the same seed get the same ``forward``.

    Raises ``ConfigError`` for a layer that cannot be constructed, or whose signature has an input
    that is not defined before it.
    """

    definition = "sequential"

    def __init__(
        self,
        layers: Sequence[Any],
        forward_signature: str = "x, edge_index, batch",
        with_skip: bool = False,
        skip_args: Sequence[Any] | None = None,
        skip_kwargs: Mapping[str, Any] | None = None,
    ):
        super().__init__(locals())
        with under("forward_signature"):
            self.inputs = parse_names(forward_signature.partition("->")[0])
        self.layers = nn.ModuleList()
        self.signatures: list[Signature] = []
        known = set(self.inputs)
        for i, value in enumerate(layers):
            with under(f"layers[{i}]"):
                self._append(i, value, known)
            known.update(self.signatures[-1].outputs)
        self.skip: nn.Module | None = None
        if with_skip:
            if len(self.signatures[-1].outputs) > 1:
                raise ConfigError("the last layer gives several values", key="with_skip")
            self.skip = construct(
                SkipConnection, skip_args, skip_kwargs, name="skip", type_key="skip_args"
            )

    def _append(self, i: int, value: Any, known: set[str]) -> None:
        layer = build_module(value)
        text = None if isinstance(value, nn.Module) else as_spec(value).signature
        if text is None:
            previous = self.signatures[-1].outputs if self.signatures else self.inputs[:1]
            signature = default_signature(layer, previous, known)
        else:
            signature = parse_signature(text)
        unknown = [name for name in signature.inputs if name not in known]
        if unknown:
            raise ConfigError(
                f"its signature takes '{unknown[0]}', which nothing before it gives",
                remedy=f"there are: {', '.join(sorted(known))}",
            )
        if "batch" in known:
            _warn_of_mixed_graphs(i, layer, signature)
        self.layers.append(layer)
        self.signatures.append(signature)

    def forward(self, *inputs: Any, **named: Any) -> Tensor | tuple[Any, ...]:
        """The output of the last layer, a tuple if its signature has several outputs.

        The inputs are those of ``forward_signature``, by position or by name; usually ``x`` float
        ``[N, F]``, ``edge_index`` int64 ``[2, E]`` and ``batch`` int64 ``[N]``.
        """
        values = self._bind(inputs, named)
        first = values[self.inputs[0]]
        result: Any = None
        for layer, signature in zip(self.layers, self.signatures, strict=True):
            result = call(layer, *[values[name] for name in signature.inputs])
            if len(signature.outputs) == 1:
                values[signature.outputs[0]] = result
            else:
                values.update(zip(signature.outputs, result, strict=True))
        return result if self.skip is None else self.skip(first, result)

    def _bind(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {"batch": None, **dict(zip(self.inputs, inputs, strict=False))}
        values.update(named)
        missing = [name for name in self.inputs if name not in values]
        if missing or len(inputs) > len(self.inputs) or not named.keys() <= set(self.inputs):
            raise TypeError(
                f"forward takes ({', '.join(self.inputs)}), got {len(inputs)} by "
                f"position and ({', '.join(named)}) by name"
            )
        return values

    def forward_parameters(self) -> list[inspect.Parameter]:
        """The inputs as parameters, in their order; ``batch`` is optional."""
        parameters = named_parameters(self.inputs)
        return [p.replace(default=None) if p.name == "batch" else p for p in parameters]

    def child_keys(self) -> dict[str, tuple[str, str]]:
        """Config keys of the layers and of the skip connection."""
        keys = {
            f"layers.{i}": (f"layers[{i}]", f"layers[{i}].kwargs") for i in range(len(self.layers))
        }
        return {**keys, "skip": ("skip_args", "skip_args")}


def _warn_of_mixed_graphs(i: int, layer: nn.Module, signature: Signature) -> None:
    """Warn if a layer has a parameter ``batch`` but does not get it as an input."""
    names = [parameter.name for parameter in forward_parameters(layer) or []]
    by_node = getattr(layer, "mode", None) == "node"  # PyG's LayerNorm
    if "batch" in names and len(signature.inputs) <= names.index("batch") and not by_node:
        log.warning(
            "layers[%d]: %s gets no batch and so takes all graphs of a batch for one; "
            "add 'batch' to its signature",
            i,
            type(layer).__name__,
        )
