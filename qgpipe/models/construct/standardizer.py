"""Standardisation of features and targets, as a submodule of the model trained with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from qgpipe.errors import ConfigError
from qgpipe.models.construct.bind_arguments import forward_parameters

NAME = "standardizer"  # of the submodule, and prefix of its weights in a model file
KEY = "data.standardize"
INPUTS = {"node_features": "x", "graph_features": "graph_features"}
KINDS = (*INPUTS, "target")


class Standardizer(nn.Module):
    """Means and standard deviations; the inputs and outputs of the model stay in original units.

    When it is attached to a model, node and graph features x are replaced by (x - mean) / std in
    each call, and outputs z of heads with one output for each target by z · std + mean.
    Classification heads, which have several outputs for one target, are unchanged.

    ``statistics``: (mean, std) by kind, ``node_features``, ``graph_features`` or ``target``, each
    float [F].
    """

    def __init__(self, statistics: Mapping[str, tuple[Tensor, Tensor]]):
        super().__init__()
        for kind, (mean, std) in statistics.items():
            self.register_buffer(f"{kind}_mean", mean)
            self.register_buffer(f"{kind}_std", std)
        self.kinds = [kind for kind in KINDS if kind in statistics]
        self._names: list[str] = []

    def attach(self, model: nn.Module) -> None:
        """Add this to ``model`` as a submodule; its parameters keep their names."""
        if hasattr(model, NAME):
            raise ConfigError(
                f"the model has an attribute '{NAME}' of its own",
                key=KEY,
                remedy="rename it, or leave data.standardize out",
            )
        self._names = [parameter.name for parameter in forward_parameters(model) or ()]
        model.add_module(NAME, self)
        model.register_forward_pre_hook(self._scale_inputs, with_kwargs=True)
        if "target" in self.kinds:
            model.register_forward_hook(self._restore_outputs)

    @classmethod
    def of_weights(cls, weights: Mapping[str, Any]) -> Standardizer | None:
        """The standardizer with buffers in the ``weights`` of a model; None if there are none."""
        found = {}
        for kind in KINDS:
            names = [f"{NAME}.{kind}_{part}" for part in ("mean", "std")]
            if all(isinstance(weights.get(name), Tensor) for name in names):
                found[kind] = (weights[names[0]].clone(), weights[names[1]].clone())
        return cls(found) if found else None

    def _scaled(self, kind: str, values: Tensor) -> Tensor:
        mean, std = self.get_buffer(f"{kind}_mean"), self.get_buffer(f"{kind}_std")
        return (values - mean.to(values.dtype)) / std.to(values.dtype)

    def _scale_inputs(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for kind, name in INPUTS.items():
            if kind not in self.kinds:
                continue
            index = self._names.index(name) if name in self._names else len(args)
            if name in kwargs:
                kwargs = {**kwargs, name: self._scaled(kind, kwargs[name])}
            elif index < len(args):
                args = (*args[:index], self._scaled(kind, args[index]), *args[index + 1 :])
            else:
                args, kwargs = self._in_batch(kind, name, args, kwargs)
        return args, kwargs

    def _in_batch(
        self, kind: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with ``name`` scaled in the batch that is one of them."""

        def scaled(value: Any) -> Any:
            if not isinstance(getattr(value, name, None), Tensor):
                return value
            value = copy.copy(value)
            setattr(value, name, self._scaled(kind, getattr(value, name)))
            return value

        new_args = tuple(map(scaled, args))
        new_kwargs = {key: scaled(value) for key, value in kwargs.items()}
        before, after = (*args, *kwargs.values()), (*new_args, *new_kwargs.values())
        if all(a is b for a, b in zip(before, after, strict=True)):
            raise ConfigError(
                f"the model is called without '{name}'",
                key=KEY,
                remedy=f"leave out {kind}, or let forward take '{name}' or the batch",
            )
        return new_args, new_kwargs

    def _restore_outputs(self, model: nn.Module, args: tuple[Any, ...], outputs: Any) -> Any:
        mean, std = self.get_buffer("target_mean"), self.get_buffer("target_std")
        is_single = isinstance(outputs, Tensor)
        given = {0: outputs} if is_single else outputs
        items = dict(given.items() if isinstance(given, Mapping) else enumerate(given))
        switches = None if is_single else getattr(model, "active_tasks", None)
        num_tasks = len(switches) if isinstance(switches, Mapping) else len(items)
        found = False
        for place, (task, output) in enumerate(items.items()):
            column = task if isinstance(task, int) else place
            if not isinstance(output, Tensor):
                continue
            some = slice(None) if num_tasks == 1 else slice(column, column + 1)
            restored = self._restored(output, mean[some], std[some])
            if restored is not None:
                items[task], found = restored, True
        if not found:
            raise ConfigError(
                "no head has one output for each target",
                key=KEY,
                remedy="leave out 'target', or give the head as many outputs as there are targets",
            )
        if is_single:
            return items[0]
        return items if isinstance(outputs, Mapping) else type(outputs)(items.values())

    @staticmethod
    def _restored(output: Tensor, mean: Tensor, std: Tensor) -> Tensor | None:
        """The output of a head in the units of its targets; None if it has not one for each."""
        if not len(mean) or (output.shape[-1] if output.dim() > 1 else 1) != len(mean):
            return None
        return output * std.to(output.dtype) + mean.to(output.dtype)
