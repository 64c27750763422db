from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import chebpts1, chebval, chebvander
from numpy.typing import NDArray

from qgpipe.causets.generators.curvature import (
    ConformalFactor,
    random_conformal_factor,
    sprinkle_density,
)
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.sprinklings import polynomial
from qgpipe.errors import ConfigError

PROPERTY = settings(max_examples=25, deadline=None, derandomize=True)


def interpolated(function, dimension: int, order: int = 12) -> NDArray[np.float64]:
    """Chebyshev coefficients of a function of points (m, d)."""
    nodes = chebpts1(order + 1)
    axes = np.meshgrid(*[nodes] * dimension, indexing="ij")
    values = function(np.stack(axes, axis=-1).reshape(-1, dimension)).reshape(axes[0].shape)
    for _ in range(dimension):
        values = np.tensordot(values, np.linalg.inv(chebvander(nodes, order)), axes=(0, 1))
    return values


def evaluated(coefficients: NDArray[np.float64], points: NDArray[np.float64]) -> list[float]:
    """The series at each point, one coordinate after the other."""
    values = []
    for point in points:
        rest = coefficients
        for x in point:
            rest = chebval(x, rest)
        values.append(float(rest))
    return values


@pytest.mark.parametrize("dimension", [2, 3, 4])
@pytest.mark.parametrize("order", [0, 1, 4])
def test_the_density_is_the_square_of_the_series_or_of_its_exponential(order, dimension, rng):
    points = rng.uniform(-1, 1, (30, dimension))
    signed = random_conformal_factor(rng, order, 2.0, dimension)
    assert signed.coefficients.shape == (order + 1,) * dimension
    f = np.array(evaluated(signed.coefficients, points))
    np.testing.assert_allclose(signed.density(points), f**2)
    positive = ConformalFactor(signed.coefficients, positive=True)
    constant = signed.coefficients.flat[0]
    np.testing.assert_allclose(positive.density(points), np.exp(2 * (f - constant)))


@pytest.mark.parametrize("positive", [False, True])
def test_the_density_does_not_exceed_its_bound(positive, rng):
    for _ in range(20):
        factor = random_conformal_factor(rng, (0, 9), (2.0, 4.0), positive=positive)
        assert factor.density(rng.uniform(-1, 1, (500, 2))).max() <= factor.bound * (1 + 1e-12)


def test_the_coefficients_decay_with_the_degree(rng):
    draws = np.array([random_conformal_factor(rng, 3, 4.0).coefficients for _ in range(4000)])
    degrees = np.add.outer(np.arange(4), np.arange(4))
    np.testing.assert_allclose(draws.std(axis=0), 4.0 ** -(degrees + 2.0), rtol=0.1)


@pytest.mark.parametrize("order", [1, 2, 5, 12])
@pytest.mark.parametrize("positive", [False, True])
def test_the_ricci_scalar_agrees_with_finite_differences_of_the_logarithm(order, positive, rng):
    factor = random_conformal_factor(rng, order, 3.0, positive=positive)
    factor.coefficients[0, 0] = 1.0  # keeps f away from its zeros
    t, x = rng.uniform(-0.9, 0.9, (2, 25))
    h = 1e-4

    def log_factor(dt: float, dx: float) -> np.ndarray:
        f = evaluated(factor.coefficients, np.column_stack([t + dt, x + dx]))
        return np.array(f) if positive else np.log(np.abs(f))

    here = log_factor(0, 0)
    by_time = (log_factor(h, 0) - 2 * here + log_factor(-h, 0)) / h**2
    by_place = (log_factor(0, h) - 2 * here + log_factor(0, -h)) / h**2
    expected = -2 * (by_place - by_time) / np.exp(2 * here)
    found = factor.ricci_scalar(np.column_stack([t, x]))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dimension", [2, 3, 4])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("curvature", [0.4, -0.4])
def test_the_ricci_scalar_of_a_space_of_constant_curvature_is_constant(
    dimension, positive, curvature, rng
):
    # ds² = (-dt² + dx²) / (1 + K s²/4)² with s² = -t² + x²: R = d (d - 1) K.
    def root_of_volume(points: NDArray[np.float64]) -> NDArray[np.float64]:
        interval = np.square(points[:, 1:]).sum(axis=1) - points[:, 0] ** 2
        value = (1 + curvature * interval / 4) ** (-dimension / 2)
        return np.log(value) if positive else value

    factor = ConformalFactor(interpolated(root_of_volume, dimension), positive)
    found = factor.ricci_scalar(rng.uniform(-1, 1, (20, dimension)))
    expected = dimension * (dimension - 1) * curvature
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("axis", "curvature"), [(0, 2), (1, -2)])
def test_the_ricci_scalar_of_de_sitter_and_anti_de_sitter_space_is_two(axis, curvature, rng):
    # ds² = sec² (-dt² + dx²), of t in de Sitter, of x in anti-de Sitter space.
    coefficients = interpolated(lambda points: 1 / np.cos(points[:, axis]), 2, 40)
    found = ConformalFactor(coefficients).ricci_scalar(rng.uniform(-1, 1, (10, 2)))
    np.testing.assert_allclose(found, curvature, atol=1e-6)


