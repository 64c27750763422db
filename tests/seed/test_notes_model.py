"""Notes 13 to 20 of what the seed document has to mean: models."""

from __future__ import annotations

import copy

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn
from torch_geometric.data import Batch

import qgpipe
from qgpipe import Trainer
from qgpipe.errors import ConfigError
from qgpipe.models import call_model, load_model


@pytest.fixture
def prepared(folder, configured):
    """A trainer and its loaders, for a configuration with changes."""

    def make(**changes):
        trainer = Trainer.from_config(configured(**changes))
        return trainer, trainer.prepare_dataloaders()

    return make


def outputs(model, batch):
    """What a model of ours gives in evaluation."""
    with torch.no_grad():
        return call_model(model.eval(), batch)


def first_batch(loaders) -> Batch:
    return next(iter(loaders.train))


WITH_FEATURES = {
    "graph_features_net_type": "qgpipe.models.LinearSequential",
    "graph_features_net_kwargs": {"dims": [[4, 5]], "activations": ["torch.nn.ReLU"]},
    "aggregate_graph_features_type": "torch.cat",
    "downstream_tasks": [["torch.nn.Linear", [13, 3]]],
}


def test_note_13_a_signature_without_an_arrow_gives_x_as_in_pyg(prepared):
    trainer, loaders = prepared()
    ours = trainer.model.encoder
    conv, relu = copy.deepcopy(list(ours.layers))
    theirs = pyg.Sequential("x, edge_index", [(conv, "x, edge_index -> x"), (relu, "x -> x")])
    batch = first_batch(loaders)
    assert ours.signatures[0].outputs == ("x",)
    torch.testing.assert_close(
        ours(batch.x, batch.edge_index, batch.batch), theirs(batch.x, batch.edge_index)
    )


@pytest.mark.parametrize("kwargs", [None, {"dim": 1}, {"dim": -1}])
def test_note_14_cat_joins_the_features_of_several_poolings(prepared, kwargs):
    poolings = ["torch_geometric.nn.global_mean_pool", ["torch_geometric.nn.global_max_pool"]]
    trainer, loaders = prepared(
        model={
            "pooling_layers": poolings,
            "aggregate_pooling_kwargs": kwargs,
            "downstream_tasks": [["torch.nn.Linear", [16, 3]]],
        }
    )
    batch, model = first_batch(loaders), trainer.model
    nodes = model.encoder(batch.x, batch.edge_index, batch.batch)
    expected = torch.cat(
        [pyg.global_mean_pool(nodes, batch.batch), pyg.global_max_pool(nodes, batch.batch)], dim=1
    )
    pooled = model.get_embeddings(batch.x, batch.edge_index, batch.batch)
    torch.testing.assert_close(pooled, expected)


def scaled_sum(tensors, factor):
    return factor * (tensors[0] + tensors[1])


def test_note_14_arguments_of_an_aggregation_are_honoured(prepared):
    trainer, loaders = prepared(
        model={
            "pooling_layers": ["torch_geometric.nn.global_mean_pool"] * 2,
            "aggregate_pooling_type": scaled_sum,
            "aggregate_pooling_args": [3.0],
        }
    )
    batch, model = first_batch(loaders), trainer.model
    nodes = model.encoder(batch.x, batch.edge_index, batch.batch)
    torch.testing.assert_close(
        model.get_embeddings(batch.x, batch.edge_index, batch.batch),
        6 * pyg.global_mean_pool(nodes, batch.batch),
    )


def test_note_14_graph_features_and_embeddings_come_as_a_list(prepared):
    trainer, loaders = prepared(model=WITH_FEATURES)
    batch, model = first_batch(loaders), trainer.model
    pooled = model.get_embeddings(batch.x, batch.edge_index, batch.batch)
    features = model.graph_features_net(batch.graph_features)
    expected = model.downstream_tasks[0](torch.cat([pooled, features], dim=1))
    torch.testing.assert_close(outputs(model, batch)[0], expected.detach())


def test_note_15_graph_features_reach_the_model_in_training_validation_and_test(prepared):
    trainer, loaders = prepared(model=WITH_FEATURES)
    before = copy.deepcopy(trainer.model.graph_features_net.state_dict())
    _, validation = trainer.run_training(loaders.train, loaders.validation)
    after = trainer.model.graph_features_net.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert validation["loss_avg"].notna().all()
    batch = next(iter(loaders.test))
    trainer.run_test(loaders.test)
    expected = outputs(trainer.best_model(), batch)[0]
    torch.testing.assert_close(trainer.tester.collected.heads[0][: len(expected)], expected)


