import copy

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models import GNNModel, LinearSequential, Sequential, build_model, call_model

IDENTITY = "!pyobject torch.nn.Identity"
MEAN, ADD, MAX = (
    [f"!pyobject torch_geometric.nn.global_{name}_pool"] for name in ("mean", "add", "max")
)
HEAD = ["!pyobject torch.nn.Identity"]


class OwnEncoder(nn.Module):
    """Names its inputs in its own way."""

    def __init__(self, width):
        super().__init__()
        self.conv = pyg.SAGEConv(4, width)

    def forward(self, nodes, relations):
        return self.conv(nodes, relations)


class Latent(nn.Module):
    def forward(self, nodes, batch, num_graphs=None):
        return pyg.global_add_pool(nodes, batch, num_graphs) + 1


def power_sum(x, batch, power, size=None):
    return pyg.global_add_pool(x**power, batch, size)


def nodes_model(**parts):
    """A model whose encoder gives the node features unchanged."""
    return GNNModel(IDENTITY, parts.pop("downstream_tasks", [HEAD]), **parts)


def run(model, batch):
    return model(batch.x, batch.edge_index, batch.batch)


def test_the_manuals_model_gives_what_pygs_layers_give_with_its_weights(
    manual_section, causal_batch
):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)
    convs, head = model.encoder.layers, model.downstream_tasks[0].layers
    theirs = pyg.Sequential(
        "x, edge_index, batch",
        [
            (convs[0], "x, edge_index -> x"),
            (nn.ReLU(), "x -> x"),
            (convs[2], "x, edge_index -> x"),
            (pyg.global_mean_pool, "x, batch -> x"),
        ],
    )

    pooled = theirs(batch.x, batch.edge_index, batch.batch)
    features = torch.relu(model.graph_features_net.layers[0](batch.graph_features))
    expected = head[2](torch.relu(head[0](torch.cat([pooled, features], dim=1))))
    outputs = model(batch.x, batch.edge_index, batch.batch, batch.graph_features)
    assert list(outputs) == [0]
    assert outputs[0].shape == (3, 3)
    torch.testing.assert_close(outputs[0], expected, atol=1e-6, rtol=0)