def test_the_ricci_scalar_of_an_exponential_stretch_vanishes(rng):
    # f = exp(t) is flat spacetime in other coordinates: ln f is linear.
    coefficients = interpolated(lambda points: np.exp(points[:, 0]), 2, 19)
    points = rng.uniform(-1, 1, (10, 2))
    found = ConformalFactor(coefficients).ricci_scalar(points)
    np.testing.assert_allclose(found, 0, atol=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("positive", [False, True])
def test_the_volume_is_that_of_many_points(dimension, positive, rng):
    factor = random_conformal_factor(rng, 4, 2.0, dimension, positive)
    values = factor.density(rng.uniform(-1, 1, (20_000, dimension))) * 2**dimension
    scale = np.exp(2 * factor.coefficients.flat[0]) if positive else 1
    error = scale * values.std() / np.sqrt(len(values))
    assert abs(scale * values.mean() - factor.volume()) < 4 * error


def test_points_follow_the_density(rng):
    coefficients = np.zeros((2, 2))
    coefficients[1, 0] = 1.0  # f = t, density t²
    t, x = sprinkle_density(rng, 20_000, ConformalFactor(coefficients)).T
    assert np.mean(t**2) == pytest.approx(3 / 5, abs=0.01)
    assert np.mean(x**2) == pytest.approx(1 / 3, abs=0.01)
    assert np.abs([t, x]).max() <= 1


def test_points_follow_the_density_of_a_positive_factor_in_three_dimensions(rng):
    factor = random_conformal_factor(rng, 3, 2.0, dimension=3, positive=True)
    found = sprinkle_density(rng, 4000, factor)
    anywhere = rng.uniform(-1, 1, (40_000, 3))
    weights = factor.density(anywhere)
    expected = (weights @ anywhere) / weights.sum()
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4.5 * error)


@PROPERTY
@given(
    seed=st.integers(0, 2**32),
    exponent=st.floats(-3, 3),
    dimension=st.sampled_from([2, 3, 4]),
    positive=st.booleans(),
)
def test_a_rescaled_metric_leaves_order_and_scaled_curvature_unchanged(
    seed, exponent, dimension, positive
):
    factor = random_conformal_factor(np.random.default_rng(seed), 3, 2.5, dimension, positive)
    scale = 10.0**exponent
    large = factor.rescaled(scale)
    sprinklings = [
        sprinkle_density(np.random.default_rng(seed), 40, one) for one in (factor, large)
    ]
    np.testing.assert_array_equal(*sprinklings)
    orders = [flat_order(points[:, 0], points[:, 1:])[1] for points in sprinklings]
    np.testing.assert_array_equal(*orders)
    curvature, other = (one.ricci_scalar(sprinklings[0]) for one in (factor, large))
    np.testing.assert_allclose(other, curvature * scale ** (-4 / dimension), rtol=1e-6)
    np.testing.assert_allclose(
        other * large.curvature_scale(40), curvature * factor.curvature_scale(40), rtol=1e-6
    )


def test_the_scaled_curvature_in_two_dimensions_is_that_of_an_element(rng):
    factor = random_conformal_factor(rng, 5, 3.0, positive=True)
    assert factor.curvature_scale(50) == pytest.approx(factor.volume() / 50)


def test_curvature_is_bounded_where_the_factor_is_positive():
    spread = {}
    for positive in (False, True):
        made = [
            polynomial(np.random.default_rng(seed), 60, positive=positive) for seed in range(40)
        ]
        scaled = np.concatenate([one.of_elements["scaled_curvature"] for one in made])
        spread[positive] = np.abs(scaled).max()
    assert spread[True] < 10
    assert spread[False] > 1000


def test_the_curvature_of_a_constant_conformal_factor_is_zero(rng):
    for positive in (False, True):
        assert not polynomial(rng, 30, order=0, positive=positive).curvature.any()


def test_a_positive_factor_has_to_decay(rng):
    with pytest.raises(ConfigError, match=r"'decay' is 1\.5; give a number from 2 to 1000"):
        polynomial(rng, 10, decay=1.5, positive=True)
