import functools

import pytest
import torch
import torch.distributed as dist
import torch_geometric.nn as pyg
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from qgpipe.errors import ConfigError
from qgpipe.models import GNNModel, build_model, call_model, load_model

MLP = {"type": "!pyobject torch.nn.Sequential", "args": [{"type": "!pyobject torch.nn.Tanh"}]}


class OfData(nn.Module):
    def forward(self, data):
        return pyg.global_add_pool(data.x, data.batch)


class OfAnything(nn.Module):
    def forward(self, graphs, scale=2.0):
        return scale * graphs.x


class OfBatch(nn.Module):
    def forward(self, batch):
        return batch.num_graphs


class ByName(nn.Module):
    def forward(self, edge_weight, x, num_graphs, batch, pos=None, num_nodes=None):
        return edge_weight, x, num_graphs, batch, pos, num_nodes


class WithoutNames(nn.Module):
    def forward(self, *inputs):
        return inputs


class Built(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        self.args, self.kwargs = args, kwargs


class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no\nluck")


def named(cls):
    return f"!pyobject {cls.__module__}.{cls.__name__}"


def test_a_section_without_type_is_a_gnn_model(manual_section):
    assert isinstance(build_model(manual_section), GNNModel)


def test_a_users_class_is_imported_and_constructed():
    model = build_model({"type": named(Built), "args": [3], "kwargs": {"act": "relu"}}, trust=True)

    assert isinstance(model, Built)
    assert (model.args, model.kwargs) == ((3,), {"act": "relu"})


def test_objects_inside_the_arguments_are_imported_wherever_they_are_tagged():
    model = build_model(
        {
            "type": Built,
            "args": [["!pyobject torch.relu", "torch.relu"]],
            "kwargs": {"dtype": "!pyobject torch.float64", "deep": {"a": [named(Built)]}},
        },
        trust=True,
    )

    assert model.args == ([torch.relu, "torch.relu"],)
    assert model.kwargs == {"dtype": torch.float64, "deep": {"a": [Built]}}


def test_a_module_spec_inside_the_arguments_is_built(causal_batch):
    batch = causal_batch(4)
    model = build_model(
        {
            "encoder_type": "!pyobject torch_geometric.nn.GINConv",
            "encoder_kwargs": {"nn": MLP, "eps": 0.5},
            "downstream_tasks": [["!pyobject torch.nn.Identity"]],
        }
    )

    expected = pyg.GINConv(nn.Tanh(), eps=0.5)(batch.x, batch.edge_index)
    torch.testing.assert_close(call_model(model, batch)[0], expected)


def test_one_of_our_classes_can_be_the_users_class():
    kwargs = {"encoder_type": "torch.nn.Identity", "downstream_tasks": [["torch.nn.Identity"]]}

    assert isinstance(build_model({"type": "QuantumGrav.GNNModel", "kwargs": kwargs}), GNNModel)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ["encoder_kwargs", "layers", 2, 1],
            [64],
            "model.encoder_kwargs.layers[2]: cannot construct SAGEConv(64, aggr='mean'): "
            "SAGEConv.__init__() missing 1 required positional argument: 'out_channels'; "
            "check its arguments",
        ),
        (
            ["encoder_kwargs", "layers", 1, 0],
            "!pyobject torch.nn.ReLUU",
            "model.encoder_kwargs.layers[1]: 'torch.nn' has no 'ReLUU'; did you mean 'ReLU'?",
        ),
        (
            ["encoder_kwargs", "layer"],
            [],
            "model.encoder_kwargs.layer: unknown key; did you mean 'layers'?",
        ),
        (
            ["encoder_kwargs", "with_skip"],
            "yes",
            "model.encoder_kwargs.with_skip: expected true or false, got 'yes'; "
            "Add the input to the output.",
        ),
        (
            ["encoder_type"],
            "!pyobject my_nowhere.Encoder",
            "model.encoder_type: no module named 'my_nowhere'; put it beside the config file, "
            "name its folder in 'python_path', or install it",
        ),
        (
            ["pooling_layers", 0],
            ["!pyobject torch_geometric.nn.global_mean_pol"],
            "model.pooling_layers[0]: 'torch_geometric.nn' has no 'global_mean_pol'; "
            "did you mean 'global_mean_pool'?",
        ),
        (
            ["downstream_tasks", 0, 2, "dims", 1, 0],
            127,
            "model.downstream_tasks[0].kwargs.dims[1]: takes 127 features, but layer 0 gives 128; "
            "write [128, 3]",
        ),
        (
            ["graph_features_net_kwargs", "activations"],
            [],
            "model.graph_features_net_kwargs.activations: 0 given for 1 layers; "
            "give one for each entry of dims, torch.nn.Identity for none",
        ),
        (
            ["aggregate_graph_features_type"],
            "!pyobject builtins.dict",
            "model.aggregate_graph_features_type: <class 'dict'> is not a torch.nn.Module type or "
            "a function; name a layer such as torch_geometric.nn.SAGEConv",
        ),
        (
            ["encoder_args"],
            [[], "x", False],
            "model.encoder_type: 'forward_signature' is given twice, Sequential takes layers, "
            "forward_signature, with_skip, skip_args, skip_kwargs; give them by name in kwargs",
        ),
        (
            ["downstream_tasks", 0],
            ["!pyobject qgpipe.SkipConnection", [1, 2, "glorot", "zeros", 5]],
            "model.downstream_tasks[0]: 5 args are too many, SkipConnection takes in_channels, "
            "out_channels, weight_initializer, bias_initializer; give them by name in kwargs",
        ),
        (["encode_type"], "x", "model.encode_type: unknown key; did you mean 'encoder_type'?"),
    ],
)
def test_a_failing_part_is_named_by_its_key(manual_section, path, value, message):
    part = manual_section
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value

    with pytest.raises(ConfigError) as error:
        build_model(manual_section, trust=True)
    assert str(error.value) == message


