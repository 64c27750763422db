import pytest
import torch

from qgpipe.errors import ConfigError
from qgpipe.models import build_model, call_model, example_batch
from qgpipe.models.sizes import fill_sizes, has_open_sizes

SAGE, LINEAR = "!pyobject torch_geometric.nn.SAGEConv", "!pyobject torch.nn.Linear"
MEAN = "!pyobject torch_geometric.nn.global_mean_pool"
HEAD = {
    "type": "!pyobject qgpipe.models.LinearSequential",
    "kwargs": {
        "dims": [[None, 16], [None, None]],
        "activations": ["!pyobject torch.nn.ReLU", "!pyobject torch.nn.Identity"],
    },
}


def section(*layers, **changes):
    return {
        "encoder_type": "!pyobject qgpipe.models.Sequential",
        "encoder_kwargs": {"layers": list(layers)},
        "pooling_layers": [[MEAN], ["!pyobject torch_geometric.nn.global_max_pool"]],
        "downstream_tasks": [HEAD],
        **changes,
    }


def filled(given, outputs=3, graph_features=None):
    return fill_sizes(given, example_batch(5, graph_features), lambda head: outputs + head)


def test_inputs_are_those_that_arrive_and_outputs_those_of_the_target():
    given = section(
        [SAGE, [None, 8], {}, "x, edge_index"],
        ["!pyobject qgpipe.models.GNNBlock", [None, 7], {"norm_args": [None],
         "normalizer_type": "!pyobject torch.nn.BatchNorm1d"}],
        {"type": LINEAR, "kwargs": {"in_features": None, "out_features": 6}},
        graph_features_net_type=LINEAR,
        graph_features_net_args=[None, 4],
    )  # fmt: skip
    found = filled(given, graph_features=2)
    first, block, linear = found["encoder_kwargs"]["layers"]
    assert first[1] == [5, 8]
    assert block[1] == [8, 7]
    assert block[2]["norm_args"] == [7]
    assert linear["kwargs"] == {"in_features": 7, "out_features": 6}
    assert found["graph_features_net_args"] == [2, 4]
    assert found["downstream_tasks"][0]["kwargs"]["dims"] == [[16, 16], [16, 3]]
    assert call_model(build_model(found), example_batch(5, 2))[0].shape == (2, 3)
    assert given["downstream_tasks"][0]["kwargs"]["dims"] == [[None, 16], [None, None]]


def test_numbers_are_as_if_they_had_been_written():
    open_layer = ["!pyobject qgpipe.models.GNNBlock", [None, 5]]
    written = ["!pyobject qgpipe.models.GNNBlock", [5, 5]]
    models = []
    for layer in (filled(section(open_layer))["encoder_kwargs"]["layers"][0], written):
        torch.manual_seed(1)
        models.append(build_model(filled(section(layer))).state_dict())
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_every_head_has_its_own_outputs_also_one_that_is_off():
    found = filled(section([SAGE, [None, 8]], downstream_tasks=[[LINEAR, [None, None]]] * 2,
                           active_tasks=[1]))  # fmt: skip
    assert [head[1] for head in found["downstream_tasks"]] == [[16, 3], [16, 4]]
    assert found["active_tasks"] == [1]


class Sized(torch.nn.Module):
    def __init__(self, in_features, num_classes):
        super().__init__()
        self.linear = torch.nn.Linear(in_features, num_classes)

    def forward(self, x, batch):
        return self.linear(x)


class Numbers(torch.nn.Module):
    def __init__(self, in_features):
        super().__init__()

    def forward(self, batch):
        return batch[:, None].float()


def test_a_model_of_ones_own_has_sizes_of_the_usual_names():
    found = filled(
        {"type": Sized, "args": [], "kwargs": {"in_features": None, "num_classes": None}}
    )
    assert found["kwargs"] == {"in_features": 5, "num_classes": 3}


def test_a_default_of_null_is_no_size():
    encoder = {"in_channels": 5, "hidden_channels": 8, "num_layers": 1, "out_channels": None}
    given = {**section(), "encoder_type": "!pyobject torch_geometric.nn.GraphSAGE",
             "encoder_kwargs": encoder, "downstream_tasks": [[LINEAR, [16, 2]]]}  # fmt: skip
    assert filled(given) == given
    assert not has_open_sizes(given)


def test_a_null_for_no_arguments_is_no_size():
    layer = {"type": SAGE, "args": [5, 8], "kwargs": None, "signature": None}
    head = [LINEAR, [16, 2], None]
    assert not has_open_sizes(section(layer, downstream_tasks=[head]))
    assert has_open_sizes(section(layer, downstream_tasks=[[LINEAR, [16, None], None]]))
    unknown = ["!pyobject torch.nn.NoSuchLayer", None]
    assert not has_open_sizes(section(unknown))  # the build says what is wrong


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ([SAGE, [None, None]], r"layers\[0\]\.args\[1\]: only a head leaves its number of outputs"),
        ([Numbers, [None], {}, "batch"], r"layers\[0\]\[1\]\[0\]: no features reach this layer"),
    ],
)  # fmt: skip
def test_a_size_that_the_data_does_not_tell_is_named(layer, said):
    with pytest.raises(ConfigError, match=said):
        filled(section(layer))


def test_without_data_the_size_is_asked_for():
    with pytest.raises(ConfigError, match=r"layers\[0\]\.args\[0\]: the size is left to the data"):
        build_model(section([SAGE, [None, 8]]))
