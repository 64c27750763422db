import numpy as np
import pytest
import torch

from qgpipe.training.steps.outputs import (
    as_heads,
    count_tasks,
    kind_of_task,
    labels,
    largest_class,
    match_shape,
    probabilities,
    target_of_task,
    target_table,
    undecided,
)

NAN, INF = float("nan"), float("inf")


def test_outputs_of_any_form_become_heads_by_task():
    a, b = torch.zeros(2, 3), torch.ones(2)
    assert as_heads(a) == {0: a}
    assert as_heads({2: a, 0: b}) == {2: a, 0: b}
    assert as_heads((a, b)) == {0: a, 1: b}
    assert as_heads({"mass": a, "charge": b}) == {0: a, 1: b}
    assert as_heads([a, None, b]) == {0: a, 2: b}
    assert as_heads(object()) == {}


def test_heads_that_are_off_are_tasks_too():
    model, a = torch.nn.Identity(), torch.zeros(2, 3)
    assert count_tasks(model, {0: a, 1: a}) == 2
    assert count_tasks(model, [None, a]) == 2
    assert count_tasks(model, a) == 1
    model.active_tasks = {0: True, 1: False}
    assert count_tasks(model, {0: a}) == 2
    assert count_tasks(model, a) == 1  # as apply_model may return it


def test_targets_strung_together_by_batching_get_a_row_a_graph():
    y = torch.tensor([1, 2, 3, 4, 5, 6])
    assert target_table(y, num_graphs=3, rows=3).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_targets_of_nodes_stay_as_they_are():
    y = torch.tensor([1, 2, 3, 4, 5, 6])
    assert target_table(y, num_graphs=3, rows=6).tolist() == y.tolist()


def test_each_head_gets_its_target_column():
    table = torch.tensor([[1, 10], [2, 20]])
    assert target_of_task(table, 1, num_tasks=2).tolist() == [10, 20]
    assert target_of_task(table, 0, num_tasks=1).tolist() == table.tolist()
    assert target_of_task(table[:, :1], 0, num_tasks=1).tolist() == [1, 2]
    assert target_of_task(table[:, 0], 1, num_tasks=2).tolist() == [1, 2]


def test_a_column_of_predictions_is_flattened_for_flat_targets():
    column = torch.tensor([[1.0], [2.0]])
    assert match_shape(column, torch.tensor([1.0, 2.0])).shape == (2,)
    assert match_shape(column, torch.tensor([[1.0], [2.0]])).shape == (2, 1)


def test_labels_are_the_largest_output_or_the_sign_of_a_logit():
    classes = torch.tensor([1, 0])
    assert labels(torch.tensor([[0.1, 0.9, 0.0], [3.0, 1.0, 2.0]]), classes).tolist() == [1, 0]
    assert labels(torch.tensor([[-0.5], [0.5]]), classes).tolist() == [0, 1]
    assert labels(torch.tensor([-0.5, 0.5]), classes).tolist() == [0, 1]
    several = torch.tensor([[1, 0], [0, 1]])
    assert labels(torch.tensor([[2.0, -1.0], [-3.0, -4.0]]), several).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("width", "targets", "kind"),
    [
        ([3], [0, 2], "classification"),
        ([1], [0, 1], "classification"),
        ([], [True, False], "classification"),
        ([1], [1, -100], "classification"),
        ([1], [10, 145], "regression"),
        ([], [-1, 1], "regression"),
        ([1], [0.0, 1.0], "regression"),
        ([2], [[0, 1], [1, 1]], "classification"),
        ([2], [[0, 1], [7, 1]], "regression"),
        ([3], [[0, 1], [1, 1]], "other"),
        ([2, 2], [0, 1], "other"),
    ],
)
def test_integers_are_classes_where_the_outputs_can_tell_them_apart(width, targets, kind):
    assert kind_of_task(torch.zeros(2, *width), torch.tensor(targets)) == kind


def test_integers_that_are_values_have_values_for_labels_and_probabilities():
    prediction, target = torch.tensor([[41.5], [99.0]]), torch.tensor([40, 100])
    assert labels(prediction, target).tolist() == [41.5, 99.0]
    assert probabilities(prediction, target).tolist() == [41.5, 99.0]


def test_real_targets_have_values_for_labels():
    values = labels(torch.tensor([[0.25], [4.0]]), torch.tensor([0.0, 4.0]))
    assert values.tolist() == [0.25, 4.0]


def test_probabilities_are_softmax_or_that_of_class_one():
    logits = torch.log(torch.tensor([[1.0, 2.0, 1.0], [2.0, 1.0, 1.0]]))
    expected = [[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]
    assert np.allclose(probabilities(logits, torch.tensor([1, 0])), expected)
    two = torch.log(torch.tensor([[1.0, 3.0]]))
    assert np.allclose(probabilities(two, torch.tensor([1])), [0.75])
    assert np.allclose(probabilities(torch.tensor([[0.0]]), torch.tensor([1])), [0.5])


@pytest.mark.parametrize(
    ("outputs", "target", "expected"),
    [
        # classes: minus infinity excludes one, as a mask does
        ([[1.0, NAN], [0.0, 1.0], [-INF, 1.0], [INF, 1.0], [-INF, -INF]], [0, 1, 1, 0, 1],
         [True, False, False, True, True]),
        # a logit: its sign is an answer
        ([[NAN], [INF], [-INF], [0.5]], [0, 1, 0, 1], [True, False, False, False]),
        ([[NAN, 1.0], [INF, -1.0]], [[0, 1], [1, 0]], [[True, False], [False, False]]),
        # values
        ([NAN, INF, -INF, 0.5], [0.5, 1.0, 1.0, 1.0], [True, True, True, False]),
        ([[0.0, INF], [0.0, 1.0]], [[0.5, 1.0], [0.5, 1.0]], [True, False]),
        # nobody knows what these are
        ([[NAN, 1.0], [INF, -INF]], None, [True, False]),
        ([[NAN, 1.0], [INF, -INF]], [5, 7], [True, True]),
    ],
)  # fmt: skip
def test_an_output_that_is_not_finite_is_no_answer(outputs, target, expected):
    target = None if target is None else torch.tensor(target)
    assert undecided(torch.tensor(outputs), target).tolist() == expected


def test_integers_and_nothing_at_all_are_finite():
    assert undecided(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 1])).tolist() == [False] * 2
    assert undecided(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).tolist() == []


def test_whole_numbers_beside_real_targets_are_classes_of_a_head_with_an_output_for_each():
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    assert kind_of_task(logits, torch.tensor([2.0, 0.0])) == "classification"
    assert kind_of_task(logits, torch.tensor([-100.0, 0.0])) == "classification"
    for values in ([2.5, 0.0], [3.0, 0.0], [-1.0, 0.0], [torch.nan, 0.0]):
        assert kind_of_task(logits, torch.tensor(values)) == "regression"
    assert kind_of_task(logits[:, :1], torch.tensor([1.0, 0.0])) == "regression"


def test_the_largest_class_of_a_column_is_told_if_it_may_be_classes():
    columns = torch.tensor([[0.0, 0.5, 2.0, -1.0, -100.0], [1.0, 2.0, 2.0, 0.0, 4.0]])
    assert largest_class(columns) == [1, None, 2, None, 4]
    assert largest_class(torch.tensor([3, 0])) == 3
