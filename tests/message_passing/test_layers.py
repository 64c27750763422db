from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.nn import GATConv, GCNConv, GINConv, GraphConv, SAGEConv

from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.message_passing.layers import call, rule_of

Make = Callable[..., Batch]
Of = Callable[..., Adjacency]

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "sage": lambda: SAGEConv(5, 4),
    "sage sum": lambda: SAGEConv(5, 4, aggr="sum", normalize=True, project=True),
    "sage without root": lambda: SAGEConv(5, 4, root_weight=False, bias=False),
    "gcn": lambda: GCNConv(5, 4),
    "gcn without loops": lambda: GCNConv(5, 4, add_self_loops=False, bias=False),
    "gcn as it is": lambda: GCNConv(5, 4, normalize=False),
    "graph": lambda: GraphConv(5, 4),
    "graph mean": lambda: GraphConv(5, 4, aggr="mean", bias=False),
    "gin": lambda: GINConv(nn.Sequential(nn.Linear(5, 4), nn.Tanh()), eps=0.3, train_eps=True),
    "gin mean": lambda: GINConv(nn.Linear(5, 4), aggr="mean"),
}


def outcome(layer: nn.Module, batch: Batch, edges: object) -> list[torch.Tensor]:
    """Output of a layer, and the gradients of features and parameters."""
    x = batch.x.clone().requires_grad_()
    out = call(layer, x, edges)
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape)
    inputs = [x, *layer.parameters()]
    loss = (out.double() * weights).sum()
    gradients = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
    return [out.detach(), *gradients]


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(LAYERS)),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 1000),
    edge_format=st.sampled_from(["csr", "dense"]),
)
def test_a_layer_gives_what_it_gives_on_edge_index(
    make_dags: Make,
    make_adjacency: Of,
    name: str,
    sizes: list[int],
    density: float,
    seed: int,
    edge_format: str,
) -> None:
    torch.manual_seed(seed)
    layer, batch = LAYERS[name](), make_dags(sizes, density, seed)
    assert rule_of(layer) is not None
    expected = outcome(layer, batch, batch.edge_index)
    for found, wanted in zip(
        outcome(layer, batch, make_adjacency(batch, edge_format)), expected, strict=True
    ):
        scale = float(wanted.abs().max().clamp(min=1))
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_in_bfloat16_a_layer_is_as_precise_as_on_edge_index(
    make_dags: Make, make_adjacency: Of, edge_format: str, name: str
) -> None:
    torch.manual_seed(0)
    layer, batch = LAYERS[name](), make_dags([300, 20], 1.0, 0)
    with torch.no_grad():
        exact = layer(batch.x, batch.edge_index)
        with torch.autocast("cpu", torch.bfloat16):
            plain = layer(batch.x, batch.edge_index)
            found = call(layer, batch.x, make_adjacency(batch, edge_format, torch.bfloat16))
    assert found.dtype == plain.dtype
    error, usual_error = (float((out - exact).abs().max()) for out in (found, plain))
    assert error <= 2 * usual_error + 2**-8 * float(exact.abs().max())


@pytest.mark.parametrize("add_self_loops", [True, False])
def test_gcn_keeps_one_loop_of_a_node_that_has_some(
    make_batch: Make, make_adjacency: Of, edge_format: str, add_self_loops: bool
) -> None:
    batch = make_batch([[0, 0], [0, 0], [0, 1], [1, 1], [1, 2]], 4)
    layer = GCNConv(1, 2, add_self_loops=add_self_loops)
    expected = layer(batch.x, batch.edge_index)
    torch.testing.assert_close(call(layer, batch.x, make_adjacency(batch, edge_format)), expected)


@pytest.mark.parametrize(
    "layer",
    [
        SAGEConv(5, 4, aggr="max"),
        SAGEConv(5, 4, aggr=["mean", "sum"]),
        SAGEConv(5, 4, flow="target_to_source"),
        GCNConv(5, 4, improved=True),
        GCNConv(5, 4, aggr="mean"),
        GATConv(5, 4),
        type("Own", (SAGEConv,), {})(5, 4),
    ],
    ids=str,
)
def test_what_no_rule_fits_gets_edge_index(
    make_dags: Make, make_adjacency: Of, layer: nn.Module
) -> None:
    batch = make_dags([6, 9], 0.5, 0)
    assert rule_of(layer) is None
    found = call(layer, batch.x, make_adjacency(batch, "csr"))
    assert torch.equal(found, layer(batch.x, batch.edge_index))


def test_whoever_watches_a_layer_sees_its_call(make_dags: Make, make_adjacency: Of) -> None:
    batch = make_dags([6], 0.5, 0)
    layer, seen = SAGEConv(5, 4), []
    layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1]))
    call(layer, batch.x, make_adjacency(batch, "dense"))
    assert torch.equal(seen[0], batch.edge_index)


def test_weighted_edges_are_left_to_the_layer(make_dags: Make, make_adjacency: Of) -> None:
    batch = make_dags([6, 9], 0.5, 0)
    layer, weight = GraphConv(5, 4), torch.rand(batch.num_edges)
    expected = layer(batch.x, batch.edge_index, weight)
    adjacency = make_adjacency(batch, "csr")
    assert torch.equal(call(layer, batch.x, adjacency, weight), expected)
    assert torch.equal(call(layer, batch.x, adjacency, edge_weight=weight), expected)


def test_a_layer_that_gets_its_size_from_the_batch_is_built(
    make_dags: Make, make_adjacency: Of, edge_format: str
) -> None:
    batch = make_dags([6, 9], 0.5, 0)
    layer = SAGEConv(-1, 4)
    found = call(layer, batch.x, make_adjacency(batch, edge_format))
    torch.testing.assert_close(found, layer(batch.x, batch.edge_index))
