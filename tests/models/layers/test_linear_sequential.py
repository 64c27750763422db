import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models import LinearSequential

RELU, IDENTITY = "!pyobject torch.nn.ReLU", "!pyobject torch.nn.Identity"


def test_it_gives_what_the_layers_give_in_turn():
    torch.manual_seed(0)
    model = LinearSequential([[4, 8], [8, 3]], [RELU, IDENTITY])
    first, _, second, _ = model.layers
    x = torch.randn(5, 4)

    expected = torch.relu(x @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(model(x), expected, atol=1e-6, rtol=0)


def test_linear_kwargs_belong_to_one_layer_each():
    model = LinearSequential(
        [[4, 8], [8, 3]],
        [RELU, RELU],
        linear_kwargs=[{"bias": False}, {"weight_initializer": "glorot"}],
    )

    assert isinstance(model.layers[0], pyg.Linear)
    assert model.layers[0].bias is None
    assert model.layers[2].bias is not None
    assert model.layers[2].weight_initializer == "glorot"


def test_activation_kwargs_belong_to_one_activation_each():
    model = LinearSequential(
        [[4, 8], [8, 3]],
        ["torch.nn.LeakyReLU", nn.LeakyReLU],
        activation_kwargs=[{"negative_slope": 0.5}, None],
    )

    assert model.layers[1].negative_slope == 0.5
    assert model.layers[3].negative_slope == 0.01


def test_an_activation_may_be_a_spec_or_a_function():
    leaky, clamp = ["torch.nn.LeakyReLU", [0.5]], ["torch.clamp", [], {"max": 2.0}]
    model = LinearSequential([[1, 1], [1, 1]], [leaky, clamp], linear_kwargs=[{"bias": False}] * 2)
    for layer in (model.layers[0], model.layers[2]):
        nn.init.ones_(layer.weight)

    assert model(torch.tensor([[-4.0], [9.0]])).tolist() == [[-2.0], [2.0]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"dims": [[4, 8], [8, 3]], "activations": [RELU]},
            "activations: 1 given for 2 layers; give one for each entry of dims, "
            "torch.nn.Identity for none",
        ),
        (
            {"dims": [[4, 8]], "activations": [RELU], "linear_kwargs": [{}, {}]},
            "linear_kwargs: 2 given for 1 layers; give one for each entry of dims",
        ),
        (
            {"dims": [[4, 8], [9, 3]], "activations": [RELU, RELU]},
            "dims[1]: takes 9 features, but layer 0 gives 8; write [8, 3]",
        ),
        (
            {"dims": [[4, 8]], "activations": ["torch.nn.ReLUU"]},
            "activations[0]: 'torch.nn' has no 'ReLUU'; did you mean 'ReLU'?",
        ),
        (
            {"dims": [[4, 8]], "activation": [RELU]},
            "activation: unknown key; did you mean 'activations'?",
        ),
    ],
)
def test_a_config_that_does_not_fit_is_named(config, message):
    with pytest.raises(ConfigError) as error:
        LinearSequential.from_config(config)

    assert str(error.value) == message


def test_its_config_rebuilds_it_with_objects_by_name_or_as_they_are():
    config = {"dims": [[4, 8], [8, 3]], "activations": [nn.ReLU, IDENTITY]}
    model = LinearSequential.from_config(config)
    rebuilt = LinearSequential.from_config(model.to_config())
    rebuilt.load_state_dict(model.state_dict())
    x = torch.randn(3, 4)

    torch.testing.assert_close(rebuilt(x), model(x))
    assert model.to_config()["activations"] == [nn.ReLU, IDENTITY]
