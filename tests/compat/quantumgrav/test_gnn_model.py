import functools

import pytest
import torch
import torch_geometric

import qgpipe
import qgpipe.compat.quantumgrav as QG

EDGES = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
BATCH = torch.tensor([0, 0, 0, 1, 1])


class Head(torch.nn.Module):
    def forward(self, x, factor=1.0, shift=0.0):
        return factor * x + shift


def concat(x, y):
    return torch.cat((x, y), dim=1)


@pytest.fixture
def parts():
    return {
        "encoder_type": torch_geometric.nn.SAGEConv,
        "encoder_args": [2, 4],
        "downstream_tasks": [[Head, [], {}], [Head, [], {}]],
        "pooling_layers": [[torch_geometric.nn.global_mean_pool, [], {}]] * 2,
        "aggregate_pooling_type": functools.partial(torch.cat, dim=1),
    }


@pytest.fixture
def x():
    return torch.rand(5, 2, generator=torch.Generator().manual_seed(0))


def test_arguments_reach_each_head_and_the_encoder(parts, x):
    model = QG.GNNModel.from_config(parts)
    plain = model(x, EDGES, BATCH)
    changed = model(
        x, EDGES, BATCH, downstream_task_args=[[2.0], []],
        downstream_task_kwargs=[{}, {"shift": 1.0}],
    )  # fmt: skip
    assert torch.allclose(changed[0], 2 * plain[0]) and torch.allclose(changed[1], plain[1] + 1)
    assert model.get_embeddings(x, EDGES).shape == (1, 8)
    with pytest.raises(TypeError, match="unknown"):
        model(x, EDGES, BATCH, embedding_kwargs={"unknown": 1})


def test_arguments_reach_the_latent_model(parts, x):
    del parts["pooling_layers"], parts["aggregate_pooling_type"]
    model = QG.GNNModel.from_config({**parts, "latent_model_type": Head})
    assert model.with_latent and not model.with_pooling
    plain = model.get_embeddings(x, EDGES, BATCH)
    assert torch.allclose(model.get_embeddings(x, EDGES, BATCH, latent_args=[3.0]), 3 * plain)
    assert torch.allclose(model(x, EDGES, BATCH, latent_kwargs={"shift": 1.0})[0], plain + 1)


def test_features_are_joined_by_a_function_of_two(parts, x):
    features = {
        "graph_features_net_type": torch.nn.Linear,
        "graph_features_net_args": [3, 2],
        "aggregate_graph_features_type": concat,
    }
    model = QG.GNNModel.from_config({**parts, **features})
    given = torch.rand(2, 3)
    assert torch.equal(
        model(x, EDGES, BATCH, graph_features=given)[0][:, 8:], model.graph_features_net(given)
    )
    assert model(x, EDGES, BATCH)[0].shape == (2, 8)  # without them their net is not used


def test_heads_are_switched(parts, x):
    model = QG.GNNModel.from_config(parts)
    model.set_task_inactive(0)
    assert list(model(x, EDGES, BATCH)) == [1] and model.active_tasks == {0: False, 1: True}
    model.set_task_inactive(1)
    assert model(x, EDGES, BATCH) == {}
    with pytest.raises(KeyError):
        model.set_task_active(2)


def test_a_file_holds_the_weights_alone(parts, x, tmp_path):
    model = QG.GNNModel.from_config(parts)
    model.save(tmp_path / "model.pt")
    for other in (
        QG.GNNModel.load(tmp_path / "model.pt", parts),
        QG.GNNModel.load(tmp_path / "model.pt", kwargs=parts),
    ):
        assert torch.equal(other(x, EDGES, BATCH)[0], model(x, EDGES, BATCH)[0])
    ours = qgpipe.GNNModel.from_config(parts)
    ours.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(ours(x, EDGES, BATCH)[0], model(x, EDGES, BATCH)[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"downstream_tasks": []},
        {"active_tasks": {0: True}},
        {"pooling_layers": None},
        {"encoder_args": [1, 2, 3, 4, 5, 6, 7, 8, 9]},
    ],
)
def test_a_wrong_model_is_an_error_of_the_kinds_expected_there(parts, wrong):
    for kind in (ValueError, RuntimeError, qgpipe.errors.ConfigError):
        with pytest.raises(kind):
            QG.GNNModel.from_config({**parts, **wrong})


def test_a_block_shows_its_arguments_and_its_types():
    block = QG.models.GNNBlock(2, 4, dropout=0.1, gnn_layer_type=torch_geometric.nn.SAGEConv)
    assert (block.in_dim, block.out_dim, block.dropout_p, block.with_skip) == (2, 4, 0.1, True)
    config = block.to_config()
    assert config["gnn_layer_type"] == "torch_geometric.nn.conv.sage_conv.SAGEConv"
    assert config["norm_args"] == [] and config["skip_kwargs"] == {}
    assert isinstance(QG.models.GNNBlock.from_config(config).conv, torch_geometric.nn.SAGEConv)
    assert isinstance(block.skip, QG.models.SkipConnection)


def test_parts_are_made_of_types_functions_and_modules():
    from qgpipe.compat.quantumgrav.gnn_model import ModuleWrapper, instantiate_type

    layer = torch.nn.Linear(1, 1)
    assert instantiate_type(layer, None, None) is layer
    assert isinstance(instantiate_type(torch.nn.ReLU, [], {"inplace": True}), torch.nn.ReLU)
    assert isinstance(instantiate_type(concat, None, None), ModuleWrapper)