def test_a_fault_in_a_nested_spec_is_named_by_its_key():
    section = {"type": Built, "kwargs": {"net": [{"type": nn.Linear, "kwargs": {"in": 3}}]}}

    with pytest.raises(ConfigError, match=r"^model\.kwargs\.net\[0\]: cannot construct Linear"):
        build_model(section)


def test_an_error_in_a_users_constructor_is_told_in_one_line():
    with pytest.raises(ConfigError) as error:
        build_model({"type": Broken})

    assert str(error.value) == "model: cannot construct Broken(): no luck; check its arguments"
    assert isinstance(error.value.__cause__, RuntimeError)


@pytest.mark.parametrize("kind", ["!pyobject torch.relu", dict])
def test_a_model_has_to_be_a_module_type(kind):
    with pytest.raises(ConfigError, match=r"^model: .*torch\.nn\.Module type"):
        build_model({"type": kind})


def test_graph_features_reach_the_model_by_themselves(manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)

    expected = model(batch.x, batch.edge_index, batch.batch, batch.graph_features)
    torch.testing.assert_close(call_model(model, batch), expected)


def test_graph_features_that_no_net_takes_are_left_out(causal_batch):
    model = GNNModel(nn.Identity, [[nn.Identity]], pooling_layers=[pyg.global_add_pool])

    assert call_model(model, causal_batch(4, graph_features=2))[0].shape == (3, 4)


def test_a_single_graph_without_batch_vector_is_one_graph(causal_batch):
    data = causal_batch(4)[2]
    model = GNNModel(nn.Identity, [[nn.Identity]], pooling_layers=[pyg.global_add_pool])

    torch.testing.assert_close(call_model(model, data)[0], data.x.sum(0, keepdim=True))


def test_apply_model_comes_first(causal_batch):
    batch = causal_batch(4)

    assert call_model(OfData(), batch, lambda model, data: (model, data))[1] is batch


def test_a_model_of_data_gets_the_batch(causal_batch):
    batch = causal_batch(4)

    torch.testing.assert_close(
        call_model(OfData(), batch), pyg.global_add_pool(batch.x, batch.batch)
    )


def test_a_single_required_parameter_of_any_name_gets_the_batch(causal_batch):
    batch = causal_batch(4)

    torch.testing.assert_close(call_model(OfAnything(), batch), 2 * batch.x)
    assert call_model(OfBatch(), batch) == 3


def test_parameters_are_filled_by_their_names(causal_batch):
    batch = causal_batch(4)
    edge_weight, x, num_graphs, vector, pos, num_nodes = call_model(ByName(), batch)

    assert edge_weight is batch.edge_weight
    assert x is batch.x
    assert vector is batch.batch
    assert (num_graphs, pos, num_nodes) == (3, None, 15)


def test_a_missing_input_is_named_with_what_the_data_has(causal_batch):
    batch = causal_batch(4)
    del batch.edge_weight

    with pytest.raises(ConfigError) as error:
        call_model(ByName(), batch)
    assert str(error.value) == (
        "model: forward of ByName needs 'edge_weight', the data has x, edge_index, y, batch, ptr; "
        "put 'edge_weight' on the reader's Data, or set apply_model"
    )


def test_missing_graph_features_are_named(manual_section, causal_batch):
    with pytest.raises(ConfigError) as error:
        call_model(build_model(manual_section), causal_batch(12))

    assert str(error.value) == (
        "model.graph_features_net_type: the model has a net for graph features, but the data has "
        "no graph_features; let the reader put graph_features [1, G] on each Data, or remove the "
        "net"
    )


def test_a_forward_without_names_asks_for_apply_model(causal_batch):
    with pytest.raises(ConfigError) as error:
        call_model(WithoutNames(), causal_batch(4))

    assert str(error.value) == (
        "model: the parameters of WithoutNames.forward have no names; set apply_model"
    )


def test_a_model_inside_distributed_training_is_called_alike(
    tmp_path, manual_section, causal_batch
):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        outputs = call_model(DistributedDataParallel(model), batch)
    finally:
        dist.destroy_process_group()

    torch.testing.assert_close(outputs, call_model(model, batch))


def test_a_partial_of_a_layer_is_that_layer_with_its_arguments(tmp_path):
    section = {
        "encoder_type": functools.partial(nn.Linear, bias=False),
        "encoder_args": [3, 4],
        "pooling_layers": [functools.partial(nn.Linear, 4, 5)],
        "downstream_tasks": [[functools.partial(torch.mul, other=2.0)]],
    }
    model = build_model(section)
    assert model.encoder.bias is None
    assert model.pooling_layers[0].out_features == 5
    x = torch.randn(6, 3)
    outputs = model(x, torch.empty(2, 0, dtype=torch.long))
    torch.testing.assert_close(outputs[0], 2 * model.pooling_layers[0](model.encoder(x)))
    model.save(tmp_path / "model.pt")
    loaded = load_model(tmp_path / "model.pt")
    torch.testing.assert_close(loaded(x, torch.empty(2, 0, dtype=torch.long)), outputs)
