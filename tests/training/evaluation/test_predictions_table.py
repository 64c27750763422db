import numpy as np
import torch

from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.evaluation.predictions_table import predictions_table
from qgpipe.training.evaluation.test_report import confusion, kind_of_test, metrics_content


def collected(heads, targets=None, num_graphs=2, num_tasks=None):
    return Collected(num_graphs, np.zeros(num_graphs), heads, num_tasks or len(heads), targets)


IDS = ["a/0", "a/1"]


def test_several_heads_have_numbered_columns():
    table = predictions_table(
        collected(
            {0: torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 1: torch.tensor([[-1.0], [2.0]])},
            torch.tensor([0, 1, 1, 0]),  # two targets of each graph, strung together
        ),
        IDS,
    )
    assert table.to_dict("list") == {
        "id": IDS,
        "target_0": [0, 1],
        "target_1": [1, 0],
        "task0_output_0": [1.0, 0.0],
        "task0_output_1": [0.0, 1.0],
        "task0_predicted": [0, 1],
        "task1_output_0": [-1.0, 2.0],
        "task1_predicted": [0, 1],
    }


def test_a_head_alone_of_several_keeps_its_number_and_its_target():
    only = collected({1: torch.eye(2)}, torch.tensor([[7, 0], [7, 1]]), num_tasks=2)
    assert predictions_table(only, IDS).to_dict("list") == {
        "id": IDS,
        "target_0": [7, 7],
        "target_1": [0, 1],
        "task1_output_0": [1.0, 0.0],
        "task1_output_1": [0.0, 1.0],
        "task1_predicted": [0, 1],
    }
    assert confusion(only, None) == [[1, 0], [0, 1]]


def test_real_targets_have_no_predicted_class():
    table = predictions_table(
        collected({0: torch.tensor([[0.5], [1.5]])}, torch.tensor([0.0, 1.0])), IDS
    )
    assert list(table.columns) == ["id", "target", "output_0"]


def test_without_targets_there_are_ids_and_outputs():
    table = predictions_table(collected({0: torch.zeros(2, 2)}), IDS)
    assert list(table.columns) == ["id", "output_0", "output_1"]


def test_what_has_no_row_a_graph_is_left_out():
    nodes = collected({0: torch.zeros(5, 2)}, torch.zeros(5, dtype=torch.int64))
    assert list(predictions_table(nodes, IDS).columns) == ["id"]


def test_integers_that_a_single_output_cannot_tell_apart_are_values():
    sizes = collected({0: torch.tensor([[41.5], [99.0]])}, torch.tensor([40, 100]))
    assert list(predictions_table(sizes, IDS).columns) == ["id", "target", "output_0"]
    assert kind_of_test(sizes) == "regression"
    assert confusion(sizes, None) is None


def test_the_first_head_with_a_target_says_what_the_test_is_about():
    table = torch.tensor([[0, 40], [1, 100]])
    sizes, classes = torch.zeros(2, 1), torch.zeros(2, 3)
    assert kind_of_test(collected({0: classes, 1: sizes}, table)) == "classification"
    assert kind_of_test(collected({1: sizes}, table, num_tasks=2)) == "regression"
    assert kind_of_test(collected({2: sizes, 0: classes}, table)) == "classification"
    assert kind_of_test(collected({}, torch.tensor([0, 1]))) == "classification"
    assert kind_of_test(collected({}, torch.tensor([0.0, 1.0]))) == "regression"
    assert kind_of_test(collected({})) == "other"


def test_outputs_that_go_with_no_target_have_no_confusion():
    wide = collected({0: torch.zeros(2, 3)}, torch.tensor([[0, 1], [1, 1]]))
    assert confusion(wide, None) is None
    assert "predicted" not in predictions_table(wide, IDS)


def test_too_many_classes_have_no_confusion():
    assert confusion(collected({0: torch.zeros(2, 301)}, torch.tensor([0, 1])), None) is None
    assert len(confusion(collected({0: torch.zeros(2, 300)}, torch.tensor([0, 1])), None)) == 300


def test_the_confusion_of_a_single_logit_has_two_classes():
    head, targets = torch.tensor([[2.0], [1.0], [-1.0]]), torch.tensor([1, 0, 0])
    assert confusion(collected({0: head}, targets, 3), None) == [[1, 1], [0, 1]]


def test_the_confusion_has_a_row_for_every_named_class():
    head, targets = torch.eye(2), torch.tensor([0, 1])
    matrix = confusion(collected({0: head}, targets), ["a", "b", "c"])
    assert matrix == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_numbers_that_json_does_not_know_are_null():
    row = {"loss_avg": float("inf"), "loss_min": 0.5, "r2": float("nan"), "note": "x"}
    content = metrics_content("r", 3, row, None, collected({}, torch.tensor([0.5, 1.0])), ["a"])
    assert content["loss"] == {"loss_avg": None, "loss_min": 0.5, "loss_max": None}
    assert content["metrics"] == {"r2": None, "note": "x"}
    assert content["task"] == "regression"
    assert content["class_names"] is None
    assert content["confusion_matrix"] is None
