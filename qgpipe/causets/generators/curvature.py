"""Conformally flat spacetimes ds² = Ω² (-dt² + dx²) on the box [-1, 1]^d, from Chebyshev series.

The density of volume is Ω^d = f². In two dimensions f is the conformal factor Ω, up to its sign.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebvander
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from qgpipe.causets.generators.parameters import (
    IntegerParameter,
    RealParameter,
    draw_integer,
    draw_real,
)

MAX_ORDER = 100
MAX_DECAY = 1000.0
LEAST_DECAY_OF_POSITIVE = 2.0  # below, rejection takes long: f varies by orders of magnitude

_MORE_NODES = 16  # of the quadrature in each coordinate, than the degree
_AT_ONCE = 2**22  # entries of the largest temporary array

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class ConformalFactor:
    """f = Σ c_ij… T_i(t) T_j(x) …, or its exponential, which is ``positive``.

    ``coefficients`` c: float64 (k, …, k), one axis a coordinate, t first. ``decay``: r, see
    :func:`random_conformal_factor`. Points are float64 (m, d) in [-1, 1]. A factor that is not
    positive vanishes on curves, where the spacetime has no metric and R no bound.
    """

    coefficients: Reals
    positive: bool = False
    decay: float = float("nan")

    @property
    def dimension(self) -> int:
        """Number d of coordinates."""
        return self.coefficients.ndim

    @property
    def order(self) -> int:
        """Highest degree in each coordinate."""
        return len(self.coefficients) - 1

    def rescaled(self, scale: float) -> "ConformalFactor":
        """The same with f times ``scale``; the metric is multiplied by scale^(4/d)."""
        coefficients = self.coefficients.copy()
        if self.positive:
            coefficients.flat[0] += np.log(scale)
        else:
            coefficients *= scale
        return ConformalFactor(coefficients, self.positive, self.decay)

    @property
    def bound(self) -> float:
        """What the density does not exceed: no T does 1 on the box, so |Σ c T| ≤ Σ |c|."""
        largest = np.abs(self._varying).sum()
        return float(np.exp(2 * largest) if self.positive else largest**2)

    def density(self, points: Reals) -> Reals:
        """Density f² of volume, float64 (m,); of a positive factor without its constant term."""
        values = _series(self._varying, _polynomials(points, self.order + 1))
        return np.exp(2 * values) if self.positive else values**2

    @property
    def _varying(self) -> Reals:
        """Coefficients without the constant term of a positive factor, which is a scale."""
        if not self.positive:
            return self.coefficients
        varying = self.coefficients.copy()
        varying.flat[0] = 0
        return varying

    def volume(self) -> float:
        """∫ f² over the box: by Gauss-Legendre quadrature, exact for a factor that is a polynomial.

        For an exponential the error is that of a polynomial of twice the degree plus 31.
        """
        polynomials, weights = _quadrature(self.order)
        values = self.coefficients
        for _ in range(self.dimension):  # each turn transforms the first axis and moves it last
            values = np.tensordot(values, polynomials, axes=(0, 1))
        values = np.exp(2 * values) if self.positive else values**2
        for _ in range(self.dimension):
            values = np.tensordot(values, weights, axes=(0, 0))
        return float(values)

    def ricci_scalar(self, points: Reals) -> Reals:
        """Ricci scalar R at the points, float64 (m,).

        R = -Ω^-2 [2 (d - 1) □ ln Ω + (d - 2) (d - 1) (∂ ln Ω)²] with Ω = |f|^(2/d), flat
        □ = -∂_t² + ∂_x² and (∂w)² = -w_t² + w_x² (Wald, General Relativity, 1984, app. D). In two
        dimensions this is 2 [f_x² - f_t² + f (f_tt - f_xx)] / f⁴.
        """
        if self.dimension == 2 and not self.positive:
            return self._ricci_scalar_2d(points)
        d, count = self.dimension, self.order + 1
        polynomials = _polynomials(points, count)
        value = _series(self.coefficients, polynomials)
        squared, box = np.zeros_like(value), np.zeros_like(value)  # (∂ ln|f|)², □ ln|f|
        for axis in range(d):
            first = _derived(self.coefficients, axis)
            slope = _series(first, polynomials)
            bend = _series(_derived(first, axis), polynomials)
            if not self.positive:
                slope, bend = slope / value, bend / value - (slope / value) ** 2
            sign = 1 if axis else -1
            squared += sign * slope**2
            box += sign * bend
        power = 2 / d
        stretch = np.exp(-2 * power * (value if self.positive else np.log(np.abs(value))))
        return -stretch * (d - 1) * (2 * power * box + (d - 2) * power**2 * squared)

    def _ricci_scalar_2d(self, points: Reals) -> Reals:
        """The formula for two dimensions: stores of earlier versions have these bytes."""
        polynomials, c = _polynomials(points, self.order + 1), self.coefficients
        derivative = _derivative(len(c))
        by_t, by_x = derivative @ c, c @ derivative.T
        f, f_t, f_x, f_tt, f_xx = (
            _series(one, polynomials)
            for one in (c, by_t, by_x, derivative @ by_t, by_x @ derivative.T)
        )
        return 2 * (f_x**2 - f_t**2 + f * (f_tt - f_xx)) / f**4

    def curvature_scale(self, n: int) -> float:
        """(V/n)^(2/d) with the volume V of the box.

        R times this is the curvature in units of the volume of one of n elements: dimensionless,
        and the same for all metrics that differ by a constant factor. In two dimensions it is
        R V / n.
        """
        return float((self.volume() / max(1, n)) ** (2 / self.dimension))


def random_conformal_factor(
    rng: np.random.Generator,
    order: IntegerParameter,
    decay: RealParameter,
    dimension: int = 2,
    positive: bool = False,
) -> ConformalFactor:
    """A random factor with coefficients c_ij… = r^-(i+j+…+d) N(0, 1).

    ``order`` is the highest degree in each coordinate, ``decay`` is r ≥ 1, or at least 2 if
    ``positive``; either may be a range to draw from.
    """
    degree = draw_integer(rng, order, "order", 0, MAX_ORDER)
    least = LEAST_DECAY_OF_POSITIVE if positive else 1.0
    ratio = draw_real(rng, decay, "decay", least, MAX_DECAY)
    exponents = functools.reduce(np.add.outer, [np.arange(degree + 1)] * dimension)
    scale = ratio ** -(exponents + float(dimension))
    return ConformalFactor(scale * rng.standard_normal(scale.shape), positive, ratio)


def sprinkle_density(rng: np.random.Generator, n: int, factor: ConformalFactor) -> Reals:
    """n points in [-1, 1]^d with density f², by rejection: float64 (n, d), in no order."""
    accepted: list[Reals] = []
    missing, candidates = n, 4 * n
    while missing > 0:
        points = rng.uniform(-1, 1, (factor.dimension, candidates))
        kept = points[:, rng.random(candidates) * factor.bound < factor.density(points.T)]
        accepted.append(kept)
        missing -= kept.shape[1]
        candidates = min(int(candidates * 1.2 * missing / max(1, kept.shape[1])) + 16, 64 * n)
    return np.concatenate(accepted, axis=1)[:, :n].T


def _series(coefficients: Reals, polynomials: Sequence[Reals]) -> Reals:
    """Σ c_ij… T_i T_j … at m points, float64 (m,); ``polynomials``: (k, m) of each coordinate."""
    step = max(1, _AT_ONCE // (coefficients.size // len(coefficients)))
    if polynomials[0].shape[1] > step:
        starts = range(0, polynomials[0].shape[1], step)
        parts = [[one[:, s : s + step] for one in polynomials] for s in starts]
        return np.concatenate([_series(coefficients, part) for part in parts])
    values = np.tensordot(coefficients, polynomials[0], axes=(0, 0))
    for one in polynomials[1:]:
        values = np.einsum("i...n,in->...n", values, one)
    return values


def _polynomials(points: Reals, count: int) -> list[Reals]:
    """T_0 … T_(count-1) of each coordinate of the points (m, d), float64 (count, m) each."""
    values = chebvander(points.T, count - 1)  # of all coordinates at once, (d, m, count)
    return [np.ascontiguousarray(one.T) for one in values]


def _derived(coefficients: Reals, axis: int) -> Reals:
    """Coefficients of the derivative by the coordinate ``axis``."""
    matrix = _derivative(len(coefficients))
    return np.moveaxis(np.tensordot(matrix, coefficients, axes=(1, axis)), 0, axis)


@functools.cache
def _quadrature(order: int) -> tuple[Reals, Reals]:
    """T_0 … T_order at Gauss-Legendre nodes, (m, order + 1), and the weights of these (m,)."""
    nodes, weights = leggauss(order + _MORE_NODES)
    return np.asarray(chebvander(nodes, order), np.float64), weights


@functools.cache
def _derivative(count: int) -> Reals:
    """Matrix (count, count) that takes Chebyshev coefficients to those of the derivative."""
    matrix = np.zeros((count, count))
    matrix[: max(1, count - 1)] = chebder(np.eye(count))
    return matrix
