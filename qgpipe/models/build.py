"""Builds a model from the ``model`` section, and calls a model with a batch."""

import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from inspect import Parameter
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from qgpipe.compat.private import compiled_from
from qgpipe.config.dump import to_plain
from qgpipe.config.trust import imports_for
from qgpipe.errors import ConfigError
from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.models.construct.bind_arguments import KNOWN, forward_parameters, is_required
from qgpipe.models.construct.build_module import construct, joined_key, under
from qgpipe.models.construct.function import Function
from qgpipe.models.construct.model_file import (
    attach_parts,
    imports_of,
    load_weights,
    read_model_file,
)
from qgpipe.models.construct.standardizer import KEY as STANDARDIZE
from qgpipe.models.ensemble import Ensemble
from qgpipe.models.gnn_model import GNNModel

_parameters: weakref.WeakKeyDictionary[nn.Module, list[Parameter]] = weakref.WeakKeyDictionary()


def build_model(
    section: Mapping[str, Any], key: str = "model", *, trust: bool = False
) -> nn.Module:
    """The model of a ``model`` section: a ``GNNModel``, or ``{type, args, kwargs}``.

    In args and kwargs of a user's class, tagged strings are imported and mappings ``{type, args,
    kwargs}`` of a module type are built. Objects given by name have to be known parts of models
    (``qgpipe.config.trust``), or any with ``trust``, as in a configuration of one's own. Raises
    ``ConfigError`` with the reason and the key, below ``key``, of the spec that fails, and
    ``UntrustedName``.
    """
    with nullcontext() if trust else imports_for(f"section {key}", section):
        return _build(section, key)


def _build(section: Mapping[str, Any], key: str) -> nn.Module:
    with under(key):
        if "type" not in section:
            return GNNModel.from_config(section)
        model = construct(section["type"], section.get("args"), section.get("kwargs"))
        if isinstance(model, Function):
            raise ConfigError(f"{model.name} is a function", remedy="name a torch.nn.Module type")
        return model


def load_model(
    path: str | Path,
    device: str | torch.device = "cpu",
    *,
    trust: bool = False,
    section: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The model, of any class, that ``save_model`` or a model's ``save`` wrote to ``path``.

    ``path`` may also be a ``model.json`` written by ``qgpipe export``, with the weights beside it.
    The file may only name known parts of models (``qgpipe.config.trust``), unless it was made here
    according to the signed record beside it, or its section equals ``section``, that of a
    configuration of one's own. With ``trust`` any object is imported, after a warning with its
    name.

    Raises ``DataError`` if the file is missing, damaged or does not fit the class,
    ``UntrustedName``, and ``ConfigError`` if the class cannot be imported or built.
    """
    content = read_model_file(path)
    is_own = section is not None and _is_built_from(to_plain(section), content["model"])
    with nullcontext() if is_own else imports_of(path, content["model"], trust):
        model = _build_model_of(content, str(path))
    load_weights(model, content["state_dict"], path)
    return model.to(device)


def _is_built_from(section: Any, built: Any) -> bool:
    """Whether the section ``built`` is ``section`` with numbers for sizes left to the data."""
    if isinstance(section, Mapping) and isinstance(built, Mapping):
        same = section.keys() == built.keys()
        return same and all(_is_built_from(section[key], built[key]) for key in section)
    if isinstance(section, list) and isinstance(built, list):
        return len(section) == len(built) and all(map(_is_built_from, section, built))
    return section == built or (section is None and type(built) is int)


def _build_model_of(content: Mapping[str, Any], path: str) -> nn.Module:
    """The model of a file with this ``content``, with weights of any value."""
    ensemble, weights = content.get("ensemble"), content["state_dict"]
    if not ensemble:
        return _build(content["model"], path)
    members = [_build(content["model"], path) for _ in range(ensemble["size"])]
    for k, member in enumerate(members):
        attach_parts(member, _own_weights(weights, f"members.{k}."))
    return Ensemble(members, {int(task): kind for task, kind in ensemble["answers"].items()})


def _own_weights(weights: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Those of ``weights`` whose names start with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def call_model(
    model: nn.Module, batch: Any, apply_model: Callable[[nn.Module, Any], Any] | None = None
) -> Any:
    """``apply_model(model, batch)`` if it is given, else the model with arguments from ``batch``.

    Parameters of its ``forward`` are filled from the attributes of ``batch`` (a PyG ``Data`` or
    ``Batch``) with the same names: ``x, edge_index, batch, graph_features, edge_attr, …``;
    ``num_graphs`` or ``batch_size`` is the number of graphs and ``data`` the batch itself. Optional
    parameters that the batch does not have keep their default. A single required parameter with
    another name gets the batch. If the batch has an adjacency, a model of this package gets it as
    ``edge_index``. Works with ``torch.compile`` and ``DistributedDataParallel``.

    Raises ``ConfigError`` if the batch lacks a required argument.
    """
    if apply_model is not None:
        return apply_model(model, batch)
    parameters = _forward_parameters(model)
    required = [p.name for p in parameters if is_required(p)]
    if len(required) <= 1 and not any(p.name in KNOWN - {"batch"} for p in parameters):
        return model(batch)
    given = {p.name: _value(model, batch, p.name) for p in parameters}
    named = {name: value for name, value in given.items() if value is not None}
    for name in required:
        if name == "batch":
            named.setdefault(name, None)  # one graph
        elif name not in named:
            raise ConfigError(
                f"forward of {type(unwrapped(model)).__name__} needs '{name}', "
                f"the data has {', '.join(batch.to_dict())}",
                key="model",
                remedy=f"put '{name}' on the reader's Data, or set apply_model",
            )
    try:
        return model(**named)
    except ConfigError as error:
        if error.key != STANDARDIZE:  # which is no key of the model
            error.key = joined_key("model", error.key)
        raise


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside ``DistributedDataParallel`` and ``torch.compile``."""
    inner: Any = model
    while True:
        if isinstance(inner, DistributedDataParallel):
            inner = inner.module
        elif (original := compiled_from(inner)) is not None:
            inner = original
        else:
            return inner


def takes_adjacency(model: nn.Module) -> bool:
    """Whether the model accepts an ``Adjacency`` as ``edge_index`` and passes it to its layers."""
    return getattr(unwrapped(model), "takes_adjacency", False)


def _adjacency(batch: Any) -> Adjacency:
    """The edges of ``batch``, expanded in the dtype of the current autocast context."""
    kind = batch["batch"].device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    return batch["edge_batch"].expand(dtype, batch.to_dict().get("edge_index"))


def _forward_parameters(model: nn.Module) -> list[Parameter]:
    model = unwrapped(model)
    if model not in _parameters:
        parameters = forward_parameters(model)
        if parameters is None:
            raise ConfigError(
                f"the parameters of {type(model).__name__}.forward have no names",
                key="model",
                remedy="set apply_model",
            )
        _parameters[model] = parameters
    return _parameters[model]


def _value(model: nn.Module, batch: Any, name: str) -> Any:
    if name == "data":
        return batch
    if name == "edge_index" and "edge_batch" in batch and takes_adjacency(model):
        return _adjacency(batch)
    if name in ("num_graphs", "batch_size"):
        return getattr(batch, "num_graphs", None)
    if name in batch:
        return batch[name]
    return batch.num_nodes if name == "num_nodes" else None
