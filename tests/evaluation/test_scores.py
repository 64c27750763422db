from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix, log_loss, mean_absolute_error, r2_score
from torchmetrics.classification import MulticlassCalibrationError

from qgpipe.evaluation.scores import (
    UNKNOWN,
    calibration_error,
    class_scores,
    table_scores,
    value_scores,
)

NAMES = ["a", "b", "c"]


@pytest.fixture
def answers(rng):
    outputs = rng.normal(size=(200, 3)) * 2
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return shares, rng.integers(0, 3, 200)


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611))],
)
def test_intervals_are_those_of_the_literature(right, total, interval):
    """Newcombe, Statistics in Medicine 17, 857 (1998), table I, method 3."""
    shares = np.tile([0.9, 0.1], (total, 1))
    truth = np.where(np.arange(total) < right, 0, 1)
    scores = class_scores(shares, truth, ["a", "b"])
    assert scores["accuracy_interval"] == pytest.approx(interval, abs=1e-4)


def test_class_scores_are_those_of_scikit_learn_and_torchmetrics(answers):
    shares, truth = answers
    scores = class_scores(shares, truth, NAMES)
    assert scores["nll"] == pytest.approx(log_loss(truth, shares))
    expected = MulticlassCalibrationError(3, n_bins=15, norm="l1")(
        torch.tensor(shares), torch.tensor(truth)
    )
    assert scores["calibration_error"] == pytest.approx(float(expected), abs=1e-6)
    predicted = shares.argmax(axis=1)
    assert scores["confusion_matrix"] == confusion_matrix(truth, predicted).tolist()
    assert scores["accuracy"] == (predicted == truth).mean()
    assert scores["confidence"] == pytest.approx(shares.max(axis=1).mean())
    assert scores["predicted"] == {n: (predicted == k).mean() for k, n in enumerate(NAMES)}


def test_a_calibration_error_by_hand():
    """Two bins: .55 with one of two right, .95 with two of two: (2 * .05 + 2 * .05) / 4."""
    confidence = np.array([0.55, 0.55, 0.95, 0.95])
    right = np.array([True, False, True, True])
    assert calibration_error(confidence, right, bins=2) == pytest.approx(0.5 * 0.0 + 0.0, abs=1e-9)
    assert calibration_error(confidence, right, bins=10) == pytest.approx(0.05)


def test_classes_that_the_model_has_not_count_among_its_answers_alone(answers):
    shares, truth = answers
    unknown = np.where(truth == 2, UNKNOWN, truth)
    scores, known = class_scores(shares, unknown, NAMES), truth != 2
    assert scores["num_known"] == known.sum()
    assert scores["accuracy"] == (shares[known].argmax(axis=1) == truth[known]).mean()
    assert sum(scores["predicted"].values()) == pytest.approx(1)
    nothing = class_scores(shares, np.full(200, UNKNOWN), NAMES)
    assert nothing["accuracy"] is None
    assert nothing["confidence"] == pytest.approx(shares.max(axis=1).mean())


def test_value_scores_are_those_of_scikit_learn(rng):
    targets = rng.normal(size=(50, 2))
    outputs = targets + rng.normal(size=(50, 2)) * 0.3 + 0.1
    scores = value_scores(outputs, targets)
    assert scores["mae"] == pytest.approx(mean_absolute_error(targets, outputs))
    assert scores["r2"] == pytest.approx(r2_score(targets, outputs))
    assert scores["bias"] == pytest.approx((outputs - targets).mean())
    assert value_scores(outputs, np.zeros((50, 2)))["r2"] is None


def table_of(shares, codes):
    columns = {f"probability_{k}": shares[:, k] for k in range(3)}
    outputs = {f"output_{k}": np.log(shares[:, k]) for k in range(3)}
    return pd.DataFrame({"target": codes, **outputs, "predicted": shares.argmax(1), **columns})


def test_classes_are_found_by_name(answers):
    """The set numbers its classes in an order of its own, and has one that the model has not."""
    shares, truth = answers
    own = ["c", "other", "a", "b"]
    codes = np.array([2, 3, 0])[truth]
    (scores,) = table_scores(table_of(shares, codes), NAMES, own)
    assert scores["accuracy"] == (shares.argmax(axis=1) == truth).mean()
    (scores,) = table_scores(table_of(shares, np.ones(200)), NAMES, own)
    assert scores["num_known"] == 0
    (by_number,) = table_scores(table_of(shares, truth), None, None)
    assert by_number["accuracy"] == (shares.argmax(axis=1) == truth).mean()


def test_outputs_that_are_not_finite_do_not_count(answers):
    shares, truth = answers
    table = table_of(shares, truth)
    table.loc[:9, "output_1"] = np.nan
    (scores,) = table_scores(table, NAMES, NAMES)
    assert scores["num_not_finite"] == 10
    assert scores["num_known"] == 190


def test_each_head_has_scores_of_its_own_target(rng, answers):
    shares, truth = answers
    of_classes = table_of(shares, truth).drop(columns="target").add_prefix("task0_")
    values = rng.normal(size=200)
    targets = {"target_0": truth, "target_1": values}
    table = pd.DataFrame({**targets, **of_classes, "task1_output_0": values + 1})
    first, second = table_scores(table, NAMES, NAMES)
    assert (first["task"], first["kind"]) == (0, "classification")
    assert first["accuracy"] == (shares.argmax(axis=1) == truth).mean()
    assert (second["task"], second["kind"], second["bias"]) == (1, "regression", pytest.approx(1))
