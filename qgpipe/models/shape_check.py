"""Checks on one batch, before training, whether the model fits the data."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch_geometric.data import Batch, Data

from qgpipe.errors import ConfigError, QgpipeError
from qgpipe.models.build import call_model
from qgpipe.models.construct.build_module import joined_key
from qgpipe.models.construct.configurable import Configurable
from qgpipe.models.construct.function import Function
from qgpipe.system.user_code import line_of_user


@dataclass(frozen=True)
class Call:
    """The call of a module: its name in the model, and its first floating-point argument."""

    name: str
    module: nn.Module
    tensor: Tensor | None


@dataclass
class CallTrace:
    """The calls in progress, outermost first."""

    calls: list[Call] = field(default_factory=list)

    @contextmanager
    def recorded(self, model: nn.Module) -> Iterator[None]:
        """Record the calls of ``model`` and of all modules in it."""
        handles = []
        for name, module in model.named_modules():
            begin = self._begin(name)
            handles.append(module.register_forward_pre_hook(begin, with_kwargs=True))
            handles.append(module.register_forward_hook(self._end))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begin(self, name: str) -> Callable[[nn.Module, tuple, dict], None]:
        def begin(module: nn.Module, args: tuple, kwargs: dict) -> None:
            tensors = (v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))
            first = next((t for t in tensors if t.is_floating_point()), None)
            self.calls.append(Call(name, module, first))

        return begin

    def _end(self, module: nn.Module, *_: Any) -> None:
        # No hook is called for calls whose exception was caught inside the module.
        while self.calls and self.calls.pop().module is not module:
            pass


# Attributes of layers of torch and PyG with the expected number of features.
_SIZES = ("in_channels", "in_features", "num_features", "normalized_shape", "embed_dim")


def check_model(
    model: nn.Module,
    batch: Any,
    *,
    node_features: Sequence[str] | None = None,
    graph_features: Sequence[str] | None = None,
    apply_model: Callable[[nn.Module, Any], Any] | None = None,
    key: str = "model",
) -> Any:
    """The outputs of the model for one batch, if it can be called with it.

    The model is called without gradients in evaluation mode; its mode and the random state are then
    restored. Lazy layers get their sizes from this batch. ``node_features``, ``graph_features``:
    names of the columns of ``batch.x`` and ``batch.graph_features``, for messages.

    Raises ``ConfigError`` with the config key (below ``key``) of the layer that fails; if sizes do
    not match, it names both.
    """
    with _evaluation(model):
        try:
            return call_model(model, batch, apply_model)
        except (QgpipeError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            trace = _trace_of_failure(model, batch, apply_model)
            facts = _Facts(batch, node_features, graph_features)
            raise _explain(error, trace, model, facts, key) from error


def _trace_of_failure(
    model: nn.Module, batch: Any, apply_model: Callable[[nn.Module, Any], Any] | None
) -> CallTrace:
    """The calls in progress when the same call fails again.

    They are only recorded now, because layers with hooks get ``edge_index``, which takes many times
    the memory of training.
    """
    trace = CallTrace()
    with trace.recorded(model), suppress(Exception):
        call_model(model, batch, apply_model)
    return trace


def example_batch(num_node_features: int, num_graph_features: int | None = None) -> Batch:
    """A batch of two small causal sets with all features zero.

    For use instead of data of which only the numbers of features are known.
    """
    graphs = []
    for n in (2, 3):
        past, future = torch.triu_indices(n, n, offset=1)
        graph = Data(
            x=torch.zeros(n, num_node_features),
            edge_index=torch.stack([past, future]),
            edge_attr=torch.ones(len(past)),
        )
        if num_graph_features is not None:
            graph.graph_features = torch.zeros(1, num_graph_features)
        graphs.append(graph)
    return Batch.from_data_list(graphs)


@dataclass(frozen=True)
class _Facts:
    """A batch and the names of its features, for messages."""

    batch: Any
    node_features: Sequence[str] | None
    graph_features: Sequence[str] | None

    def origin(self, tensor: Tensor) -> tuple[str, Sequence[str] | None] | None:
        """Description and column names of ``tensor``, if it is a feature tensor of the batch."""
        for name, words, names in (
            ("x", "node features", self.node_features),
            ("graph_features", "graph features", self.graph_features),
        ):
            if name in self.batch and tensor is self.batch[name]:
                return words, names
        return None

    def __str__(self) -> str:
        shapes = [
            f"{name} {list(value.shape)}"
            for name, value in self.batch.to_dict().items()
            if isinstance(value, Tensor)
        ]
        return f"the batch has {', '.join(shapes)}"


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            yield
    finally:
        for module in training:
            module.training = True


def _explain(
    error: Exception, trace: CallTrace, model: nn.Module, facts: _Facts, key: str
) -> ConfigError:
    for call in trace.calls:
        expected = _expected_size(call.module)
        if expected is None or call.tensor is None or call.tensor.dim() == 0:
            continue
        if call.tensor.dim() == 1:
            return _flat(call, _place(model, call, key), facts)
        if call.tensor.size(-1) != expected:
            return _mismatch(call, expected, _place(model, call, key), facts)
    call = trace.calls[-1] if trace.calls else Call("", model, None)
    return ConfigError(
        f"{_shown(call)} fails: {type(error).__name__}: {error}{line_of_user(error)}",
        key=_place(model, call, key),
        remedy=str(facts),
    )


def _mismatch(call: Call, expected: int, key: str, facts: _Facts) -> ConfigError:
    assert call.tensor is not None
    found = call.tensor.size(-1)
    origin = facts.origin(call.tensor)
    if origin is None:
        return ConfigError(
            f"{_shown(call)} expects {expected} features, gets {found}",
            key=key,
            remedy=f"make it {found}, or change what comes before",
        )
    words, names = origin
    listed = f" ({', '.join(names)})" if names else ""
    return ConfigError(
        f"{_shown(call)} expects {expected} {words}, the data has {found}{listed}",
        key=key,
        remedy=f"make it {found}, or let the reader give {expected}",
    )


def _flat(call: Call, key: str, facts: _Facts) -> ConfigError:
    assert call.tensor is not None
    origin = facts.origin(call.tensor)
    what = origin[0] if origin else "input"
    return ConfigError(
        f"{_shown(call)} gets {what} of shape {list(call.tensor.shape)}",
        key=key,
        remedy="features need two dimensions; add .unsqueeze(1) where they are made",
    )


def _expected_size(module: nn.Module) -> int | None:
    if isinstance(module, _ConvNd):  # its channels are not the last dim
        return None
    for name in _SIZES:
        value = getattr(module, name, None)
        if name == "normalized_shape" and isinstance(value, tuple):
            value = value[-1]
        if isinstance(value, tuple) and value:
            value = value[0]  # PyG: (source, target)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _place(model: nn.Module, call: Call, key: str) -> str:
    """The config key of the called module, or of the nearest module around it with a key."""
    module, rest = model, call.name.split(".") if call.name else []
    while rest and isinstance(module, Configurable):
        keys = module.child_keys()
        depth = next((d for d in range(len(rest), 0, -1) if ".".join(rest[:d]) in keys), None)
        if depth is None:
            break
        own, inside = keys[".".join(rest[:depth])]
        module = module.get_submodule(".".join(rest[:depth]))
        rest = rest[depth:]
        key = joined_key(key, inside if rest and isinstance(module, Configurable) else own) or key
    return key


def _shown(call: Call) -> str:
    return call.module.name if isinstance(call.module, Function) else type(call.module).__name__
