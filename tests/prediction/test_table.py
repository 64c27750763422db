"""The columns of a table of predictions, by hand-computed values."""

import numpy as np
import pytest
import torch

from qgpipe.prediction.outputs import Seen
from qgpipe.prediction.table import PredictionTable
from qgpipe.training.evaluation.metrics import Collected

LOGITS = torch.log(torch.tensor([[1.0, 2.0, 1.0], [8.0, 1.0, 1.0]]))
CLASSES = {"attributes": {"y": {"kind": "graph", "dtype": "int64", "shape": []}}}
REALS = {"attributes": {"y": {"kind": "graph", "dtype": "float32", "shape": []}}}


def table(heads, trained, targets=None, embeddings=None, num_tasks=None):
    collected = Collected(2, np.zeros(0), heads, num_tasks or len(heads), targets)
    maker = PredictionTable(trained, with_embeddings=embeddings is not None)
    return maker.rows(Seen(collected, embeddings, {}), ["a/0", "a/1"])


def seen(head, num_graphs):
    return Seen(Collected(num_graphs, np.zeros(0), {0: head}, 1), None, {})


def test_classes_of_graphs_without_a_target_have_names_and_probabilities():
    found = table({0: LOGITS}, {**CLASSES, "class_names": ["low", "middle", "high"]})
    assert list(found) == [
        "id", "output_0", "output_1", "output_2", "predicted", "class",
        "probability_0", "probability_1", "probability_2",
    ]  # fmt: skip
    assert found["predicted"].tolist() == [1, 0]
    assert found["class"].tolist() == ["middle", "low"]
    np.testing.assert_allclose(found.iloc[0, 6:].tolist(), [0.25, 0.5, 0.25])
    np.testing.assert_allclose(found.iloc[1, 6:].tolist(), [0.8, 0.1, 0.1])


def test_the_first_graphs_say_for_all_whether_outputs_are_probabilities():
    shares, logits = torch.tensor([[0.25, 0.75]]), torch.tensor([[0.0, 3.0]])

    def probabilities_of(*chunks):
        rows = PredictionTable(CLASSES).rows
        tables = [rows(seen(head, 1), ["a/0"]) for head in chunks]
        return [found["probability_1"].item() for found in tables]

    assert probabilities_of(shares, shares) == [0.75, 0.75]
    softmax = (1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-0.5)))
    assert probabilities_of(logits, shares) == pytest.approx(softmax)


def test_a_target_is_kept_as_it_is_and_does_not_shape_the_rest():
    found = table({0: LOGITS}, CLASSES, targets=torch.tensor([7.5, 8.5]))
    assert found["target"].tolist() == [7.5, 8.5]
    assert found["predicted"].tolist() == [1, 0]
    assert "class" not in found


def test_a_single_logit_tells_two_classes_apart():
    found = table({0: torch.log(torch.tensor([[3.0], [0.25]]))}, CLASSES)
    assert found["predicted"].tolist() == [1, 0]
    np.testing.assert_allclose(found["probability_1"], [0.75, 0.2])
    np.testing.assert_allclose(found["probability_0"], [0.25, 0.8])


def test_several_questions_with_two_answers_have_a_probability_each():
    trained = {"attributes": {"y": {"kind": "graph", "dtype": "int64", "shape": [2]}}}
    found = table({0: torch.log(torch.tensor([[3.0, 1.0], [1.0, 0.25]]))}, trained)
    assert found[["predicted_0", "predicted_1"]].to_numpy().tolist() == [[1, 0], [0, 0]]
    np.testing.assert_allclose(found[["probability_0", "probability_1"]], [[0.75, 0.5], [0.5, 0.2]])


def test_real_values_have_neither_classes_nor_probabilities():
    assert list(table({0: LOGITS[:, :1]}, REALS)) == ["id", "output_0"]


def test_integers_that_are_values_have_neither():
    assert list(table({0: LOGITS[:, :1]}, {**CLASSES, "binary_target": False})) == [
        "id",
        "output_0",
    ]
    assert "predicted" in table({0: LOGITS[:, :1]}, {**CLASSES, "binary_target": True})
    two = {"attributes": {"y": {"kind": "graph", "dtype": "int64", "shape": [2]}}}
    found = table({0: LOGITS, 1: LOGITS[:, :1]}, {**two, "binary_target": [False, False]})
    assert "task0_predicted" in found
    assert "task1_predicted" not in found


def test_heads_are_told_apart_by_their_number():
    found = table({0: LOGITS, 2: LOGITS}, {**CLASSES, "class_names": ["x", "y", "z"]})
    assert {"task0_output_2", "task2_predicted", "task2_class", "task0_probability_1"} <= set(found)


def test_a_head_alone_of_several_keeps_its_number():
    trained = {"attributes": {"y": {"kind": "graph", "dtype": "int64", "shape": [2]}}}
    found = table({1: LOGITS}, trained, num_tasks=2)
    assert found["task1_predicted"].tolist() == [1, 0]
    np.testing.assert_allclose(found["task1_probability_1"], [0.5, 0.1])


def test_embeddings_come_last():
    found = table({0: LOGITS[:, :1]}, REALS, embeddings=torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert list(found)[-2:] == ["embedding_0", "embedding_1"]
    assert found["embedding_1"].tolist() == [2, 4]


def test_a_model_file_that_tells_no_target_leaves_the_targets_of_the_store():
    found = table({0: LOGITS}, {}, targets=torch.tensor([0, 0]))
    assert found["predicted"].tolist() == [1, 0]
    assert list(table({0: LOGITS}, {})) == ["id", "output_0", "output_1", "output_2"]


def test_more_classes_than_names_are_numbered():
    assert table({0: LOGITS}, {**CLASSES, "class_names": ["low"]})["class"].tolist() == ["1", "low"]


@pytest.mark.parametrize("targets", [None, torch.tensor([0, 1])])
def test_each_row_has_its_id(targets):
    assert table({0: LOGITS}, CLASSES, targets)["id"].tolist() == ["a/0", "a/1"]


def test_outputs_that_are_not_finite_have_no_class():
    blind = LOGITS.clone()
    blind[1] = float("nan")
    maker = PredictionTable({**CLASSES, "class_names": ["low", "middle", "high"]})
    found = maker.rows(seen(blind, 2), ["a/0", "a/1"])
    assert found["predicted"].isna().tolist() == [False, True]
    assert found.to_csv(index=False).splitlines()[2] == "a/1" + "," * (found.shape[1] - 1)
    assert (found["predicted"][0], found["class"][0], maker.undecided) == (1, "middle", 1)
    maker.rows(seen(LOGITS, 2), ["a/2", "a/3"])
    assert maker.undecided == 1


def test_classes_beside_values_are_told_by_the_largest_class_that_was_trained_on():
    both = {"attributes": {"y": {"kind": "graph", "dtype": "float32", "shape": [2]}}}
    heads = {0: LOGITS, 1: LOGITS[:, :1]}
    found = table(heads, {**both, "largest_class": [2, None]})
    assert found["task0_predicted"].tolist() == [1, 0]
    assert "task0_probability_2" in found and "task1_predicted" not in found
    assert "task0_predicted" not in table(heads, both)  # a file that does not tell
    assert "task0_predicted" not in table(heads, {**both, "largest_class": [5, None]})
