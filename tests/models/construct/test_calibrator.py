"""Temperature and outlier score as parts of a model, against NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from qgpipe.errors import ConfigError
from qgpipe.models import load_model, read_model_file, save_model
from qgpipe.models.build import build_model
from qgpipe.models.construct.calibrator import Calibrator, calibrator_of, with_calibrator

LINEAR = {"type": "torch.nn.Linear", "args": [3, 2], "kwargs": {}}
rng = np.random.default_rng(5)


def test_logits_are_divided_and_values_are_not():
    model = build_model({"type": "torch.nn.Identity", "args": [], "kwargs": {}})
    heads = {0: torch.tensor([[2.0, 4.0]]), 1: torch.tensor([[8.0]])}
    Calibrator({"temperature": torch.tensor([2.0, 1.0])}).attach(model)
    outputs = model(heads)
    torch.testing.assert_close(outputs, {0: heads[0] / 2, 1: heads[1]})
    assert heads[0][0, 0] == 2


def test_it_comes_back_with_the_weights_of_a_file(tmp_path):
    model = build_model(LINEAR)
    buffers = {"temperature": torch.tensor([4.0]), "outlier_threshold": torch.tensor(1.5)}
    weights = with_calibrator(model.state_dict(), Calibrator(buffers))
    save_model(tmp_path / "calibrated.pt", LINEAR, weights)
    assert read_model_file(tmp_path / "calibrated.pt")["format"] == 2
    loaded = load_model(tmp_path / "calibrated.pt")
    x = torch.randn(4, 3)
    torch.testing.assert_close(loaded(x), model(x) / 4)
    found = calibrator_of(loaded)
    assert found is not None and found.scores_outliers and not found.needs_embeddings


def test_the_distance_is_that_to_the_nearest_mean():
    means, embeddings = rng.normal(size=(3, 4)), rng.normal(size=(6, 4))
    half = rng.normal(size=(4, 4))
    precision = half @ half.T + np.eye(4)
    whitening = np.linalg.cholesky(precision).T
    calibrator = Calibrator(
        {
            "temperature": torch.ones(1),
            "outlier_means": torch.tensor(means),
            "outlier_whitening": torch.tensor(whitening),
            "outlier_threshold": torch.tensor(1.0),
        }
    )
    expected = [min((e - m) @ precision @ (e - m) for m in means) for e in embeddings]
    found = calibrator.outlier_score(torch.zeros(6, 2), torch.tensor(embeddings))
    np.testing.assert_allclose(found, expected)


def test_the_energy_is_that_of_the_logits():
    logits = rng.normal(size=(5, 3))
    found = Calibrator({"temperature": torch.ones(1)}).outlier_score(torch.tensor(logits), None)
    np.testing.assert_allclose(found, -logsumexp(logits, axis=1))


def test_a_model_with_such_an_attribute_of_its_own_is_refused():
    model = build_model(LINEAR)
    model.calibrator = torch.nn.Identity()
    with pytest.raises(ConfigError, match="the model has an attribute 'calibrator' of its own"):
        Calibrator({"temperature": torch.ones(1)}).attach(model)
