"""Conformally flat 2-d spacetimes ds² = f² (-dt² + dx²), f a Chebyshev series on [-1, 1]²."""

import functools

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebvander
from numpy.typing import NDArray

from qgpipe.causets.generators.parameters import (
    IntegerParameter,
    RealParameter,
    draw_integer,
    draw_real,
)

MAX_ORDER = 100
MAX_DECAY = 1000.0


def random_conformal_factor(
    rng: np.random.Generator, order: IntegerParameter, decay: RealParameter
) -> NDArray[np.float64]:
    """Coefficients c_ij = r^-(i+j+2) N(0, 1) of a random conformal factor f = Σ c_ij T_i(t) T_j(x).

    ``order`` is the highest degree in t and in x, ``decay`` is r ≥ 1; either may be a range
    to draw from. Returns float64 (order + 1, order + 1).
    """
    degree = draw_integer(rng, order, "order", 0, MAX_ORDER)
    ratio = draw_real(rng, decay, "decay", 1.0, MAX_DECAY)
    powers = np.arange(degree + 1)
    scale = ratio ** -(powers[:, None] + powers + 2.0)
    return scale * rng.standard_normal(scale.shape)


def conformal_factor(
    coefficients: NDArray[np.float64], t: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """f(t, x) at points t, x (n,) in [-1, 1], float64 (n,); ``coefficients`` (k, k)."""
    count = len(coefficients)
    return _series(coefficients, _polynomials(t, count), _polynomials(x, count))


def ricci_scalar(
    coefficients: NDArray[np.float64], t: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ricci scalar R = 2 [f_x² - f_t² + f (f_tt - f_xx)] / f⁴ at points t, x (n,), float64 (n,).

    ``coefficients`` (k, k) are those of f. R is -2 f^-2 □ ln|f| with □ = -∂_t² + ∂_x², the
    curvature of a conformally flat metric in two dimensions (Wald, General Relativity, app. D).
    """
    count = len(coefficients)
    in_t, in_x = _polynomials(t, count), _polynomials(x, count)
    derivative = _derivative(count)
    by_t, by_x = derivative @ coefficients, coefficients @ derivative.T
    f, f_t, f_x, f_tt, f_xx = (
        _series(c, in_t, in_x)
        for c in (coefficients, by_t, by_x, derivative @ by_t, by_x @ derivative.T)
    )
    return 2 * (f_x**2 - f_t**2 + f * (f_tt - f_xx)) / f**4


def _series(
    coefficients: NDArray[np.float64], in_t: NDArray[np.float64], in_x: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.einsum("in,in->n", coefficients.T @ in_t, in_x)


def _polynomials(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """T_0 … T_(count-1) at points (n,), float64 (count, n)."""
    return np.asarray(chebvander(points, count - 1).T, np.float64)


@functools.cache
def _derivative(count: int) -> NDArray[np.float64]:
    """Matrix (count, count) that takes Chebyshev coefficients to those of the derivative."""
    matrix = np.zeros((count, count))
    matrix[: max(1, count - 1)] = chebder(np.eye(count))
    return matrix
