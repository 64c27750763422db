import numpy as np
import pytest
from scipy.special import expit, softmax

from qgpipe.probabilities import are_probabilities, probabilities


def test_several_logits_become_their_softmax():
    logits = np.random.default_rng(0).normal(size=(20, 4)) * 50
    np.testing.assert_allclose(probabilities(logits, given=False), softmax(logits, axis=1))


def test_a_single_logit_is_that_of_class_one():
    logits = np.array([[-800.0], [0.5], [800.0]])
    found = probabilities(logits, given=False)
    np.testing.assert_allclose(found[:, 1], expit(logits[:, 0]), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_probabilities_stay_as_they_are():
    shares = np.array([[0.2, 0.8], [1.0, 0.0]])
    assert probabilities(shares, given=True).tolist() == shares.tolist()
    rounded = probabilities(shares.astype("f4"), given=True)
    np.testing.assert_allclose(rounded.sum(axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([[0.2, 0.8], [1.0, 0.0]], True),
        ([[0.2, 0.8], [np.nan, 0.0]], True),  # a row that is not finite does not count
        ([[0.2, 0.8], [0.5, 0.6]], False),
        ([[-0.2, 1.2]], False),
        ([[1.0], [1.0]], False),
        ([[np.inf, 0.0]], False),
    ],
)
def test_outputs_that_add_up_to_one_are_probabilities_already(outputs, expected):
    assert are_probabilities(np.array(outputs)) == expected
