import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, mse_loss
from torch_geometric.data import Batch, Data

from qgpipe.errors import TrainingError
from qgpipe.training.steps.ema import WeightAverage
from qgpipe.training.steps.precision import Precision
from qgpipe.training.steps.training_step import StepBatches, TrainingStep

CPU = torch.device("cpu")


class Mean(torch.nn.Module):
    """A linear map of the mean over the elements of each graph."""

    def __init__(self, features=2, outputs=3):
        super().__init__()
        self.linear = torch.nn.Linear(features, outputs)

    def forward(self, x, batch, num_graphs):
        sums = torch.zeros(num_graphs, x.shape[1], dtype=x.dtype).index_add(0, batch, x)
        return {0: self.linear(sums / torch.bincount(batch, minlength=num_graphs)[:, None])}


def loss_of_classes(outputs, data):
    return cross_entropy(outputs[0], data.y)


def graphs(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        Data(
            x=torch.randn(2 + i % 3, 2, generator=generator),
            y=torch.tensor(i % 3),
            sample_position=torch.tensor([i]),
        )
        for i in range(number)
    ]


def batches(graphs, size):
    return [Batch.from_data_list(graphs[i : i + size]) for i in range(0, len(graphs), size)]


def taking(step, batches):
    return step(StepBatches.of(batches))


def stepper(optimizer=torch.optim.SGD, lr=0.5, precision="fp32", criterion=loss_of_classes, **more):
    torch.manual_seed(1)
    model = Mean()
    made = optimizer(model.parameters(), lr=lr)
    return TrainingStep(model, criterion, made, Precision(precision, CPU), CPU, **more)


def weights(step):
    return torch.cat([p.detach().flatten() for p in step.model.parameters()])


def by_hand(batch, lr=0.5):
    """The weights after a step of plain gradient descent, and the gradients."""
    step = stepper()
    loss = loss_of_classes(step.model(batch.x, batch.batch, batch.num_graphs), batch)
    gradients = torch.cat([g.flatten() for g in torch.autograd.grad(loss, step.model.parameters())])
    return weights(step) - lr * gradients, gradients, loss.item()


def test_a_step_on_one_batch_is_that_of_the_optimizer():
    (batch,) = batches(graphs(6), 6)
    after, gradients, loss = by_hand(batch)
    step = stepper()
    taken = taking(step, [batch])
    assert torch.equal(weights(step), after)
    assert taken.loss.item() == loss
    assert taken.gradient_norm.item() == pytest.approx(gradients.norm().item())
    assert taken.num_graphs == 6
    assert torch.cat(taken.positions).tolist() == [0, 1, 2, 3, 4, 5]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 17), st.integers(1, 6), st.sampled_from([torch.optim.SGD, torch.optim.Adam]))
def test_small_batches_that_make_a_step_equal_the_large_one(number, size, optimizer):
    few = stepper(optimizer=optimizer)
    many = stepper(optimizer=optimizer)
    samples = graphs(number)
    one = taking(few, batches(samples, number))
    all_of_them = taking(many, batches(samples, size))  # the last one is short
    assert torch.allclose(weights(few), weights(many), rtol=0, atol=1e-6)
    assert all_of_them.loss.item() == pytest.approx(one.loss.item(), abs=1e-6)
    assert all_of_them.num_graphs == number
    assert torch.cat(all_of_them.positions).tolist() == list(range(number))


def test_long_gradients_are_scaled_down_to_the_limit():
    (batch,) = batches(graphs(6), 6)
    _, gradients, _ = by_hand(batch)
    limit = gradients.norm().item() / 4
    step = stepper(clip=limit)
    before = weights(step)
    taken = taking(step, [batch])
    assert taken.gradient_norm.item() == pytest.approx(4 * limit)
    assert (before - weights(step)).norm().item() == pytest.approx(0.5 * limit, rel=1e-4)


def test_short_ones_are_left():
    (batch,) = batches(graphs(6), 6)
    step = stepper(clip=1e3)
    taking(step, [batch])
    assert torch.equal(weights(step), by_hand(batch)[0])


def test_the_limit_is_for_all_batches_of_a_step_together():
    samples = graphs(9)
    few, many = stepper(clip=0.1), stepper(clip=0.1)
    taking(few, batches(samples, 9))
    taking(many, batches(samples, 2))
    assert torch.allclose(weights(few), weights(many), rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_is_near_single_precision(precision):
    (batch,) = batches(graphs(6), 6)
    step = stepper(precision=precision)
    taking(step, [batch])
    assert not torch.equal(weights(step), by_hand(batch)[0])
    assert torch.allclose(weights(step), by_hand(batch)[0], rtol=0, atol=2e-2)


def test_targets_keep_their_precision():
    """4097 is not a number of bf16: the loss sees it all the same."""
    seen = []

    def criterion(outputs, data):
        seen.append((outputs[0].dtype, data.y.tolist()))
        return mse_loss(outputs[0][:, 0], data.y)

    samples = graphs(2)
    for sample in samples:
        sample.y = torch.tensor(4097.0)
    taking(stepper(precision="bf16", criterion=criterion), batches(samples, 2))
    assert seen == [(torch.float32, [4097.0, 4097.0])]


def test_overflow_in_fp16_is_no_trouble():
    step = stepper(precision="fp16", criterion=lambda o, d: 1e35 * loss_of_classes(o, d))
    before = weights(step)
    taken = taking(step, batches(graphs(4), 4))
    assert taken.gradient_norm is None
    assert torch.equal(weights(step), before)


def test_gradients_that_are_not_finite_are_told():
    step = stepper(criterion=lambda o, d: (o[0] * 0).sum().sqrt())  # has slope 0 · infinity
    assert math.isnan(taking(step, batches(graphs(4), 4)).gradient_norm.item())


def test_the_average_takes_in_the_weights_after_each_step():
    step = stepper()
    step.average = WeightAverage(step.model, 0.5)
    first = weights(step)
    (batch,) = batches(graphs(6), 6)
    taking(step, [batch])
    average = torch.cat([p.flatten() for p in step.average.model.parameters()])
    assert torch.allclose(average, (first + weights(step)) / 2)


def test_a_loss_without_a_gradient_is_an_error():
    step = stepper(criterion=lambda outputs, data: outputs[0].detach().mean())
    with pytest.raises(TrainingError, match="the loss has no gradient; compute it from"):
        taking(step, batches(graphs(4), 4))
