import pytest
import torch
from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models import SkipConnection


def test_equal_sizes_are_added_without_a_projection():
    skip = SkipConnection(3, 3)
    old, new = torch.ones(2, 3), torch.full((2, 3), 2.0)

    assert list(skip.parameters()) == []
    assert skip(old, new).tolist() == [[3.0] * 3] * 2


def test_other_sizes_are_projected_without_a_bias():
    skip = SkipConnection(2, 3)
    with torch.no_grad():
        skip.proj.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))

    assert skip(torch.tensor([[5.0, 7.0]]), torch.zeros(1, 3)).tolist() == [[5.0, 7.0, 12.0]]
    assert [name for name, _ in skip.named_parameters()] == ["proj.weight"]


def test_a_bias_initializer_brings_a_bias():
    skip = SkipConnection(2, 3, weight_initializer="glorot", bias_initializer="zeros")

    assert skip.proj.bias.tolist() == [0.0] * 3
    assert skip.proj.weight.abs().max() <= (6 / (2 + 3)) ** 0.5


def test_an_unknown_initializer_is_a_config_error():
    with pytest.raises(ConfigError, match="Weight initializer 'xavier' not supported"):
        SkipConnection.from_config(
            {"in_channels": 2, "out_channels": 3, "weight_initializer": "xavier"}
        )


def test_its_config_rebuilds_it():
    config = {"in_channels": 2, "out_channels": 3, "weight_initializer": "glorot"}
    rebuilt = SkipConnection.from_config(SkipConnection.from_config(config).to_config())

    assert rebuilt.to_config() == {**config, "bias_initializer": None}
    assert isinstance(rebuilt.proj, nn.Module)
    assert rebuilt.proj.weight.shape == (3, 2)


def test_a_missing_size_is_named():
    with pytest.raises(ConfigError, match=r"^out_channels: missing; give it: Features of x_new\."):
        SkipConnection.from_config({"in_channels": 2})
