import copy
import logging
import pickle
import random

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models import GNNModel, Sequential, call_model

SAGE = "!pyobject torch_geometric.nn.SAGEConv"
RELU = "!pyobject torch.nn.ReLU"


def triple(x):
    return 3 * x


def split_in_two(x):
    return x[:, :1], x[:, 1:]


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 12), density=st.floats(0, 1), seed=st.integers(0, 2**16))
def test_it_gives_what_pygs_own_sequential_gives_with_the_same_layers(n, density, seed):
    torch.manual_seed(seed)
    past, future = torch.triu_indices(n, n, offset=1)
    kept = torch.rand(len(past)) < density
    x, edge_index = torch.randn(n, 3), torch.stack([past[kept], future[kept]])
    model = Sequential(
        [[SAGE, [3, 8], {}, "x, edge_index"], [RELU], [SAGE, [8, 2], {}, "x, edge_index"]]
    )
    theirs = pyg.Sequential(
        "x, edge_index",
        [
            (model.layers[0], "x, edge_index -> x"),
            (model.layers[1], "x -> x"),
            (model.layers[2], "x, edge_index -> x"),
        ],
    )

    torch.testing.assert_close(model(x, edge_index), theirs(x, edge_index), atol=1e-6, rtol=0)


def test_named_outputs_reach_later_layers_as_in_a_jumping_knowledge_network(causal_batch):
    batch = causal_batch(4)
    model = Sequential(
        [
            [SAGE, [4, 6], {}, "x, edge_index -> h1"],
            [SAGE, [6, 6], {}, "h1, edge_index -> h2"],
            ["!pyobject torch_geometric.nn.global_add_pool", None, None, "h1, batch -> g1"],
            ["!pyobject torch_geometric.nn.global_add_pool", None, None, "h2, batch -> g2"],
            ["!pyobject torch.add", None, None, "g1, g2 -> x"],
        ]
    )

    h1 = model.layers[0](batch.x, batch.edge_index)
    h2 = model.layers[1](h1, batch.edge_index)
    expected = pyg.global_add_pool(h1 + h2, batch.batch)
    result = model(batch.x, batch.edge_index, batch.batch)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_a_signature_without_an_arrow_gives_x(causal_batch):
    batch = causal_batch(4)
    short = Sequential([[SAGE, [4, 4], {}, "x, edge_index"], [RELU, [], {}, "x"]])
    long = Sequential(
        [[short.layers[0], None, None, "x, edge_index -> x"], [RELU, [], {}, "x -> x"]]
    )

    torch.testing.assert_close(
        short(batch.x, batch.edge_index), long(batch.x, batch.edge_index), atol=0, rtol=0
    )


def test_a_layer_without_signature_takes_edges_and_batch_if_its_forward_names_them():
    model = Sequential([[SAGE, [4, 4]], ["!pyobject torch_geometric.nn.GraphNorm", [4]], [RELU]])

    assert [s.inputs for s in model.signatures] == [("x", "edge_index"), ("x", "batch"), ("x",)]
    assert [s.outputs for s in model.signatures] == [("x",)] * 3


def test_a_layer_without_signature_follows_the_name_of_the_result_before_it():
    model = Sequential([[SAGE, [4, 4], {}, "x, edge_index -> h"], [RELU]])

    assert model.signatures[1].inputs == model.signatures[1].outputs == ("h",)


def test_graph_norm_gets_the_batch(causal_batch):
    batch = causal_batch(4)
    model = Sequential([["!pyobject torch_geometric.nn.GraphNorm", [4], {}, "x, batch"]])

    torch.testing.assert_close(
        model(batch.x, batch.edge_index, batch.batch),
        pyg.GraphNorm(4)(batch.x, batch.batch),
        atol=1e-6,
        rtol=0,
    )


def test_without_a_batch_the_nodes_are_one_graph(causal_batch):
    batch = causal_batch(4, sizes=[7])
    model = Sequential([["!pyobject torch_geometric.nn.global_mean_pool", [], {}, "x, batch"]])

    torch.testing.assert_close(model(batch.x, batch.edge_index)[0], batch.x.mean(0))


def test_a_norm_that_is_not_given_the_batch_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        Sequential([["!pyobject torch_geometric.nn.GraphNorm", [4], {}, "x"]])

    assert "layers[0]: GraphNorm gets no batch" in caplog.text


def test_a_norm_over_single_nodes_needs_no_batch(caplog):
    norm = ["!pyobject torch_geometric.nn.LayerNorm", [4], {"mode": "node"}, "x"]
    with caplog.at_level(logging.WARNING):
        Sequential([norm])

    assert not caplog.text


def test_two_models_built_from_the_same_random_state_keep_their_own_layers():
    one = [["!pyobject torch.nn.Identity"], [triple]]
    random.seed(0)
    first = Sequential(one, forward_signature="x")
    random.seed(0)
    second = Sequential([*one, [triple]], forward_signature="x")

    assert first(torch.ones(1)) == 3
    assert second(torch.ones(1)) == 9


