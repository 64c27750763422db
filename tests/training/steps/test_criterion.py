import functools

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch_geometric.data import Data

from qgpipe.errors import ConfigError, TrainingError
from qgpipe.training.losses import sum_over_heads
from qgpipe.training.steps.criterion import batch_loss, build_criterion, with_trainer


def per_sample(outputs, data):
    return cross_entropy(outputs[0], data.y, reduction="none")


def test_a_criterion_may_be_a_function_a_class_or_an_object():
    made = torch.nn.MSELoss()
    assert build_criterion(per_sample) is per_sample
    assert build_criterion(made) is made
    assert isinstance(build_criterion(torch.nn.MSELoss), torch.nn.MSELoss)
    assert isinstance(build_criterion("!pyobject torch.nn.MSELoss"), torch.nn.MSELoss)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ConfigError, match="criterion: 3 cannot be called"):
        build_criterion(3)


def test_a_loss_of_each_sample_is_refused_with_a_remedy(make_batches):
    (batch,) = make_batches([0, 1], 2)
    with pytest.raises(TrainingError) as caught:
        batch_loss(per_sample, {0: torch.zeros(2, 2)}, batch)
    assert str(caught.value) == (
        "criterion 'per_sample' returned a tensor of shape (2,); return the mean"
    )


def test_a_loss_that_is_no_tensor_is_refused(make_batches):
    (batch,) = make_batches([0], 1)
    with pytest.raises(TrainingError, match="returned float; return a scalar tensor"):
        batch_loss(lambda outputs, data: 0.5, {}, batch)


def test_a_loss_of_one_element_is_a_scalar(make_batches):
    (batch,) = make_batches([0], 1)
    assert batch_loss(lambda outputs, data: torch.ones(1, 1), {}, batch).shape == ()


def test_a_class_index_out_of_range_is_explained(make_batches):
    (batch,) = make_batches([0, 3], 2)
    with pytest.raises(TrainingError) as caught:
        batch_loss(lambda outputs, data: cross_entropy(outputs[0], data.y), {0: torch.zeros(2, 3)},
                   batch)  # fmt: skip
    assert str(caught.value) == (
        "criterion '<lambda>' failed: Target 3 is out of bounds. (task 0 has 3 outputs, targets "
        "are from 0 to 3); classes are numbered from 0, and the last layer needs an output for each"
    )


def test_a_failing_criterion_keeps_its_cause(make_batches):
    def three_arguments(outputs, data, trainer):
        return outputs[0].mean()

    (batch,) = make_batches([0], 1)
    with pytest.raises(
        TrainingError, match=r"called with \(outputs, data\), here {0: \[1\]} and data\.y \[1\]"
    ) as caught:
        batch_loss(three_arguments, {0: torch.zeros(1)}, batch)
    assert isinstance(caught.value.__cause__, TypeError)


def test_heads_of_classes_and_of_values_are_summed():
    logits, values = torch.randn(4, 3), torch.randn(4, 1)
    y = torch.tensor([[0.0, 0.5], [2.0, 1.5], [1.0, 2.0], [1.0, -1.0]])
    classes = cross_entropy(logits, torch.tensor([0, 2, 1, 1]))
    squares = ((values[:, 0] - y[:, 1]) ** 2).mean()
    loss = sum_over_heads({0: logits, 1: values}, Data(y=y))
    torch.testing.assert_close(loss, classes + squares)
    torch.testing.assert_close(sum_over_heads({1: values}, Data(y=y)), squares)
    torch.testing.assert_close(sum_over_heads({0: logits}, Data(y=y[:, 0].long())), classes)


# criteria with a trainer, as in QuantumGravPy


def with_one(outputs, data, trainer):
    return outputs, data, trainer


def with_one_or_none(outputs, data, trainer=None):
    return outputs, data, trainer


def weighted(outputs, data, weight=2.0):
    return outputs, data, weight


def of_any_number(*args, **kwargs):
    return args


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, outputs, data, trainer):
        return outputs, data, trainer


@pytest.mark.parametrize(
    ("criterion", "in_training", "in_evaluation"),
    [
        (with_one, "trainer", "trainer"),
        (with_one_or_none, "trainer", None),
        (weighted, 2.0, 2.0),
        (functools.partial(with_one, trainer="own"), "own", "own"),
    ],
)
def test_a_trainer_is_given_to_what_takes_one(criterion, in_training, in_evaluation):
    training, evaluation = with_trainer(criterion, "trainer")
    assert training("outputs", "data") == ("outputs", "data", in_training)
    assert evaluation("outputs", "data") == ("outputs", "data", in_evaluation)


def test_a_criterion_without_names_gets_two_arguments():
    assert with_trainer(of_any_number, "trainer")[0] is of_any_number
    assert with_trainer(torch.nn.MSELoss(), "trainer")[0].reduction == "mean"


def test_a_module_stays_what_it_is_with_its_weights():
    module = Module()
    training, evaluation = with_trainer(module, "trainer")
    assert training is evaluation is module and list(module.state_dict()) == ["scale"]
    assert module("outputs", "data") == ("outputs", "data", "trainer")
