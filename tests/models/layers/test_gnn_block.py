import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models import GNNBlock, Sequential


def test_it_is_conv_norm_activation_skip_and_dropout_in_this_order(causal_batch):
    batch = causal_batch(4)
    block = GNNBlock(4, 6, normalizer_type=nn.BatchNorm1d, norm_args=[6]).eval()

    out = torch.relu(block.normalizer(block.conv(batch.x, batch.edge_index)))
    expected = out + batch.x @ block.skip.proj.weight.T
    torch.testing.assert_close(block(batch.x, batch.edge_index), expected, atol=1e-6, rtol=0)
    assert block.dropout.p == 0.3


def test_dropout_comes_after_the_skip_connection(causal_batch):
    batch = causal_batch(4)
    block = GNNBlock(4, 4, dropout=0.5).train()
    torch.manual_seed(1)
    result = block(batch.x, batch.edge_index)
    torch.manual_seed(1)
    expected = nn.functional.dropout(
        torch.relu(block.conv(batch.x, batch.edge_index)) + batch.x, 0.5
    )

    torch.testing.assert_close(result, expected)


def test_without_skip_nothing_is_added(causal_batch):
    batch = causal_batch(4)
    block = GNNBlock(4, 6, with_skip=False, gnn_layer_type=pyg.SAGEConv).eval()

    expected = torch.relu(block.conv(batch.x, batch.edge_index))
    torch.testing.assert_close(block(batch.x, batch.edge_index), expected)


def test_graph_norm_inside_it_tells_the_graphs_apart(causal_batch):
    batch = causal_batch(4)
    block = GNNBlock(
        4, 4, normalizer_type="torch_geometric.nn.GraphNorm", norm_args=[4], with_skip=False
    ).eval()

    expected = torch.relu(pyg.GraphNorm(4)(block.conv(batch.x, batch.edge_index), batch.batch))
    result = block(batch.x, batch.edge_index, batch.batch)
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


def test_it_asks_for_the_batch_only_if_a_part_uses_it():
    plain = Sequential([[GNNBlock, [4, 4]]])
    normed = Sequential([[GNNBlock, [4, 4], {"normalizer_type": pyg.GraphNorm, "norm_args": [4]}]])

    assert plain.signatures[0].inputs == ("x", "edge_index")
    assert normed.signatures[0].inputs == ("x", "edge_index", "batch")


def test_further_inputs_of_the_graph_layer_are_passed_by_name(causal_batch):
    batch = causal_batch(4)
    block = GNNBlock(4, 4, with_skip=False, activation_type="torch.nn.Identity").eval()

    expected = block.conv(batch.x, batch.edge_index, batch.edge_weight)
    result = block(batch.x, batch.edge_index, edge_weight=batch.edge_weight)
    torch.testing.assert_close(result, expected)


def test_arguments_of_every_part_are_honoured():
    block = GNNBlock.from_config(
        {
            "in_dim": 4,
            "out_dim": 6,
            "dropout": "1e-1",
            "gnn_layer_type": "!pyobject torch_geometric.nn.conv.GCNConv",
            "gnn_layer_kwargs": {"bias": False},
            "normalizer_type": "!pyobject torch.nn.BatchNorm1d",
            "norm_args": [6],
            "norm_kwargs": {"eps": "1e-3"},
            "activation_type": "!pyobject torch.nn.LeakyReLU",
            "activation_args": [0.5],
            "skip_args": [4, 6],
            "skip_kwargs": {"weight_initializer": "glorot"},
        }
    )

    assert block.conv.bias is None
    assert block.normalizer.eps == 1e-3
    assert block.activation.negative_slope == 0.5
    assert block.skip.proj.weight_initializer == "glorot"
    assert block.dropout.p == 0.1


def test_its_config_rebuilds_it(causal_batch):
    batch = causal_batch(4)
    block = GNNBlock(4, 6, gnn_layer_type=pyg.GATConv, gnn_layer_kwargs={"heads": 1}).eval()
    rebuilt = GNNBlock.from_config(block.to_config()).eval()
    rebuilt.load_state_dict(block.state_dict())

    torch.testing.assert_close(rebuilt(batch.x, batch.edge_index), block(batch.x, batch.edge_index))


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"gnn_layer_type": "torch_geometric.nn.NoConv"}, "gnn_layer_type"),
        ({"gnn_layer_kwargs": {"bais": True}}, "gnn_layer_type"),
        ({"normalizer_type": "torch.nn.BatchNorm1d"}, "normalizer_type"),
        ({"activation_kwargs": {"inplace": "!pyobject no.such"}}, "activation_kwargs.inplace"),
        ({"skip_kwargs": {"weight_initialiser": "glorot"}}, "skip_kwargs.weight_initialiser"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_a_wrong_part_is_named_by_its_key(config, key):
    with pytest.raises(ConfigError) as error:
        GNNBlock.from_config({"in_dim": 4, "out_dim": 6, **config})

    assert error.value.key == key
    assert "\n" not in str(error.value)
