import numpy as np
import pytest
from scipy.special import expit

from qgpipe.report.tables.predictions import ClassAnswers, ValueAnswers, answers

CLASSES = {"task": "classification", "num_graphs": 3, "class_names": None, "confusion_matrix": None}
VALUES = {**CLASSES, "task": "regression"}
IDS = ["a/0", "a/1", "a/2"]


def test_confidence_and_error_follow_from_the_probabilities(results):
    table = {
        "id": IDS,
        "target": [0, 1, 1],
        "output_0": [0.9, 0.7, 0.2],
        "output_1": [0.1, 0.3, 0.8],
        "predicted": [0, 0, 1],
    }
    (one,) = answers(results(metrics=CLASSES, predictions=table))
    assert isinstance(one, ClassAnswers)
    assert one.name == "cset_type"
    np.testing.assert_allclose(one.confidence, [0.9, 0.7, 0.8])
    np.testing.assert_allclose(one.error, [0, 0.7, 0])


def test_each_head_is_judged_by_its_own_target(results):
    table = {
        "id": IDS,
        "target_0": [0, 1, 1],
        "target_1": [2, 0, 1],
        **{f"task0_output_{k}": [1.0, 2.0, 3.0] for k in range(2)},
        **{f"task1_output_{k}": [1.0, 2.0, 3.0] for k in range(3)},
        "task0_predicted": [0, 0, 1],
        "task1_predicted": [2, 1, 1],
    }
    first, second = answers(results(metrics=CLASSES, predictions=table))
    assert first.target.tolist() == [0, 1, 1]
    assert second.target.tolist() == [2, 0, 1]
    assert [one.probabilities.shape[1] for one in (first, second)] == [2, 3]


def test_a_head_alone_is_judged_by_its_own_target(results):
    table = {"id": IDS, "target_0": [9, 9, 9], "target_1": [0, 1, 1], "task1_predicted": [0, 0, 1],
             "task1_output_0": [1.0, 1.0, 0.0], "task1_output_1": [0.0, 0.0, 1.0]}  # fmt: skip
    (one,) = answers(results(metrics=CLASSES, predictions=table))
    assert one.correct.tolist() == [True, False, True]


@pytest.mark.parametrize("target", ["target", "target_1"])
def test_the_values_of_a_head_alone_belong_to_its_own_target(results, target):
    table = {"id": IDS, "target_0": [9.0, 9.0, 9.0], target: [1.0, 2.0, 3.0],
             "task1_output_0": [1.0, 2.0, 4.0]}  # fmt: skip
    if target == "target":
        del table["target_0"]
    (one,) = answers(results(metrics=VALUES, predictions=table))
    assert one.residual.tolist() == [0.0, 0.0, 1.0]


def test_each_of_several_questions_has_a_logit_of_its_own(results):
    table = {"id": IDS}
    for k in range(2):
        table |= {f"target_{k}": [0, 1, k], f"output_{k}": [-1.0, 1.0, 2.0]}
        table |= {f"predicted_{k}": [0, 1, 1]}
    found = answers(results(metrics=CLASSES, predictions=table))
    assert [one.target.tolist() for one in found] == [[0, 1, 0], [0, 1, 1]]
    np.testing.assert_allclose(found[1].probabilities[:, 1], expit([-1.0, 1.0, 2.0]))


def test_residuals_are_predictions_less_targets(results):
    table = {"id": IDS, "target": [1.0, 2.0, 3.0], "output_0": [1.5, 2.0, 1.0]}
    (one,) = answers(results(metrics=VALUES, predictions=table))
    assert isinstance(one, ValueAnswers)
    assert one.residual.tolist() == [0.5, 0.0, -2.0]
    assert one.error.tolist() == [0.5, 0.0, 2.0]


@pytest.mark.parametrize("metrics", [CLASSES, VALUES], ids=["classes", "real targets"])
def test_rows_that_are_not_finite_are_left_out(results, metrics):
    table = {
        "id": IDS, "target": [0, 1, 0], "output_0": [1.0, np.nan, 2.0],
        "output_1": [0.0, 0.0, 0.0], "predicted": [0, 0, 0],
    }  # fmt: skip
    (one,) = answers(results(metrics=metrics, predictions=table))
    assert one.rows.tolist() == [0, 2]


def test_a_task_of_another_kind_has_no_answers(results):
    assert answers(results(metrics={**CLASSES, "task": "other"})) == []
