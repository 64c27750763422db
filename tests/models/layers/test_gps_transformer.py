import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models import GNNModel, GPSTransformer, call_model

SIZES = {"in_features": 4, "out_features": 3, "channels": 32, "num_heads": 2, "num_layers": 2}


def run(model, batch):
    return model(batch.x, batch.edge_index, batch.batch)


def test_it_gives_what_its_layers_give_in_turn(causal_batch):
    batch = causal_batch(4)
    model = GPSTransformer(**SIZES).eval()

    x = model.input(batch.x)
    for conv in model.convs:
        assert isinstance(conv, pyg.GPSConv)
        x = conv(x, batch.edge_index, batch.batch)
    expected = model.mlp(pyg.global_add_pool(x, batch.batch))
    assert [layer.out_features for layer in model.mlp if isinstance(layer, nn.Linear)] == [16, 8, 3]
    torch.testing.assert_close(run(model, batch), expected)


def test_attention_stays_within_a_graph(causal_batch):
    batch = causal_batch(4)
    model = GPSTransformer(**SIZES).eval()

    alone = torch.cat([call_model(model, batch[i]) for i in range(3)])
    torch.testing.assert_close(call_model(model, batch), alone, atol=1e-5, rtol=1e-5)


def test_normalisation_and_activation_may_be_types(causal_batch):
    batch = causal_batch(4)
    model = GPSTransformer(
        **SIZES,
        norm="!pyobject torch_geometric.nn.GraphNorm",
        norm_kwargs={"eps": 1e-3},
        act=nn.LeakyReLU,
        act_kwargs={"negative_slope": 0.5},
    )

    norms = [getattr(conv, f"norm{i}") for conv in model.convs for i in (1, 2, 3)]
    assert len({id(norm) for norm in norms}) == 6
    assert all(isinstance(norm, pyg.GraphNorm) and norm.eps == 1e-3 for norm in norms)
    assert all(conv.norm_with_batch for conv in model.convs)
    assert model.convs[0].mlp[1].negative_slope == 0.5
    assert run(model, batch).shape == (3, 3)


def test_its_pooling_can_be_chosen(causal_batch):
    batch = causal_batch(4)
    torch.manual_seed(0)
    summed = GPSTransformer(**SIZES).eval()
    torch.manual_seed(0)
    averaged = GPSTransformer(**SIZES, pooling_layer=["torch_geometric.nn.global_mean_pool"]).eval()

    assert not torch.allclose(run(summed, batch), run(averaged, batch))
    assert averaged.pooling.function is pyg.global_mean_pool


def test_it_can_be_the_encoder_of_a_model(causal_batch):
    batch = causal_batch(4)
    model = GNNModel(
        "!pyobject QuantumGrav.models.GPSTransformer", ["torch.nn.Identity"], encoder_kwargs=SIZES
    ).eval()

    torch.testing.assert_close(call_model(model, batch)[0], run(model.encoder, batch))


def test_the_performer_redraws_after_each_interval_of_training_steps(causal_batch):
    batch = causal_batch(4)
    model = GPSTransformer(**SIZES, attn_type="performer", redraw_interval=2)
    matrix = model.convs[0].attn.fast_attn.projection_matrix
    first = matrix.clone()

    run(model.eval(), batch)
    run(model, batch)
    assert torch.equal(matrix, first)
    run(model.train(), batch)
    assert torch.equal(matrix, first)
    run(model, batch)
    assert not torch.equal(matrix, first)


def test_the_count_of_steps_is_part_of_the_state(causal_batch):
    batch = causal_batch(4)
    model = GPSTransformer(**SIZES, attn_type="performer", redraw_interval=2)
    run(model, batch)
    resumed = GPSTransformer.from_config(model.to_config())
    resumed.load_state_dict(model.state_dict())
    before = resumed.convs[0].attn.fast_attn.projection_matrix.clone()

    run(resumed, batch)
    assert not torch.equal(resumed.convs[0].attn.fast_attn.projection_matrix, before)


def test_its_config_rebuilds_it(causal_batch):
    batch = causal_batch(4)
    model = GPSTransformer.from_config({**SIZES, "norm": pyg.LayerNorm, "dropout": "1e-1"}).eval()
    rebuilt = GPSTransformer.from_config(model.to_config()).eval()
    rebuilt.load_state_dict(model.state_dict())

    assert model.to_config()["dropout"] == 0.1
    torch.testing.assert_close(run(rebuilt, batch), run(model, batch))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 3}, "num_heads: 3 heads do not divide 32 channels; choose a divisor"),
        ({"attn_type": "full"}, "attn_type: expected one of multihead, performer, got 'full'"),
        ({"norm": "torch_geometric.nn.NoNorm"}, "norm: 'torch_geometric.nn' has no 'NoNorm'"),
        ({"norm": "no_norm"}, "cannot construct GPSConv"),
        ({"pooling_layer": ["torch.no_pool"]}, "pooling_layer: 'torch' has no 'no_pool'"),
        ({"heads": 3}, "heads: unknown key; did you mean 'num_heads'?"),
    ],
)
def test_a_wrong_config_is_named(change, message):
    with pytest.raises(ConfigError) as error:
        GPSTransformer.from_config({**SIZES, **change})

    assert str(error.value).startswith(message)
