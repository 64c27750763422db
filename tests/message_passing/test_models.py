"""Whole models in each form: the same outputs and gradients as with edge_index."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from qgpipe.config.load import load_config
from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.models import GNNModel, GPSTransformer, build_model

Make = Callable[..., Batch]
Of = Callable[..., Adjacency]

CONFIG = Path(__file__).parents[2] / "config"


def default_section(layer: list[Any]) -> dict[str, Any]:
    """The default run's model, whose second layer is ``layer``."""
    section = load_config(CONFIG / "run.yaml")["model"]
    section["encoder_kwargs"]["layers"][2] = layer
    return section


GPS = {
    "in_features": 12, "out_features": 3, "channels": 8, "num_layers": 2, "num_heads": 2,
    "norm": "layer_norm",
}  # fmt: skip


LAYERS = {
    "SAGEConv": ["torch_geometric.nn.SAGEConv", [64, 64], {}, "x, edge_index"],
    "SAGEConv max": ["torch_geometric.nn.SAGEConv", [64, 64], {"aggr": "max"}, "x, edge_index"],
    "GCNConv": ["torch_geometric.nn.GCNConv", [64, 64], {}, "x, edge_index"],
    "GraphConv": ["torch_geometric.nn.GraphConv", [64, 64], {"aggr": "mean"}, "x, edge_index"],
    "GATConv": ["torch_geometric.nn.GATConv", [64, 64], {}, "x, edge_index"],
}


def outcome(model: nn.Module, batch: Batch, edges: Any) -> list[Tensor]:
    """Outputs, and gradients of all weights."""
    torch.manual_seed(0)  # random features of attention
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(batch.num_graphs, 4, generator=generator, dtype=batch.x.dtype)
    extra = [features] if isinstance(model, GNNModel) else []
    out = model(batch.x, edges, batch.batch, *extra)
    out = out[0] if isinstance(out, dict) else out
    loss = out.square().mean()
    return [out.detach(), *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", [*LAYERS, "GPSTransformer"])
def test_a_model_gives_the_same_in_every_form(
    make_dags: Make,
    make_adjacency: Of,
    edge_format: str,
    name: str,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    torch.manual_seed(0)
    gps = name == "GPSTransformer"
    model = GPSTransformer(**GPS) if gps else build_model(default_section(LAYERS[name]))
    model = model.to(dtype).eval()
    # Among them a node alone.
    batch = make_dags([1, 70, 3, 33], 0.5, 4, features=12)
    batch.x = batch.x.to(dtype)
    expected = outcome(model, batch, batch.edge_index)
    found = outcome(model, batch, make_adjacency(batch, edge_format, dtype))
    for ours, theirs in zip(found, expected, strict=True):
        if theirs is None:
            assert ours is None
            continue
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * max(scale, 1e-3))


def test_names_and_shapes_of_weights_do_not_depend_on_the_form(
    make_dags: Make, make_adjacency: Of, edge_format: str
) -> None:
    model = build_model(default_section(LAYERS["SAGEConv"]))
    before = {name: value.shape for name, value in model.state_dict().items()}
    batch = make_dags([5, 9], 0.5, 0, features=12)
    outcome(model, batch, make_adjacency(batch, edge_format))
    assert {name: value.shape for name, value in model.state_dict().items()} == before
