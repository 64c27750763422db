"""Outlier scores from embeddings, against SciPy and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from qgpipe.calibration.outliers import energy_buffers, mahalanobis_buffers, with_threshold
from qgpipe.models.construct.calibrator import Calibrator

rng = np.random.default_rng(11)
CLASSES = rng.integers(0, 3, 400)
EMBEDDINGS = rng.normal(size=(400, 5)) * [1, 2, 3, 4, 0] + 10 * CLASSES[:, None]
ONES = {"temperature": torch.ones(1)}


def test_distances_are_those_of_the_covariance_within_classes():
    found = mahalanobis_buffers(torch.tensor(EMBEDDINGS), torch.tensor(CLASSES))
    means = np.stack([EMBEDDINGS[k == CLASSES].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(found["outlier_means"], means)
    fitted = LedoitWolf(assume_centered=True).fit(EMBEDDINGS - means[CLASSES])
    inverse = np.linalg.inv(fitted.covariance_)
    points = rng.normal(size=(20, 5)) * 10
    scores = Calibrator(ONES | found).outlier_score(torch.zeros(20, 3), torch.tensor(points))
    expected = [min(mahalanobis(p, m, inverse) ** 2 for m in means) for p in points]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_without_classes_there_is_one_mean():
    found = mahalanobis_buffers(torch.tensor(EMBEDDINGS), None)
    np.testing.assert_allclose(found["outlier_means"], EMBEDDINGS.mean(axis=0)[None])


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_given_share_is_above_the_threshold(share):
    logits = torch.tensor(rng.normal(size=(1000, 3)))
    buffers = with_threshold(energy_buffers(torch.ones(1)), logits, None, share)
    above = Calibrator(buffers).outlier_score(logits, None) > buffers["outlier_threshold"]
    assert above.double().mean().item() == pytest.approx(share, abs=0.002)
