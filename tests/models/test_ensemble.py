"""The mean of several models, against formulas written out."""

import numpy as np
import pytest
import torch
from torch import nn

from qgpipe.models import call_model, load_model, read_model_file, save_model
from qgpipe.models.build import build_model
from qgpipe.models.construct.standardizer import Standardizer
from qgpipe.models.ensemble import Ensemble, mean_answer, spread

OUTPUTS = torch.tensor([[[2.0, -1.0, 0.5]], [[0.0, 3.0, 0.5]], [[1.0, 1.0, -4.0]]])  # [K, N, C]
LINEAR = {"type": "torch.nn.Linear", "args": [3, 2], "kwargs": {}}


def test_classes_have_the_mean_probability():
    probabilities = np.exp(OUTPUTS.numpy()) / np.exp(OUTPUTS.numpy()).sum(axis=-1, keepdims=True)
    mean = mean_answer(OUTPUTS, "softmax")
    np.testing.assert_allclose(mean.exp(), probabilities.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(mean.softmax(dim=-1), probabilities.mean(axis=0), rtol=1e-6)
    expected = probabilities.std(axis=0, ddof=1)
    np.testing.assert_allclose(spread(OUTPUTS, "softmax"), expected, rtol=1e-5)


def test_yes_or_no_has_the_mean_probability():
    probabilities = 1 / (1 + np.exp(-OUTPUTS.numpy()))
    mean = mean_answer(OUTPUTS, "sigmoid")
    np.testing.assert_allclose(mean.sigmoid(), probabilities.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        spread(OUTPUTS, "sigmoid"), probabilities.std(axis=0, ddof=1), rtol=1e-5
    )


def test_a_probability_of_one_stays_finite():
    logits = torch.tensor([[[500.0]], [[500.0]]])
    assert mean_answer(logits, "sigmoid").item() == pytest.approx(500)


def test_values_have_their_mean():
    np.testing.assert_allclose(mean_answer(OUTPUTS, "mean"), OUTPUTS.numpy().mean(axis=0))
    np.testing.assert_allclose(spread(OUTPUTS, "mean"), OUTPUTS.numpy().std(axis=0, ddof=1))


class Fixed(nn.Module):
    """Returns what it was built with."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        return self.outputs


@pytest.mark.parametrize("form", [dict, list, tuple])
def test_the_outputs_have_the_form_of_a_member(form):
    pairs = [(OUTPUTS[k], OUTPUTS[k, :, :1]) for k in range(3)]
    members = [Fixed(dict(enumerate(pair)) if form is dict else form(pair)) for pair in pairs]
    outputs = Ensemble(members, {0: "softmax", 1: "mean"})(torch.zeros(1))
    assert type(outputs) is form
    torch.testing.assert_close(outputs[0], mean_answer(OUTPUTS, "softmax"))
    torch.testing.assert_close(outputs[1], mean_answer(OUTPUTS[:, :, :1], "mean"))


def test_spreads_are_kept_only_where_they_are_asked_for():
    ensemble = Ensemble([Fixed(OUTPUTS[k]) for k in range(3)], {0: "softmax"})
    with ensemble.kept_spreads() as kept:
        ensemble(torch.zeros(1))
    ensemble(torch.zeros(1))
    assert len(kept) == 1
    torch.testing.assert_close(kept[0][0], spread(OUTPUTS, "softmax"))


def test_a_file_holds_all_members_each_with_its_standardisation(tmp_path):
    models = [build_model(LINEAR) for _ in range(3)]
    for k, model in enumerate(models[:2]):  # one has none
        mean, std = torch.full((2,), float(k)), torch.full((2,), 2.0 + k)
        Standardizer({"target": (mean, std)}).attach(model)
    weights = {
        f"members.{k}.{name}": value
        for k, model in enumerate(models)
        for name, value in model.state_dict().items()
    }
    facts = {"ensemble": {"size": 3, "answers": {"0": "mean"}}}
    save_model(tmp_path / "model.pt", LINEAR, weights, **facts)
    assert read_model_file(tmp_path / "model.pt")["format"] == 2
    loaded = load_model(tmp_path / "model.pt")
    x = torch.randn(5, 3)
    expected = torch.stack([call_model(model, x) for model in models]).mean(dim=0)
    torch.testing.assert_close(call_model(loaded, x), expected)


def test_a_model_alone_has_the_format_that_older_versions_read(tmp_path):
    save_model(tmp_path / "model.pt", LINEAR, build_model(LINEAR).state_dict())
    assert read_model_file(tmp_path / "model.pt")["format"] == 1
