import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_calibration_error

from qgpipe.report.tables.predictions import ClassAnswers, ValueAnswers
from qgpipe.report.tables.scores import calibration, class_scores, size_scores, wilson_interval


def class_answers(seed: int, graphs: int, classes: int) -> ClassAnswers:
    rng = np.random.default_rng(seed)
    powers = np.exp(2 * rng.normal(size=(graphs, classes)))
    shares = powers / powers.sum(axis=1, keepdims=True)
    target = rng.integers(classes, size=graphs)
    return ClassAnswers("y", np.arange(graphs), target, shares.argmax(axis=1), shares, True)


@given(seed=st.integers(0, 2**32), graphs=st.integers(1, 200), classes=st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_calibration_is_that_of_scikit_learn_and_its_error_that_of_torchmetrics(
    seed, graphs, classes
):
    one = class_answers(seed, graphs, classes)
    found = calibration(one)
    accuracy, confidence = calibration_curve(one.correct, one.confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy, accuracy)
    np.testing.assert_allclose(found.confidence, confidence)
    assert found.count.sum() == graphs
    judged = multiclass_calibration_error(
        torch.from_numpy(one.probabilities), torch.from_numpy(one.target), classes, n_bins=10
    )
    assert found.error == pytest.approx(float(judged), abs=1e-6)


def test_the_calibration_error_is_the_mean_gap_weighted_by_graphs():
    shares = np.array([[0.95, 0.05], [0.95, 0.05], [0.4, 0.6], [0.4, 0.6]])
    target, predicted = np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])
    one = ClassAnswers("y", np.arange(4), target, predicted, shares, True)
    assert calibration(one).error == pytest.approx((0.45 + 0.4) / 2)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
@settings(deadline=None)
def test_scores_of_a_class_are_those_of_scikit_learn(pairs):
    true, predicted = np.array(pairs).T
    confusion = np.zeros((4, 4), np.int64)
    np.add.at(confusion, (true, predicted), 1)
    judged = precision_recall_fscore_support(true, predicted, labels=range(4), zero_division=np.nan)
    scores = class_scores(confusion)
    ours = [(s.precision, s.recall, s.f1, s.count) for s in scores]
    np.testing.assert_allclose(np.array(ours).T, np.array(judged, float))


def test_a_class_names_the_one_that_it_is_most_often_taken_for():
    scores = class_scores(np.array([[3, 1, 4], [0, 2, 0], [0, 0, 1]]))
    assert [score.mistaken_for for score in scores] == [(2, 4), None, None]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_that_of_scipy(pair):
    successes, trials = pair
    low, high = wilson_interval(np.array([successes]), np.array([trials]))
    judged = binomtest(successes, trials).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((judged.low, judged.high), abs=1e-9)


def test_bins_of_size_hold_every_graph_once_in_order_of_size():
    one = class_answers(3, 400, 3)
    sizes = np.random.default_rng(4).integers(10, 60, size=400)
    found = size_scores(one, sizes)
    assert len(found.count) == 8
    assert found.count.sum() == 400
    assert (found.smallest <= found.largest).all()
    assert (found.largest[:-1] < found.smallest[1:]).all()
    assert np.average(found.score, weights=found.count) == pytest.approx(one.correct.mean())


def test_the_error_by_size_has_the_interval_of_its_standard_error():
    target = np.zeros(30)
    predicted = np.array([1.0, -3.0] * 15)
    found = size_scores(ValueAnswers("y", np.arange(30), target, predicted), np.full(30, 7))
    half = 1.96 * np.std([1, 3] * 15, ddof=1) / np.sqrt(30)
    assert (found.smallest[0], found.largest[0], found.count[0]) == (7, 7, 30)
    assert found.score[0] == 2
    np.testing.assert_allclose([found.low[0], found.high[0]], [2 - half, 2 + half], rtol=1e-4)
