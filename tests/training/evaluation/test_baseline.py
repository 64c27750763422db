import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, mean_squared_error

from qgpipe.training.evaluation.baseline import constant_heads, evaluate_baseline
from qgpipe.training.evaluation.evaluator import Evaluator
from qgpipe.training.evaluation.metrics import Collected


def collected(heads, num_tasks=1):
    return Collected(0, np.zeros(0), heads, num_tasks)


def test_the_majority_class_has_the_largest_output():
    (constant,) = constant_heads({0: torch.zeros(4, 3)}, 1, torch.tensor([2, 2, 0, 2])).values()
    # counted once more than they occur: 2, 1, 4 of 7
    assert torch.softmax(constant, 0).tolist() == pytest.approx([2 / 7, 1 / 7, 4 / 7])


def test_a_class_that_training_never_saw_has_a_small_share():
    (constant,) = constant_heads({0: torch.zeros(1, 2)}, 1, torch.tensor([0, 0, 0])).values()
    assert torch.softmax(constant, 0).tolist() == pytest.approx([0.8, 0.2])


def test_a_model_of_probabilities_is_compared_with_shares():
    (constant,) = constant_heads({0: torch.full((4, 2), 0.5)}, 1, torch.tensor([1, 0, 1])).values()
    assert constant.tolist() == pytest.approx([2 / 5, 3 / 5])


@pytest.mark.parametrize("shape", [(5, 1), (5,)])
def test_a_single_logit_says_the_share_of_class_one(shape):
    (constant,) = constant_heads({0: torch.zeros(shape)}, 1, torch.tensor([1, 0, 0, 0])).values()
    assert constant.shape == shape[1:]
    assert torch.sigmoid(constant).item() == pytest.approx(1 / 3)  # 2 of 6


def test_real_targets_are_answered_by_their_mean():
    (constant,) = constant_heads({0: torch.zeros(5, 1)}, 1, torch.tensor([1.0, 2.0, 6.0])).values()
    assert constant.tolist() == [3.0]
    targets = torch.tensor([[1.0, 10.0], [3.0, 20.0]])
    (constant,) = constant_heads({0: torch.zeros(5, 2)}, 1, targets).values()
    assert constant.tolist() == [2.0, 15.0]


def test_integers_that_are_values_are_answered_by_their_mean():
    (constant,) = constant_heads({0: torch.zeros(5, 1)}, 1, torch.tensor([10, 20, 60])).values()
    assert constant.tolist() == [30.0]


def test_each_head_has_its_own_answer():
    targets = torch.tensor([[0, 2], [0, 2], [1, 2]])
    constants = constant_heads({0: torch.zeros(1, 2), 1: torch.zeros(1, 3)}, 2, targets)
    assert [constant.argmax().item() for constant in constants.values()] == [0, 2]


@pytest.mark.parametrize(
    ("head", "targets"),
    [
        (torch.zeros(5, 2), torch.tensor([1.0, 2.0])),  # two outputs for one value
        (torch.zeros(5, 3), torch.tensor([[1.0, 2.0]])),
        (torch.zeros(5, 4, 4), torch.tensor([1, 2])),
        (torch.zeros(5, 3), torch.tensor([[1, 2]])),
    ],
)
def test_without_a_constant_that_fits_there_is_no_baseline(head, targets):
    assert constant_heads({0: head}, 1, targets) is None


def test_it_is_scored_like_a_model(make_batches):
    tasks = [{"name": "accuracy", "monitor": accuracy_score}]
    evaluator = Evaluator("cpu", lambda outputs, data: outputs[0].exp().mean(), tasks)
    loader = make_batches([0, 1, 1, 2, 1], 2)
    targets = torch.tensor([1, 1, 0])
    row = evaluate_baseline(evaluator, collected({0: torch.zeros(5, 3)}), targets, loader)
    assert row["accuracy"].item() == 0.6
    assert row["loss_avg"].item() == pytest.approx(1 / 3)
    assert evaluator.collected is None  # the tester itself has seen nothing


def test_a_head_alone_of_several_answers_to_its_own_target(make_batches):
    tasks = [{"name": "accuracy", "monitor": accuracy_score, "task": 1}]
    evaluator = Evaluator("cpu", lambda outputs, data: outputs[1].exp().mean(), tasks)
    loader = make_batches([[2, 0], [2, 1], [2, 1]], 2)
    targets = torch.tensor([[0, 1], [0, 1], [0, 0]])
    row = evaluate_baseline(evaluator, collected({1: torch.zeros(3, 2)}, 2), targets, loader)
    assert row["accuracy"].item() == 2 / 3


def test_the_mean_of_the_training_set_is_the_baseline_of_a_regression(make_batches):
    tasks = [{"name": "mse", "monitor": mean_squared_error}]
    evaluator = Evaluator("cpu", lambda outputs, data: outputs[0].mean(), tasks)
    loader = make_batches([1.0, 2.0, 3.0], 2)
    targets = torch.tensor([4.0, 6.0])
    row = evaluate_baseline(evaluator, collected({0: torch.zeros(3, 1)}), targets, loader)
    assert row["mse"].item() == (16 + 9 + 4) / 3


def test_a_metric_that_fails_on_a_constant_costs_the_baseline_alone(make_batches, caplog):
    def picky(y_true, y_pred):
        raise ValueError("constant input")

    evaluator = Evaluator(
        "cpu", lambda outputs, data: outputs[0].mean(), [{"name": "picky", "monitor": picky}]
    )
    seen, targets = collected({0: torch.zeros(1, 2)}), torch.tensor([0, 1])
    assert evaluate_baseline(evaluator, seen, targets, make_batches([0], 1)) is None
    assert "no baseline: " in caplog.text
    assert "constant input" in caplog.text
