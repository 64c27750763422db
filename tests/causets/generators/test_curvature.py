from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval2d

from qgpipe.causets.generators.curvature import (
    conformal_factor,
    random_conformal_factor,
    ricci_scalar,
)
from qgpipe.causets.generators.sprinklings import sprinkle_density


@pytest.mark.parametrize("order", [0, 1, 2, 9])
def test_the_conformal_factor_is_the_chebyshev_series(order, rng):
    coefficients = random_conformal_factor(rng, order, 2.0)
    assert coefficients.shape == (order + 1, order + 1)
    t, x = rng.uniform(-1, 1, (2, 30))
    np.testing.assert_allclose(conformal_factor(coefficients, t, x), chebval2d(t, x, coefficients))


def test_the_coefficients_decay_with_the_degree(rng):
    draws = np.array([random_conformal_factor(rng, 3, 4.0) for _ in range(4000)])
    degrees = np.add.outer(np.arange(4), np.arange(4))
    np.testing.assert_allclose(draws.std(axis=0), 4.0 ** -(degrees + 2.0), rtol=0.1)


@pytest.mark.parametrize("order", [1, 2, 5, 12])
def test_the_ricci_scalar_agrees_with_finite_differences_of_the_logarithm(order, rng):
    coefficients = random_conformal_factor(rng, order, 3.0)
    coefficients[0, 0] = 1.0  # keeps f away from its zeros
    t, x = rng.uniform(-0.9, 0.9, (2, 25))
    h = 1e-4

    def log_factor(dt: float, dx: float) -> np.ndarray:
        return np.log(np.abs(conformal_factor(coefficients, t + dt, x + dx)))

    here = log_factor(0, 0)
    by_time = (log_factor(h, 0) - 2 * here + log_factor(-h, 0)) / h**2
    by_place = (log_factor(0, h) - 2 * here + log_factor(0, -h)) / h**2
    expected = -2 * (by_place - by_time) / np.exp(2 * here)
    np.testing.assert_allclose(ricci_scalar(coefficients, t, x), expected, rtol=1e-4, atol=1e-5)


def test_the_ricci_scalar_of_an_exponential_stretch_vanishes(rng):
    # f = exp(t) is flat spacetime in other coordinates: ln f is linear.
    from numpy.polynomial.chebyshev import chebinterpolate

    coefficients = np.zeros((20, 20))
    coefficients[:, 0] = chebinterpolate(np.exp, 19)
    t, x = rng.uniform(-1, 1, (2, 10))
    np.testing.assert_allclose(ricci_scalar(coefficients, t, x), 0, atol=1e-9)


def test_points_follow_the_density(rng):
    coefficients = np.zeros((2, 2))
    coefficients[1, 0] = 1.0  # f = t, density t²
    t, x = sprinkle_density(rng, 20_000, coefficients)
    assert np.mean(t**2) == pytest.approx(3 / 5, abs=0.01)
    assert np.mean(x**2) == pytest.approx(1 / 3, abs=0.01)
    assert np.abs([t, x]).max() <= 1