def test_note_16_layers_in_the_encoder_get_the_batch_if_they_can_use_it(prepared):
    layers = [
        ["torch_geometric.nn.SAGEConv", [12, 8], {}, "x, edge_index"],
        ["torch_geometric.nn.GraphNorm", [8], {}, "x, batch"],
        ["torch_geometric.nn.global_add_pool", [], {}, "x, batch"],
    ]
    trainer, loaders = prepared(
        model={
            "encoder_kwargs": {"layers": layers},
            "pooling_layers": None,
            "aggregate_pooling_type": None,
        }
    )
    batch = first_batch(loaders)
    together = outputs(trainer.model, batch)[0]
    alone = [outputs(trainer.model, Batch.from_data_list([g]))[0] for g in batch.to_data_list()]
    torch.testing.assert_close(together, torch.cat(alone))


def two_head_loss(outputs, data):
    """Both heads, where they are on."""
    return sum(torch.nn.functional.cross_entropy(head, data.y) for head in outputs.values())


def test_note_17_outputs_are_named_by_task_and_tasks_can_be_switched(prepared):
    heads = [["torch.nn.Linear", [8, 3]], ["torch.nn.Linear", [8, 4]]]
    trainer, loaders = prepared(model={"downstream_tasks": heads}, criterion=two_head_loss)
    batch = first_batch(loaders)
    given = outputs(trainer.model, batch)
    assert {task: tuple(out.shape) for task, out in given.items()} == {0: (8, 3), 1: (8, 4)}
    trainer.model.set_task_inactive(0)
    assert list(outputs(trainer.model, batch)) == [1]
    only, loaders = prepared(
        model={"downstream_tasks": heads, "active_tasks": {0: False}}, criterion=two_head_loss
    )
    only.run_training(loaders.train, loaders.validation)
    assert list(outputs(only.model, batch)) == [1]


def test_note_17_embeddings_are_the_pooled_vector(prepared):
    trainer, loaders = prepared(model=WITH_FEATURES)
    batch, model = first_batch(loaders), trainer.model
    nodes = model.encoder(batch.x, batch.edge_index, batch.batch)
    torch.testing.assert_close(
        model.get_embeddings(batch.x, batch.edge_index, batch.batch),
        pyg.global_mean_pool(nodes, batch.batch),
    )


