"""Which way along the edges messages run in a model."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import DirGNNConv, GPSConv, MessagePassing

from qgpipe.models.build import unwrapped

FORWARD = "source_to_target"
_BOTH_WAYS = (DirGNNConv, GPSConv)  # whatever the layers in them do


def passes_forward_only(model: nn.Module, edge_index: Tensor) -> bool:
    """Whether messages run from past to future alone, so that no element hears of its future.

    That is so if all layers of the encoder pass them from source to target, and edges (int64
    [2, E]) lead from lower to higher elements, which are later ones. Of layers by others than PyG,
    which may turn edges round themselves, and of attention to all elements it is not said.
    """
    model = unwrapped(model)
    modules = list(getattr(model, "encoder", model).modules())
    layers = [module for module in modules if isinstance(module, MessagePassing)]
    own = any(not _is_of_pyg(layer) for layer in layers)
    if not layers or own or any(isinstance(module, _BOTH_WAYS) for module in modules):
        return False
    source, target = edge_index
    upwards = len(source) > 0 and bool((source < target).all())
    return upwards and all(layer.flow == FORWARD for layer in layers)


def _is_of_pyg(layer: nn.Module) -> bool:
    return type(layer).__module__.startswith("torch_geometric.")
