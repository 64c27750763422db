import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.training.steps.loss_buffer import SETTLE_EVERY, Bad, LossLog


def log_of(values, sizes):
    log = LossLog()
    for value, size in zip(values, sizes, strict=True):
        log.add(torch.tensor(value), size)
    return log


def test_the_mean_is_weighted_by_the_number_of_graphs():
    log = log_of([1.0, 4.0], [3, 1])
    log.settle()
    assert log.summary() == {"loss_avg": 1.75, "loss_min": 1.0, "loss_max": 4.0}
    assert log.num_graphs == 4


@given(st.lists(st.tuples(st.floats(-100, 100, width=32), st.integers(1, 9)), min_size=1))
def test_the_mean_over_samples_is_that_of_every_sample(batches):
    log = log_of([value for value, _ in batches], [size for _, size in batches])
    log.settle()
    samples = [value for value, size in batches for _ in range(size)]
    assert math.isclose(log.summary()["loss_avg"], np.mean(samples), rel_tol=1e-9, abs_tol=1e-9)
    assert log.per_sample().tolist() == samples


def test_losses_wait_on_their_device_until_there_are_enough():
    log = log_of([0.0] * (SETTLE_EVERY - 1), [1] * (SETTLE_EVERY - 1))
    assert not log.is_full
    assert log.values == []
    log.add(torch.tensor(0.0), 1)
    assert log.is_full
    log.settle()
    assert log.values == [0.0] * SETTLE_EVERY
    assert not log.is_full


def test_settling_finds_the_first_loss_that_is_not_finite():
    log = log_of([1.0, 2.0], [1, 1])
    assert log.settle() is None
    log.add(torch.tensor(3.0), 2, [torch.tensor([4, 5])])
    log.add(torch.tensor(math.inf), 2, [torch.tensor([6]), torch.tensor([7])])
    log.add(torch.tensor(math.nan), 2, [torch.tensor([8, 9])])
    assert log.settle() == Bad(step=3, what="loss", value=math.inf, positions=[6, 7])


def test_settling_finds_gradients_that_are_not_finite():
    log = LossLog()
    log.add(torch.tensor(1.0), 2, [torch.tensor([0, 1])], torch.tensor(5.0))
    log.add(torch.tensor(2.0), 2, [torch.tensor([2, 3])])  # where the norm may be infinite
    log.add(torch.tensor(3.0), 2, [torch.tensor([4, 5])], torch.tensor(math.inf))
    log.add(torch.tensor(math.nan), 2, [torch.tensor([6, 7])], torch.tensor(math.nan))
    assert log.settle() == Bad(2, "norm of the gradients", math.inf, [4, 5])


def test_a_bad_loss_without_positions_has_none():
    log = log_of([math.inf], [1])
    assert log.settle() == Bad(0, "loss", math.inf, [])


def test_a_log_goes_on_from_its_state():
    first, second = log_of([1.0, 2.0], [1, 3]), LossLog()
    first.settle()
    second.load_state_dict(first.state_dict())
    for log in (first, second):
        log.add(torch.tensor(6.0), 4)
        log.settle()
    assert second.summary() == first.summary()
    assert second.values == [1.0, 2.0, 6.0]


def test_nothing_has_no_mean():
    assert all(math.isnan(value) for value in LossLog().summary().values())
