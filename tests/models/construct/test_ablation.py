"""What a model gets that a part of its input is withheld from."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.batch import edge_batch
from qgpipe.data.graphs.packed import EdgePairs
from qgpipe.errors import ConfigError
from qgpipe.models import GNNModel, load_model, save_model
from qgpipe.models.build import call_model
from qgpipe.models.construct.ablation import INPUTS, Ablation, ablate
from qgpipe.models.construct.standardizer import Standardizer
from qgpipe.models.program import write_program

SECTION = {
    "encoder_type": "qgpipe.models.Sequential",
    "encoder_kwargs": {
        "layers": [
            ["torch_geometric.nn.SAGEConv", [2, 8], {}, "x, edge_index"],
            ["torch.nn.ReLU", [], {}, "x"],
            ["torch_geometric.nn.GraphConv", [8, 4], {}, "x, edge_index"],
        ],
        "forward_signature": "x, edge_index, batch",
    },
    "pooling_layers": ["torch_geometric.nn.global_add_pool"],
    "aggregate_pooling_type": "torch.cat",
    "graph_features_net_type": "torch.nn.Linear",
    "graph_features_net_args": [1, 3],
    "aggregate_graph_features_type": "torch.cat",
    "downstream_tasks": [["torch.nn.Linear", [7, 2]]],
}
# Two graphs: 0 → 1, 0 → 2, 1 → 2 and 0 → 1.
PAIRS = EdgePairs(np.array([[0, 0, 1, 0], [1, 2, 2, 1]], np.uint16), np.array([0, 3, 4]))
SIZES = np.array([3, 2])


def batch(edge_format="edges", change=None):
    torch.manual_seed(1)
    local = torch.from_numpy(PAIRS.edge_index.astype(np.int64))
    data = [
        Data(x=torch.randn(n, 2), edge_index=edges, graph_features=torch.randn(1, 1))
        for n, edges in zip(SIZES.tolist(), (local[:, :3], local[:, 3:]), strict=True)
    ]
    made = Batch.from_data_list([change(one) if change else one for one in data])
    if edge_format != "edges":
        made.edge_batch = edge_batch(PAIRS, SIZES, edge_format)
        del made.edge_index
    return made


def reverse(data):
    data.edge_index = data.edge_index.flip(0)
    return data


def cut(data):
    data.edge_index = data.edge_index[:, :0]
    return data


def blank(name):
    def change(data):
        data[name] = torch.zeros_like(data[name])
        return data

    return change


BY_HAND = {
    "no_edges": cut,
    "reversed_edges": reverse,
    "no_node_features": blank("x"),
    "no_graph_features": blank("graph_features"),
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GNNModel.from_config(SECTION).eval()


@pytest.mark.parametrize("edge_format", ["edges", "csr", "dense"])
@pytest.mark.parametrize("kind", INPUTS)
def test_the_model_answers_as_on_graphs_that_were_changed_by_hand(model, kind, edge_format):
    expected = call_model(model, batch(change=BY_HAND[kind]))[0]
    plain = call_model(model, batch(edge_format))[0]
    ablate(model, kind)
    found = call_model(model, batch(edge_format))[0]
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, plain)


@pytest.mark.parametrize("edge_format", ["csr", "dense"])
def test_gradients_are_those_of_reversed_edges(model, edge_format):
    call_model(model, batch(change=reverse))[0].sum().backward()
    expected = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    ablate(model, "reversed_edges")
    call_model(model, batch(edge_format))[0].sum().backward()
    for weight, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient)


@pytest.mark.parametrize("kind", INPUTS)
def test_a_model_file_keeps_what_is_withheld_and_the_standardisation(model, kind, tmp_path):
    mean, std = torch.tensor([5.0, 6.0]), torch.tensor([2.0, 3.0])
    Standardizer({"node_features": (mean, std)}).attach(model)
    names = [name for name, _ in model.named_parameters()]
    ablate(model, kind)
    assert [name for name, _ in model.named_parameters()] == names
    save_model(tmp_path / "model.pt", SECTION, model.state_dict())
    loaded = load_model(tmp_path / "model.pt", trust=True).eval()
    assert loaded.ablation.kind == kind
    assert torch.equal(call_model(loaded, batch())[0], call_model(model, batch())[0])
    moved = copy.deepcopy(model)
    moved.load_state_dict(model.state_dict())
    assert torch.equal(call_model(moved, batch())[0], call_model(model, batch())[0])


def test_features_are_zero_after_standardisation(model):
    mean, std = torch.tensor([5.0, 6.0]), torch.tensor([2.0, 3.0])
    expected = call_model(model, batch(change=blank("x")))[0]
    Standardizer({"node_features": (mean, std)}).attach(model)
    ablate(model, "no_node_features")
    assert torch.equal(call_model(model, batch())[0], expected)


class OfBatch(nn.Module):
    """Takes a batch as a whole."""

    def forward(self, data):
        return {name: data[name] for name in ("x", "edge_index", "edge_attr", "graph_features")}


class ByPosition(nn.Module):
    def forward(self, h, edge_index, edge_attr=None):
        return {"edge_index": edge_index, "edge_attr": edge_attr}


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_within_a_batch_are_changed_and_the_batch_stays(kind):
    whole = batch()
    whole.edge_attr = torch.arange(4.0)[:, None]
    model = OfBatch()
    ablate(model, kind)
    found = model(whole)
    changed = {"no_edges": ("edge_index", "edge_attr")}.get(kind, (INPUTS[kind],))
    for name, value in found.items():
        assert (value is whole[name]) == (name not in changed)
    if kind == "no_edges":
        assert (found["edge_index"].shape, len(found["edge_attr"])) == ((2, 0), 0)
    elif kind == "reversed_edges":
        assert torch.equal(found["edge_index"], whole.edge_index.flip(0))
    else:
        assert not found[INPUTS[kind]].any()


def test_inputs_by_position_and_attributes_of_edges():
    edges, attributes = batch().edge_index, torch.arange(4.0)
    for kind, length in (("no_edges", 0), ("reversed_edges", 4)):
        model = ByPosition()
        ablate(model, kind)
        found = model(torch.zeros(5, 1), edges, edge_attr=attributes)
        assert found["edge_index"].shape == (2, length)
        assert len(found["edge_attr"]) == length
        assert model(torch.zeros(5, 1), edges)["edge_attr"] is None


def test_what_is_not_there_cannot_be_withheld():
    model = ByPosition()
    ablate(model, "no_graph_features")
    with pytest.raises(ConfigError, match="called without 'graph_features'"):
        model(torch.zeros(5, 1), batch().edge_index)


def test_a_second_time_changes_nothing_and_another_attribute_is_left_alone(model):
    ablate(model, None)
    assert not hasattr(model, "ablation")
    ablate(model, "no_edges")
    ablate(model, "no_edges")
    assert len(model._forward_pre_hooks) == 1
    other = nn.Module()
    other.ablation = 3
    with pytest.raises(ConfigError, match="attribute 'ablation' of its own"):
        Ablation("no_edges").attach(other)


@pytest.mark.parametrize("kind", INPUTS)
def test_an_exported_program_gets_no_more(model, kind):
    expected = call_model(model, batch(change=BY_HAND[kind]))[0]
    ablate(model, kind)
    file = io.BytesIO()
    write_program(file, model, 2, 1)
    file.seek(0)
    program, given = torch.export.load(file).module(), batch()
    found = program(given.x, given.edge_index, given.ptr, given.graph_features)
    torch.testing.assert_close(found[0], expected)