BLOCK = {"in_dim": 12, "out_dim": 8, "normalizer_type": "torch.nn.BatchNorm1d", "norm_args": [8]}
SEQUENTIAL = {
    "layers": [["torch_geometric.nn.GCNConv", [12, 8]], ["torch.nn.ELU"]],
    "with_skip": True,
    "skip_args": [12, 8],
}
TRANSFORMER = {
    "in_features": 12, "out_features": 8, "channels": 8, "num_heads": 2, "num_layers": 1,
}  # fmt: skip
OURS = {
    "GNNBlock": ({"encoder_type": "qgpipe.models.GNNBlock", "encoder_kwargs": BLOCK}, BLOCK),
    "Sequential": ({"encoder_kwargs": SEQUENTIAL}, SEQUENTIAL),
    "GPSTransformer": (
        {
            "encoder_type": "qgpipe.models.GPSTransformer",
            "encoder_kwargs": TRANSFORMER,
            "pooling_layers": None,
            "aggregate_pooling_type": None,
        },
        TRANSFORMER,
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_note_18_each_of_our_models_trains_and_is_saved_and_loaded(prepared, tmp_path, name):
    model, kwargs = OURS[name]
    trainer, loaders = prepared(model=model)
    trainer.run_training(loaders.train, loaders.validation)
    trainer.save_best_model(tmp_path / "model.pt")
    batch = first_batch(loaders)
    expected = outputs(trainer.best_model(), batch)[0]
    torch.testing.assert_close(outputs(load_model(tmp_path / "model.pt"), batch)[0], expected)
    cls = getattr(qgpipe.models, name)
    assert type(trainer.model.encoder) is cls
    assert set(kwargs) <= set(cls.schema["properties"])


CONFIGS = {
    "LinearSequential": {
        "dims": [[3, 4], [4, 2]],
        "activations": ["torch.nn.ReLU", "torch.nn.ELU"],
    },
    "SkipConnection": {"in_channels": 3, "out_channels": 5},
    "GNNBlock": BLOCK,
    "Sequential": SEQUENTIAL,
    "GPSTransformer": TRANSFORMER,
    "GNNModel": {
        "encoder_type": "qgpipe.models.Sequential",
        "encoder_kwargs": SEQUENTIAL,
        "pooling_layers": ["torch_geometric.nn.global_mean_pool"],
        "downstream_tasks": [["torch.nn.Linear", [8, 3]]],
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_note_18_each_of_our_models_is_built_from_its_config_and_written_back(tmp_path, name):
    cls = getattr(qgpipe.models, name)
    model = cls.from_config(CONFIGS[name])
    again = cls.from_config(model.to_config())
    assert again.to_config() == model.to_config()
    assert set(model.to_config()) == set(cls.schema["properties"])
    model.save(tmp_path / "saved.pt")
    weights, loaded = model.state_dict(), cls.load(tmp_path / "saved.pt").state_dict()
    assert weights.keys() == loaded.keys() == again.state_dict().keys()
    for key in weights:
        torch.testing.assert_close(weights[key], loaded[key])


def test_note_18_a_skip_connection_is_the_sum_with_a_projection_where_sizes_differ():
    old, new = torch.randn(7, 3), torch.randn(7, 5)
    skip = qgpipe.models.SkipConnection(3, 5)
    torch.testing.assert_close(skip(old, new), new + old @ skip.proj.weight.T)
    torch.testing.assert_close(qgpipe.models.SkipConnection(5, 5)(new, new), 2 * new)


def test_note_18_lists_of_unequal_length_are_refused():
    with pytest.raises(ConfigError, match=r"activations: 1 given for 2 layers"):
        qgpipe.models.LinearSequential([[1, 2], [2, 3]], [nn.ReLU])


def test_note_19_a_wrong_number_of_features_is_found_before_training(folder, configured):
    reader = {
        "type": "qgpipe.CausalSetReader",
        "kwargs": {"node_features": ["max_pathlens_future"], "target": "cset_type"},
    }
    trainer = Trainer.from_config(configured(data={"reader": reader}))
    loaders = trainer.prepare_dataloaders()
    with pytest.raises(ConfigError) as caught:
        trainer.run_training(loaders.train, loaders.validation)
    assert str(caught.value) == (
        "model.encoder_kwargs.layers[0]: SAGEConv expects 12 node features, the data has 1 "
        "(max_pathlens_future); make it 1, or let the reader give 12"
    )
    assert not (folder.path / "results" / "runs").exists()


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        (["torch_geometric.nn.SAGEConv", [12]], "missing 1 required positional argument"),
        (["torch_geometric.nn.GATConv", [12, 8], {"heads": "two"}], "GATConv"),
        (["torch.nn.Linear", [12, -8]], "-8"),
    ],
)
def test_note_20_a_construction_that_fails_says_which_spec_and_why(
    folder, configured, layer, problem
):
    config = configured(model={"encoder_kwargs": {"layers": [layer]}})
    with pytest.raises(ConfigError) as caught:
        Trainer.from_config(config)
    assert caught.value.key == "model.encoder_kwargs.layers[0]"
    assert str(caught.value).count("\n") == 0
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "layer",
    ["GATConv", "GINConv", "GCNConv", "GraphConv", "TAGConv", "TransformerConv", "ChebConv"],
)
def test_note_13_any_layer_of_pyg_is_used_by_name_and_gives_what_pyg_gives(prepared, layer):
    network = {"type": "!pyobject torch.nn.Linear", "args": [12, 8]}
    args = {"GINConv": [network], "ChebConv": [12, 8, 2]}.get(layer, [12, 8])
    trainer, loaders = prepared(
        model={"encoder_kwargs": {"layers": [[f"torch_geometric.nn.{layer}", args]]}}
    )
    batch, built = first_batch(loaders), trainer.model.encoder.layers[0]
    given = [nn.Linear(12, 8)] if layer == "GINConv" else args
    theirs = getattr(pyg, layer)(*given)
    theirs.load_state_dict(built.state_dict())
    torch.testing.assert_close(
        trainer.model.encoder(batch.x, batch.edge_index, batch.batch),
        theirs(batch.x, batch.edge_index),
    )
