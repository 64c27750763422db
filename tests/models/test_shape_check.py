import numpy as np
import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from qgpipe.data.graphs.batch import edge_batch
from qgpipe.data.graphs.packed import EdgePairs
from qgpipe.errors import ConfigError
from qgpipe.models import (
    GNNBlock,
    GNNModel,
    GPSTransformer,
    build_model,
    check_model,
    example_batch,
)


class OwnModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = pyg.SAGEConv(12, 4)

    def forward(self, x, edge_index):
        return self.first(x, edge_index)


def message(model, batch, **names):
    with pytest.raises(ConfigError) as error:
        check_model(model, batch, **names)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_model_that_fits_gives_its_outputs(manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)

    torch.testing.assert_close(
        check_model(model, batch),
        model(batch.x, batch.edge_index, batch.batch, batch.graph_features),
    )


def test_too_few_node_features_are_named_with_both_numbers(manual_section, causal_batch):
    model = build_model(manual_section)

    text = message(model, causal_batch(1, 4), node_features=["max_pathlens_future"])
    assert text == (
        "model.encoder_kwargs.layers[0]: SAGEConv expects 12 node features, "
        "the data has 1 (max_pathlens_future); make it 1, or let the reader give 12"
    )


def test_data_known_only_by_its_numbers_is_checked_alike(manual_section):
    text = message(build_model(manual_section), example_batch(2, 4))

    assert text.startswith(
        "model.encoder_kwargs.layers[0]: SAGEConv expects 12 node features, the data has 2;"
    )


def test_a_wrong_number_of_graph_features_is_named(manual_section, causal_batch):
    text = message(build_model(manual_section), causal_batch(12, 2), graph_features=["a", "b"])

    assert text == (
        "model.graph_features_net_kwargs.dims[0]: Linear expects 4 graph features, "
        "the data has 2 (a, b); make it 2, or let the reader give 4"
    )


def test_missing_graph_features_are_named(manual_section, causal_batch):
    text = message(build_model(manual_section), causal_batch(12))

    assert text.startswith(
        "model.graph_features_net_type: the model has a net for graph features, "
        "but the data has no graph_features"
    )


def test_a_head_that_does_not_fit_is_named(manual_section, causal_batch):
    manual_section["downstream_tasks"][0][2]["dims"][0] = [64, 128]
    text = message(build_model(manual_section), causal_batch(12, 4))

    assert text == (
        "model.downstream_tasks[0].kwargs.dims[0]: Linear expects 64 features, gets 96; "
        "make it 96, or change what comes before"
    )


def test_a_layer_in_the_middle_is_named(manual_section, causal_batch):
    manual_section["encoder_kwargs"]["layers"][2][1] = [32, 64]
    text = message(build_model(manual_section), causal_batch(12, 4))

    assert text.startswith("model.encoder_kwargs.layers[2]: SAGEConv expects 32 features, gets 64;")


@pytest.mark.parametrize(
    ("model", "start"),
    [
        (GNNBlock(12, 4), "model.in_dim: GCNConv expects 12 node features, the data has 1;"),
        (
            GNNBlock(1, 4, normalizer_type=nn.BatchNorm1d, norm_args=[8]),
            "model.norm_args: BatchNorm1d expects 8 features, gets 4;",
        ),
        (
            GPSTransformer(12, 3, 8, 2, 1),
            "model.in_features: Linear expects 12 node features, the data has 1;",
        ),
        (
            GNNModel(pyg.GraphSAGE, [[nn.Identity]], [12, 8, 2]),
            "model.encoder_type: GraphSAGE expects 12 node features, the data has 1;",
        ),
        (OwnModel(), "model: SAGEConv expects 12 node features, the data has 1;"),
    ],
    ids=["block", "norm", "transformer", "network of PyG", "user"],
)
def test_every_kind_of_model_is_checked(causal_batch, model, start):
    assert message(model, causal_batch(1)).startswith(start)