def test_it_trains_on_the_manuals_criterion(manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    losses = []
    for _ in range(30):
        loss = nn.CrossEntropyLoss()(call_model(model, batch)[0], batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    seed=st.integers(0, 2**16),
    pooling=st.sampled_from([MEAN, ADD, MAX]),
)
def test_the_number_of_graphs_does_not_change_the_result(causal_batch, sizes, seed, pooling):
    batch = causal_batch(4, sizes=sizes, seed=seed)
    model = nodes_model(pooling_layers=[pooling])

    known = model(batch.x, batch.edge_index, batch.batch, num_graphs=batch.num_graphs)
    torch.testing.assert_close(known[0], run(model, batch)[0])


def test_a_graph_in_a_batch_gives_what_it_gives_alone(manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section).eval()

    together = call_model(model, batch)[0]
    alone = torch.cat([call_model(model, batch[i])[0] for i in range(batch.num_graphs)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_several_poolings_are_joined_side_by_side(causal_batch):
    batch = causal_batch(4)
    model = nodes_model(pooling_layers=[MEAN, ADD], aggregate_pooling_type="!pyobject torch.cat")

    expected = torch.cat(
        [pyg.global_mean_pool(batch.x, batch.batch), pyg.global_add_pool(batch.x, batch.batch)], 1
    )
    torch.testing.assert_close(run(model, batch)[0], expected)


def test_several_poolings_without_aggregation_are_joined_side_by_side(causal_batch):
    batch = causal_batch(4)

    assert run(nodes_model(pooling_layers=[MEAN, ADD, MAX]), batch)[0].shape == (3, 12)


def test_arguments_of_an_aggregation_are_honoured(causal_batch):
    batch = causal_batch(4)
    model = nodes_model(
        pooling_layers=[MEAN, ADD],
        aggregate_pooling_type="torch.stack",
        aggregate_pooling_kwargs={"dim": 0},
    )

    assert run(model, batch)[0].shape == (2, 3, 4)


def test_aggregation_modules_pool_too(causal_batch):
    batch = causal_batch(4)
    model = nodes_model(
        pooling_layers=[
            ["!pyobject torch_geometric.nn.aggr.MeanAggregation"],
            ["!pyobject torch_geometric.nn.aggr.SoftmaxAggregation", [], {"t": 0.5}],
        ]
    )

    expected = pyg.global_mean_pool(batch.x, batch.batch)
    torch.testing.assert_close(run(model, batch)[0][:, :4], expected)
    soft = pyg.SoftmaxAggregation(t=0.5)(batch.x, batch.batch)
    torch.testing.assert_close(run(model, batch)[0][:, 4:], soft)


@pytest.mark.parametrize(("args", "kwargs"), [([2], {}), ([], {"power": 2})])
def test_arguments_of_a_pooling_function_are_honoured(causal_batch, args, kwargs):
    batch = causal_batch(4)
    model = nodes_model(pooling_layers=[[power_sum, args, kwargs]])

    expected = pyg.global_add_pool(batch.x**2, batch.batch)
    torch.testing.assert_close(run(model, batch)[0], expected)


def test_graphs_after_the_last_node_are_counted():
    x, batch = torch.ones(2, 1), torch.tensor([0, 0])
    model = nodes_model(pooling_layers=[ADD])

    out = model(x, torch.empty(2, 0, dtype=torch.int64), batch, num_graphs=3)
    assert out[0].tolist() == [[2.0], [0.0], [0.0]]


def test_without_pooling_the_heads_get_what_the_encoder_gives(causal_batch):
    batch = causal_batch(4)

    assert torch.equal(run(nodes_model(), batch)[0], batch.x)


def test_a_latent_model_stands_instead_of_pooling(causal_batch):
    batch = causal_batch(4)
    model = nodes_model(latent_model_type=Latent)

    expected = pyg.global_add_pool(batch.x, batch.batch) + 1
    torch.testing.assert_close(run(model, batch)[0], expected)


def test_an_encoder_with_names_of_its_own_gets_nodes_and_edges(causal_batch):
    batch = causal_batch(4)
    model = GNNModel(OwnEncoder, [HEAD], encoder_args=[6])

    expected = model.encoder.conv(batch.x, batch.edge_index)
    torch.testing.assert_close(run(model, batch)[0], expected)


def test_a_whole_network_of_pyg_can_be_the_encoder(causal_batch):
    batch = causal_batch(4)
    model = GNNModel(
        "torch_geometric.nn.GraphSAGE",
        [HEAD],
        encoder_kwargs={
            "in_channels": 4, "hidden_channels": 8, "num_layers": 2, "norm": "graph_norm"
        },
    )  # fmt: skip

    expected = model.encoder(batch.x, batch.edge_index, batch=batch.batch)
    torch.testing.assert_close(run(model, batch)[0], expected)


def test_an_encoder_over_nodes_alone_gets_no_edges(causal_batch):
    batch = causal_batch(4)
    model = GNNModel(LinearSequential, [HEAD], [[[4, 2]], ["torch.nn.ReLU"]])

    torch.testing.assert_close(run(model, batch)[0], model.encoder(batch.x))


def test_inputs_that_only_the_encoder_knows_are_passed_by_name(causal_batch):
    batch = causal_batch(4)
    layer = ["torch_geometric.nn.GCNConv", [4, 4], {}, "x, edge_index, edge_weight"]
    model = GNNModel(
        Sequential,
        [HEAD],
        encoder_kwargs={"layers": [layer], "forward_signature": "x, edge_index, edge_weight"},
    )

    expected = model.encoder.layers[0](batch.x, batch.edge_index, batch.edge_weight)
    outputs = model(batch.x, batch.edge_index, batch.batch, edge_weight=batch.edge_weight)
    torch.testing.assert_close(outputs[0], expected)
    torch.testing.assert_close(call_model(model, batch)[0], expected)


def test_embeddings_are_the_pooled_vectors_before_graph_features(manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)

    nodes = model.encoder(batch.x, batch.edge_index, batch.batch)
    expected = pyg.global_mean_pool(nodes, batch.batch)
    embeddings = model.get_embeddings(batch.x, batch.edge_index, batch.batch)
    torch.testing.assert_close(embeddings, expected)


@pytest.mark.parametrize(
    ("active", "computed"),
    [
        (None, [0, 1, 2]),
        ({0: True, 1: False, 2: True}, [0, 2]),
        ({1: False}, [0, 2]),
        ({"1": False}, [0, 2]),
        ([2], [2]),
        ([0, 1], [0, 1]),
    ],
)
def test_active_tasks_choose_the_heads_that_are_computed(causal_batch, active, computed):
    batch = causal_batch(4)
    model = nodes_model(pooling_layers=[ADD], downstream_tasks=[HEAD] * 3, active_tasks=active)

    assert list(run(model, batch)) == computed


def test_heads_are_switched_later_and_the_config_remembers(causal_batch):
    batch = causal_batch(4)
    model = nodes_model(pooling_layers=[ADD], downstream_tasks=[HEAD] * 3, active_tasks=[0])
    model.set_task_active(2)
    model.set_task_inactive(0)

    assert list(run(model, batch)) == [2]
    assert GNNModel.from_config(model.to_config()).active_tasks == {0: False, 1: False, 2: True}


def test_graph_features_without_aggregation_are_joined_side_by_side(causal_batch):
    batch = causal_batch(4, graph_features=2)
    model = nodes_model(pooling_layers=[ADD], graph_features_net_type=IDENTITY)

    outputs = model(batch.x, batch.edge_index, batch.batch, batch.graph_features)
    assert torch.equal(outputs[0][:, 4:], batch.graph_features)


def test_its_config_rebuilds_an_equal_model(manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)
    rebuilt = GNNModel.from_config(model.to_config())

    assert rebuilt.to_config() == model.to_config()
    assert list(rebuilt.state_dict()) == list(model.state_dict())
    rebuilt.load_state_dict(model.state_dict())
    torch.testing.assert_close(call_model(rebuilt, batch), call_model(model, batch))


def test_building_leaves_the_section_as_it_was(manual_section):
    before = copy.deepcopy(manual_section)
    build_model(manual_section)

    assert manual_section == before


def test_a_constructed_module_may_be_given_but_not_written_to_a_config(causal_batch):
    batch = causal_batch(4)
    model = GNNModel(OwnEncoder(6), [HEAD])

    assert run(model, batch)[0].shape == (15, 6)
    with pytest.raises(ConfigError) as error:
        model.to_config()
    assert str(error.value) == (
        "encoder_type: a constructed OwnEncoder has no name in a configuration; "
        "give its type and arguments instead"
    )


def test_its_schema_is_complete_in_itself(manual_section):
    assert GNNModel.schema["required"] == ["encoder_type", "downstream_tasks"]
    assert set(manual_section) < set(GNNModel.schema["properties"])
    assert "spec" in GNNModel.schema["$defs"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"pooling_layers": [ADD], "latent_model_type": Latent},
            "latent_model_type: stands instead of pooling_layers, which are given too; "
            "remove one of the two",
        ),
        (
            {"aggregate_pooling_type": torch.cat},
            "aggregate_pooling_type: joins the result of pooling_layers, which is not given; "
            "give pooling_layers, or remove it",
        ),
        (
            {"aggregate_graph_features_type": torch.cat},
            "aggregate_graph_features_type: joins the result of graph_features_net_type, which "
            "is not given; give graph_features_net_type, or remove it",
        ),
        (
            {"pooling_layers": [[power_sum]]},
            "pooling_layers[0]: 'power' of the pooling is not set; it gets node features and "
            "batch; give 'power' in its kwargs",
        ),
        (
            {"active_tasks": {3: True}},
            "active_tasks: 3: True switches none of the 1 heads; "
            "write {0: true, 1: false}, or a list of indices that start at 0",
        ),
        (
            {"active_tasks": [True]},
            "active_tasks: True switches none of the 1 heads; "
            "write {0: true, 1: false}, or a list of indices that start at 0",
        ),
        (
            {"active_tasks": {0: False}},
            "active_tasks: no head is on; switch at least one on",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_named(parts, message):
    with pytest.raises(ConfigError) as error:
        nodes_model(**parts)

    assert str(error.value) == message


def test_graph_features_for_a_model_without_a_net_are_refused(causal_batch):
    batch = causal_batch(4, graph_features=2)

    with pytest.raises(ConfigError, match="graph features were given, but the model has no net"):
        nodes_model()(batch.x, batch.edge_index, batch.batch, batch.graph_features)


def test_it_compiles_to_one_graph(manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)
    compiled = torch.compile(model, backend="eager", fullgraph=True)

    torch.testing.assert_close(call_model(compiled, batch), call_model(model, batch))
