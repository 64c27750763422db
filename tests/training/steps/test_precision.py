from collections import OrderedDict
from typing import NamedTuple

import pytest
import torch

from qgpipe.errors import TrainingError
from qgpipe.training.steps.precision import Precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_a_model_computes_in_the_type_that_is_asked_for_and_its_weights_stay(name, dtype):
    model = torch.nn.Linear(3, 2)
    with Precision(name, CPU).autocast():
        outputs = model(torch.randn(4, 3))
    assert outputs.dtype == dtype
    assert model.weight.dtype == torch.float32


class Outputs(NamedTuple):
    logits: torch.Tensor
    more: object


def test_outputs_come_back_in_single_precision_for_the_loss():
    half, labels = torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.int64)
    double = torch.ones(2, dtype=torch.float64)
    given = OrderedDict({0: half, 1: [half.half(), labels], "pos": Outputs(half, (double, "text"))})
    outputs = Precision("bf16", CPU).in_full(given)
    assert outputs[0].dtype == outputs[1][0].dtype == outputs["pos"].logits.dtype == torch.float32
    assert outputs[1][1] is labels
    assert outputs["pos"].more == (double, "text")
    assert type(outputs) is OrderedDict
    assert given[0] is half


def test_outputs_in_single_precision_are_left_alone():
    outputs = object()
    assert Precision("fp32", CPU).in_full(outputs) is outputs


def parameter(value):
    weight = torch.nn.Parameter(torch.tensor([value]))
    return weight, torch.optim.SGD([weight], lr=1.0)


def step(precision, weight, optimizer, gradient):
    """A step on the loss ``gradient · weight``; returns the gradient that the optimizer saw."""
    optimizer.zero_grad()
    precision.scaled(weight.sum() * gradient).backward()
    precision.unscale(optimizer)
    seen = weight.grad.item()
    precision.step(optimizer)
    return seen


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_the_optimizer_sees_gradients_without_the_scale(name):
    weight, optimizer = parameter(1.0)
    assert step(Precision(name, CPU), weight, optimizer, 0.25) == 0.25
    assert weight.item() == 0.75


def test_only_fp16_has_a_loss_scale():
    loss = torch.ones(())
    scales = {name: Precision(name, CPU).scaled(loss).item() for name in ("fp32", "bf16", "fp16")}
    assert scales == {"fp32": 1.0, "bf16": 1.0, "fp16": 2.0**16}


def test_a_step_that_overflows_is_left_out_and_halves_the_scale():
    precision = Precision("fp16", CPU)
    weight, optimizer = parameter(1.0)
    step(precision, weight, optimizer, float("inf"))
    assert weight.item() == 1.0
    assert precision.scaled(torch.ones(())).item() == 2.0**15


def test_overflow_again_and_again_is_an_error():
    precision = Precision("fp16", CPU)
    weight, optimizer = parameter(1.0)
    with pytest.raises(TrainingError, match=r"overflow fp16 again and again; set training\.preci"):
        for _ in range(20):
            step(precision, weight, optimizer, float("nan"))
    assert weight.item() == 1.0


def test_the_scale_goes_on_from_its_state():
    first, second = Precision("fp16", CPU), Precision("fp16", CPU)
    step(first, *parameter(1.0), float("inf"))
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    assert second.scaled(torch.ones(())).item() == 2.0**15