def test_a_skip_connection_adds_the_first_input(causal_batch):
    batch = causal_batch(4)
    model = Sequential([[SAGE, [4, 4], {}, "x, edge_index -> h"]], with_skip=True, skip_args=[4, 4])

    expected = model.layers[0](batch.x, batch.edge_index) + batch.x
    torch.testing.assert_close(model(batch.x, batch.edge_index), expected)


def test_a_skip_connection_projects_where_sizes_differ(causal_batch):
    batch = causal_batch(4)
    model = Sequential(
        [[SAGE, [4, 6], {}, "x, edge_index"]],
        with_skip=True,
        skip_kwargs={"in_channels": 4, "out_channels": 6},
    )

    expected = model.layers[0](batch.x, batch.edge_index) + batch.x @ model.skip.proj.weight.T
    torch.testing.assert_close(model(batch.x, batch.edge_index), expected)


def test_a_last_layer_with_several_outputs_gives_them_all():
    model = Sequential([[split_in_two, None, None, "x -> a, b"]], forward_signature="x")

    a, b = model(torch.tensor([[1.0, 2.0, 3.0]]))

    assert a.tolist() == [[1.0]]
    assert b.tolist() == [[2.0, 3.0]]


def test_inputs_may_be_given_by_name(causal_batch):
    batch = causal_batch(4)
    model = Sequential([[SAGE, [4, 4], {}, "x, edge_index"]])

    by_name = model(edge_index=batch.edge_index, x=batch.x)

    torch.testing.assert_close(by_name, model(batch.x, batch.edge_index))


@pytest.mark.parametrize(("args", "kwargs"), [((1, 2, 3, 4), {}), ((1,), {}), ((1, 2), {"pos": 3})])
def test_a_call_with_other_inputs_than_the_signature_is_refused(args, kwargs):
    model = Sequential([[RELU]])

    with pytest.raises(TypeError, match="forward takes \\(x, edge_index, batch\\)"):
        model(*args, **kwargs)


def test_a_copy_and_a_pickle_compute_the_same(causal_batch):
    batch = causal_batch(4)
    model = Sequential([[SAGE, [4, 4], {}, "x, edge_index"], [RELU]])
    expected = model(batch.x, batch.edge_index)

    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(other(batch.x, batch.edge_index), expected)


def test_names_in_the_state_dict_are_those_of_the_layers():
    model = Sequential([[RELU], [SAGE, [4, 4], {}, "x, edge_index"]])

    assert list(model.state_dict()) == [
        "layers.1.lin_l.weight",
        "layers.1.lin_l.bias",
        "layers.1.lin_r.weight",
    ]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [[SAGE, [4, 4], {}, "x, edge_index"], [RELU, [], {}, "h"]],
            "layers[1]: its signature takes 'h', which nothing before it gives; "
            "there are: batch, edge_index, x",
        ),
        (
            [[RELU, [], {}, "x,, y"]],
            "layers[0]: 'x,, y' is not a list of names; write for instance 'x, edge_index'",
        ),
        (
            [["!pyobject torch_geometric.nn.SAGECon", [4, 4]]],
            "layers[0]: 'torch_geometric.nn' has no 'SAGECon'; did you mean 'SAGEConv'?",
        ),
        (
            [["!pyobject torch.Generator"]],
            "layers[0]: <class 'torch._C.Generator'> is not a torch.nn.Module type or a function; "
            "name a layer such as torch_geometric.nn.SAGEConv",
        ),
        (
            [[RELU], [nn.ReLU(), [True]]],
            "layers[1]: a constructed ReLU takes no arguments; give its type",
        ),
    ],
)
def test_a_wrong_layer_is_named_with_the_reason(layers, message):
    with pytest.raises(ConfigError) as error:
        Sequential(layers)

    assert str(error.value) == message


def test_a_layer_that_cannot_be_constructed_is_named_with_its_arguments():
    with pytest.raises(
        ConfigError, match=r"^layers\[0\]: cannot construct SAGEConv\(4, 4, agr='x'\)"
    ):
        Sequential([[SAGE, [4, 4], {"agr": "x"}]])


def test_a_skip_over_several_outputs_is_refused():
    with pytest.raises(ConfigError, match="with_skip: the last layer gives several values"):
        Sequential([[split_in_two, None, None, "x -> a, b"]], with_skip=True, skip_args=[3, 3])


def test_a_skip_without_sizes_says_which_are_missing():
    with pytest.raises(ConfigError, match=r"^skip_kwargs\.in_channels: missing; give it"):
        Sequential([[RELU]], with_skip=True)


def last_input(x, edge_index, batch, num_graphs):
    return x.new_zeros(num_graphs, 2) + batch.max()


def test_a_model_gives_inputs_in_the_order_of_the_signature(causal_batch):
    model = GNNModel(
        encoder_type=Sequential,
        encoder_kwargs={
            "layers": [[last_input, [], {}, "x, edge_index, batch, num_graphs"]],
            "forward_signature": "x, edge_index, batch, num_graphs",
        },
        downstream_tasks=[nn.Identity],
    )
    batch = causal_batch()
    output = call_model(model, batch)[0]
    assert output.tolist() == [[batch.num_graphs - 1] * 2] * batch.num_graphs
