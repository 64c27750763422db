"""The direction of messages along edges in a model."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import DirGNNConv, GPSConv, MessagePassing

from qgpipe.models.build import unwrapped

FORWARD = "source_to_target"
_BOTH_WAYS = (DirGNNConv, GPSConv)  # regardless of the layers in them


def passes_forward_only(model: nn.Module, edge_index: Tensor) -> bool:
    """Whether messages run only from past to future, so no element gets them from its future.

    True if all layers of the encoder pass messages from source to target, and edges (int64 [2, E])
    go from lower to higher indices, which are later elements. False if there are layers not from
    PyG, which may reverse edges, or attention among all elements.
    """
    model = unwrapped(model)
    modules = list(getattr(model, "encoder", model).modules())
    layers = [module for module in modules if isinstance(module, MessagePassing)]
    from_pyg = all(type(layer).__module__.startswith("torch_geometric.") for layer in layers)
    if not layers or not from_pyg or any(isinstance(module, _BOTH_WAYS) for module in modules):
        return False
    source, target = edge_index
    upwards = len(source) > 0 and bool((source < target).all())
    return upwards and all(layer.flow == FORWARD for layer in layers)
