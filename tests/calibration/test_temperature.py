"""The temperature, against data that were drawn at a known one and a search in steps."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from qgpipe.calibration.temperature import calibration_of, fit_temperature
from qgpipe.training.steps.outputs import IGNORED_TARGET

GENERATOR = torch.Generator().manual_seed(3)


def drawn(num_graphs, temperature, classes=3):
    """Logits that are ``temperature`` times too large for the classes drawn by them."""
    logits = 2 * torch.randn(num_graphs, classes, generator=GENERATOR)
    target = torch.multinomial(logits.softmax(dim=1), 1, generator=GENERATOR)[:, 0]
    return temperature * logits, target


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_the_temperature_at_which_classes_were_drawn_is_found(temperature):
    logits, target = drawn(20_000, temperature)
    assert fit_temperature(logits, target) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_is_more_likely():
    logits, target = drawn(200, 2.0)
    found = fit_temperature(logits, target)
    least = cross_entropy(logits / found, target).item()
    for other in np.geomspace(0.05, 50, 300):
        assert least <= cross_entropy(logits / other, target).item() + 1e-7


def test_a_single_logit_has_one_too():
    logits = 2 * torch.randn(20_000, generator=GENERATOR)
    target = torch.bernoulli(logits.sigmoid(), generator=GENERATOR).long()
    assert fit_temperature(3 * logits, target) == pytest.approx(3, rel=0.05)


def test_graphs_without_a_target_or_an_answer_do_not_count():
    logits, target = drawn(500, 2.0)
    more = torch.cat([logits, 9 * torch.ones(2, 3), torch.full((1, 3), torch.nan)])
    unknown = torch.tensor([IGNORED_TARGET, IGNORED_TARGET, 1])
    found = fit_temperature(more, torch.cat([target, unknown]))
    assert found == fit_temperature(logits, target)
    assert fit_temperature(more[500:], unknown) == 1


def test_scaling_makes_the_error_of_calibration_smaller():
    logits, target = drawn(20_000, 4.0)
    before = calibration_of(logits, target)
    after = calibration_of(logits / fit_temperature(logits, target), target)
    assert after["nll"] < before["nll"]
    assert after["calibration_error"] < 0.02 < 0.1 < before["calibration_error"]
