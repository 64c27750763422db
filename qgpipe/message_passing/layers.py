"""PyG's layers on a shared adjacency: the same parameters, the same results.

Each rule computes the same as the ``forward`` of its layer, for any format of the adjacency. A
layer without a rule is called with ``edge_index``.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, GINConv, GraphConv, MessagePassing, SAGEConv
from torch_geometric.nn.aggr import MeanAggregation, SumAggregation

from qgpipe.compat.private import has_hooks
from qgpipe.message_passing.adjacency import Adjacency

Rule = Callable[[Any, Tensor, Adjacency], Tensor]


def sage(layer: SAGEConv, x: Tensor, adjacency: Adjacency) -> Tensor:
    """``W₁ aggregate(x_j) + W₂ x_i``. Hamilton et al., arXiv:1706.02216."""
    messages = layer.lin(x).relu() if layer.project else x
    out = layer.lin_l(_aggregate(layer, messages, adjacency))
    if layer.root_weight:
        out = out + layer.lin_r(x)
    return F.normalize(out, p=2.0, dim=-1) if layer.normalize else out


def graph_conv(layer: GraphConv, x: Tensor, adjacency: Adjacency) -> Tensor:
    """``W₁ x_i + W₂ aggregate(x_j)``. Morris et al., arXiv:1810.02244."""
    return layer.lin_rel(_aggregate(layer, x, adjacency)) + layer.lin_root(x)


def gin(layer: GINConv, x: Tensor, adjacency: Adjacency) -> Tensor:
    """``h((1 + ε) x_i + Σ x_j)``. Xu et al., arXiv:1810.00826."""
    return layer.nn(_aggregate(layer, x, adjacency) + (1 + layer.eps) * x)


def gcn(layer: GCNConv, x: Tensor, adjacency: Adjacency) -> Tensor:
    """``D^-½ (A + I)ᵀ D^-½ x W``, D counting incoming edges. Kipf & Welling, arXiv:1609.02907.

    As in PyG, with ``add_self_loops`` each node has exactly one loop.
    """
    messages = layer.lin(x)
    if not layer.normalize:
        out = adjacency.sum(messages)
        return out if layer.bias is None else out + layer.bias
    dtype = torch.promote_types(x.dtype, messages.dtype)
    # Degrees are float32 even if features are bfloat16, which is exact only up to 256.
    degree = adjacency.in_degree.to(torch.promote_types(dtype, torch.float32))
    missing = 1 - adjacency.self_loops if layer.add_self_loops else torch.zeros_like(degree)
    degree = degree + missing
    scale = degree.rsqrt().masked_fill(degree == 0, 0).unsqueeze(1)
    messages = messages * scale
    out = (adjacency.sum(messages) + messages * missing.unsqueeze(1)) * scale
    out = out.to(dtype)
    return out if layer.bias is None else out + layer.bias


def _aggregate(layer: MessagePassing, x: Tensor, adjacency: Adjacency) -> Tensor:
    is_mean = type(layer.aggr_module) is MeanAggregation
    return adjacency.mean(x) if is_mean else adjacency.sum(x)


_RULES: dict[type[nn.Module], Rule] = {
    SAGEConv: sage,
    GraphConv: graph_conv,
    GINConv: gin,
    GCNConv: gcn,
}

SUPPORTED = tuple(_RULES)


def rule_of(layer: nn.Module) -> Rule | None:
    """The rule for ``layer``; ``None`` if there is none.

    There is one for the exact classes only (no subclasses), with sum or mean. A layer that is
    explained or has hooks needs its own ``forward``.
    """
    rule = _RULES.get(type(layer))
    if rule is None or layer.explain or has_hooks(layer):
        return None
    if layer.flow != "source_to_target" or layer.node_dim != -2:
        return None
    aggregation = type(layer.aggr_module)
    if isinstance(layer, GCNConv):
        plain = aggregation is SumAggregation and not (layer.improved or layer.cached)
        return rule if plain else None
    return rule if aggregation in (SumAggregation, MeanAggregation) else None


def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """``module(*args, **kwargs)``, where an ``Adjacency`` may stand for ``edge_index``.

    It is passed to a module with ``takes_adjacency``, used by a rule for calls ``(x, adjacency)``,
    and replaced by its ``edge_index`` otherwise.
    """
    at = [i for i, value in enumerate(args) if isinstance(value, Adjacency)]
    named = [name for name, value in kwargs.items() if isinstance(value, Adjacency)]
    if not (at or named) or getattr(module, "takes_adjacency", False):
        return module(*args, **kwargs)
    if at == [1] and len(args) == 2 and not kwargs and isinstance(args[0], Tensor):
        rule = rule_of(module)
        if rule is not None:
            return rule(module, *args)
    plain = [value.edge_index if isinstance(value, Adjacency) else value for value in args]
    return module(*plain, **{**kwargs, **{name: kwargs[name].edge_index for name in named}})