def test_features_without_a_second_dimension_are_named(manual_section, causal_batch):
    batch = causal_batch(12, 4)
    batch.x = batch.x[:, 0]

    assert message(build_model(manual_section), batch) == (
        "model.encoder_kwargs.layers[0]: SAGEConv gets node features of shape [15]; "
        "features need two dimensions; add .unsqueeze(1) where they are made"
    )


def test_another_failure_names_the_layer_and_what_the_batch_has(manual_section, causal_batch):
    manual_section["pooling_layers"].append(["!pyobject torch.add", [], {"other": "x"}])
    text = message(build_model(manual_section), causal_batch(12, 4))

    assert text.startswith("model.pooling_layers[1]: add fails: TypeError: add(): argument 'other'")
    assert text.endswith(
        "the batch has x [15, 12], edge_index [2, 18], y [3], edge_weight [18], "
        "graph_features [3, 4], batch [15], ptr [4]"
    )


def test_a_failure_in_the_users_code_names_its_line(causal_batch, user_module):
    user_module(
        "my_failing_model",
        "import torch\n"
        "class Model(torch.nn.Module):\n"
        "    def forward(self, x, edge_index):\n"
        "        return undefined + x\n",
    )
    model = build_model({"type": "!pyobject my_failing_model.Model"}, trust=True)

    assert message(model, causal_batch(1)).startswith(
        "model: Model fails: NameError: name 'undefined' is not defined "
        "(my_failing_model.py, line 4); the batch has x [15, 1]"
    )


def test_a_failure_of_apply_model_is_reported(causal_batch):
    def apply_model(model, data):
        return model(data.x, data.no_such_attribute)

    with pytest.raises(ConfigError, match=r"OwnModel fails: AttributeError: .*no_such_attribute"):
        check_model(OwnModel(), causal_batch(12), apply_model=apply_model)


def test_checking_leaves_mode_weights_statistics_and_random_state_alone(causal_batch):
    model = GNNModel(
        GNNBlock,
        [[nn.Identity]],
        [4, 4],
        {"normalizer_type": nn.BatchNorm1d, "norm_args": [4]},
        pooling_layers=[pyg.global_mean_pool],
    ).train()
    model.encoder.normalizer.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = causal_batch(4)
    random_state = torch.get_rng_state()

    check_model(model, batch)

    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.training
    assert not model.encoder.normalizer.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_model_that_fits_is_called_as_in_training(causal_batch, monkeypatch):
    def propagate(*_, **__):
        raise AssertionError("edge_index is not needed")

    monkeypatch.setattr(pyg.SAGEConv, "propagate", propagate)
    batch = causal_batch(12)
    edges = EdgePairs(batch.edge_index.numpy(), np.array([0, batch.num_edges]))
    sizes = np.array([batch.num_nodes])
    batch.edge_batch = edge_batch(edges, sizes, "dense")
    section = {"encoder_type": "qgpipe.models.Sequential"}
    layer = ["torch_geometric.nn.SAGEConv", [12, 4], {}, "x, edge_index"]
    section["encoder_kwargs"] = {"layers": [layer], "forward_signature": "x, edge_index"}
    section["downstream_tasks"] = [["torch.nn.Linear", [4, 2]]]
    section["pooling_layers"] = [["torch_geometric.nn.global_mean_pool"]]

    assert check_model(build_model(section), batch)[0].shape == (3, 2)


def test_layers_without_a_size_get_it_from_the_batch(causal_batch):
    model = GNNModel(pyg.SAGEConv, [[nn.Identity]], [-1, 4])
    check_model(model, causal_batch(7))

    assert model.encoder.lin_l.weight.shape == (4, 7)


def test_the_example_batch_has_two_causal_sets():
    batch = example_batch(3, 2)

    assert batch.num_graphs == 2
    assert batch.x.shape == (5, 3)
    assert batch.edge_index.tolist() == [[0, 2, 2, 3], [1, 3, 4, 4]]
    assert batch.graph_features.shape == (2, 2)
    assert "graph_features" not in example_batch(3)
