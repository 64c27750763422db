"""A model that gets no more than a part of its input, to find out what the rest is worth."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from qgpipe.errors import ConfigError
from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.models.construct.bind_arguments import forward_parameters

NAME = "ablation"  # of the submodule, and so of its buffer in a model file
INPUTS = {
    "no_edges": "edge_index",
    "reversed_edges": "edge_index",
    "no_node_features": "x",
    "no_graph_features": "graph_features",
}
"""The ablations, and which input of a model each is about."""


class Ablation(nn.Module):
    """Withholds a part of the input of a model that it is attached to.

    ``kind`` is one of ``INPUTS``. ``no_edges``: each call gets no edge, and no row of arrays of
    edges. ``reversed_edges``: an edge i → j becomes j → i, and keeps its attributes.
    ``no_node_features``, ``no_graph_features``: all are 0, which after standardisation is the mean.
    Edges may be int64 [2, E] or an ``Adjacency``. Weights of the model and their names stay as they
    are; a buffer in its ``state_dict`` keeps the kind.
    """

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.register_buffer(kind, torch.ones((), dtype=torch.uint8))
        self._names: list[str] = []

    def attach(self, model: nn.Module) -> None:
        """Make this a part of ``model``, after whatever was attached before.

        Raises ``ConfigError`` if the model has an attribute of this name.
        """
        if hasattr(model, NAME):
            raise ConfigError(
                f"the model has an attribute '{NAME}' of its own",
                key="training.ablation",
                remedy="rename it, or leave training.ablation out",
            )
        self._names = [parameter.name for parameter in forward_parameters(model) or ()]
        model.add_module(NAME, self)
        model.register_forward_pre_hook(self._change_inputs, with_kwargs=True)

    @classmethod
    def of_weights(cls, weights: Mapping[str, Any]) -> Ablation | None:
        """The one whose buffer is among the ``weights`` of a model; None if there is none."""
        found = [kind for kind in INPUTS if f"{NAME}.{kind}" in weights]
        return cls(found[0]) if found else None

    def _change_inputs(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        named = [(n or "", a) for n, a in zip_longest(self._names[: len(args)], args)]
        wanted = INPUTS[self.kind]
        if any(name == wanted and value is not None for name, value in [*named, *kwargs.items()]):
            changed = {name: self._changed(name, value) for name, value in kwargs.items()}
            return tuple(self._changed(name, value) for name, value in named), changed
        new_args = tuple(map(self._in_batch, args))
        new_kwargs = {name: self._in_batch(value) for name, value in kwargs.items()}
        before, after = (*args, *kwargs.values()), (*new_args, *new_kwargs.values())
        if all(a is b for a, b in zip(before, after, strict=True)):
            raise ConfigError(
                f"called without '{wanted}', which the ablation '{self.kind}' would withhold",
                remedy="leave the ablation out",
            )
        return new_args, new_kwargs

    def _changed(self, name: str, value: Any) -> Any:
        """An input of the model in its changed form."""
        if name == INPUTS[self.kind] and value is not None:
            if self.kind == "no_edges":
                return torch.zeros(
                    (2, 0), dtype=torch.int64, device=self.get_buffer(self.kind).device
                )
            return _reversed(value) if self.kind == "reversed_edges" else torch.zeros_like(value)
        if self.kind == "no_edges" and name.startswith("edge_") and isinstance(value, Tensor):
            return value[:0]
        return value

    def _in_batch(self, value: Any) -> Any:
        """A batch with the input changed in it; anything else as it is."""
        wanted = INPUTS[self.kind]
        if isinstance(value, Tensor) or not isinstance(getattr(value, wanted, None), Tensor):
            return value
        of_edges = [
            name
            for name in (value.keys() if self.kind == "no_edges" else ())
            if name != wanted and value.is_edge_attr(name)
        ]
        value = copy.copy(value)
        for name in of_edges:
            setattr(value, name, value[name][:0])
        setattr(value, wanted, self._changed(wanted, getattr(value, wanted)))
        return value


def ablate(model: nn.Module, kind: str | None) -> None:
    """Withhold ``kind`` of the input of ``model``, unless it is None or withheld already."""
    if kind is not None and not isinstance(getattr(model, NAME, None), Ablation):
        ablation = Ablation(kind)
        ablation.attach(model)
        ablation.to(next(iter(model.parameters()), torch.empty(0)).device)


def _reversed(edges: Tensor | Adjacency) -> Tensor | Adjacency:
    return edges.transposed() if isinstance(edges, Adjacency) else edges.flip(0)
