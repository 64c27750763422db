"""How much of an output is explained, where that is known."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from qgpipe.baselines.methods import Features, boosting, linear
from qgpipe.explanation.invariant_share import (
    centred_outputs,
    fitted_outputs,
    outputs_by_graph,
    shares_explained,
)
from qgpipe.training.evaluation.metrics import Collected


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return Features(rng.normal(size=(300, 5)), rng.normal(size=(200, 5)))


def test_a_linear_function_of_an_invariant_is_explained(features):
    train, test = (
        np.stack([2 * f[:, 1] - 3, f[:, 0]], axis=1) for f in (features.train, features.test)
    )
    shares, whole = shares_explained(test, fitted_outputs(linear, train, features))
    for share in (*shares, whole):
        assert share.value == pytest.approx(1, abs=1e-6)
        assert share.low == pytest.approx(1, abs=1e-6)


def test_noise_is_not_explained(features):
    rng = np.random.default_rng(1)
    train, test = rng.normal(size=(300, 1)), rng.normal(size=(200, 1))
    for method in (linear, boosting):
        _, whole = shares_explained(test, fitted_outputs(method, train, features))
        assert whole.value < 0.05
        assert whole.low <= whole.value <= whole.high


def test_a_step_is_explained_by_trees_alone(features):
    train, test = ((np.abs(f[:, [2]]) > 0.7).astype(float) for f in (features.train, features.test))
    _, by_line = shares_explained(test, fitted_outputs(linear, train, features))
    _, by_trees = shares_explained(test, fitted_outputs(boosting, train, features))
    assert by_line.value < 0.1 < 0.8 < by_trees.value


def test_shares_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    outputs = rng.normal(size=(50, 3)) * [1, 5, 0.1]
    fitted = outputs + rng.normal(size=(50, 3)) * [0.5, 0.5, 0.1]
    shares, whole = shares_explained(outputs, fitted)
    for c, share in enumerate(shares):
        assert share.value == pytest.approx(r2_score(outputs[:, c], fitted[:, c]))
    weighted = r2_score(outputs, fitted, multioutput="variance_weighted")
    assert whole.value == pytest.approx(weighted)


def test_outputs_that_never_change_have_no_share():
    [share], whole = shares_explained(np.ones((10, 1)), np.zeros((10, 1)))
    assert share == whole
    assert whole.value is None


def test_a_constant_added_to_the_logits_of_a_graph_changes_nothing():
    logits = np.random.default_rng(3).normal(size=(20, 3))
    shifted = logits + np.arange(20)[:, None]
    centred = centred_outputs(shifted, "classification")
    assert centred == pytest.approx(centred_outputs(logits, "classification"))
    assert centred.sum(axis=1) == pytest.approx(0)
    assert centred_outputs(shifted, "regression") == pytest.approx(shifted)
    single = centred_outputs(shifted[:, 0], "classification")
    assert single == pytest.approx(shifted[:, :1])


def test_outputs_of_elements_are_not_those_of_graphs():
    seen = Collected(2, np.zeros(2), {0: torch.zeros(2, 3), 1: torch.zeros(7)}, 2)
    assert outputs_by_graph(seen, 0).shape == (2, 3)
    assert outputs_by_graph(seen, 1) is None
