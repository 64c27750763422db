"""Sprinklings: points at random in a spacetime, with the causal order of that spacetime."""

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.curvature import (
    conformal_factor,
    random_conformal_factor,
    ricci_scalar,
)
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.parameters import IntegerParameter, RealParameter
from qgpipe.errors import ConfigError, shown

DEFAULT_ORDER: IntegerParameter = (5, 15)
DEFAULT_DECAY: RealParameter = (2.0, 8.0)


def minkowski(rng: np.random.Generator, n: int, dimension: int = 2) -> CausalSet:
    """Sprinkle n points uniformly into the causal diamond |x| ≤ 1 - |t| of flat spacetime.

    ``dimension`` d counts time: 2, 3 or 4. Raises ``ConfigError`` for any other.
    """
    if dimension not in (2, 3, 4):
        raise ConfigError(f"'dimension' is {shown(dimension)}", remedy="give 2, 3 or 4")
    # A slice at time t is a (d-1)-ball of radius 1 - |t|: its volume goes as the (d-1)th power.
    radius = rng.random(n) ** (1 / dimension)
    t = (1 - radius) * rng.choice([-1.0, 1.0], n)
    direction = rng.standard_normal((n, dimension - 1))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = radius * rng.random(n) ** (1 / (dimension - 1))
    _, relations = flat_order(t, distance[:, None] * direction)
    return CausalSet(relations, manifold_like=True, curvature=np.zeros(n))


def polynomial(
    rng: np.random.Generator,
    n: int,
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """Sprinkle n points into a curved 2-d spacetime with a random polynomial conformal factor.

    ``order`` and ``decay`` (or ranges to draw them from) shape the factor, see
    ``curvature.random_conformal_factor``. The density of points is f² on
    [-1, 1]²; the causal order is the flat one, which a conformal factor does not change.
    """
    coefficients = random_conformal_factor(rng, order, decay)
    t, x = sprinkle_density(rng, n, coefficients)
    labels, relations = flat_order(t, x[:, None])
    curvature = ricci_scalar(coefficients, t[labels], x[labels])
    return CausalSet(relations, manifold_like=True, curvature=curvature)


def sprinkle_density(
    rng: np.random.Generator, n: int, coefficients: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """n points in [-1, 1]² with density f², by rejection; times (n,) and positions (n,).

    ``coefficients`` (k, k) are those of the Chebyshev series f. No polynomial exceeds 1 on the
    square, so f² ≤ (Σ |c_ij|)² and the sampling is exact.
    """
    bound = np.abs(coefficients).sum() ** 2
    accepted: list[NDArray[np.float64]] = []
    missing, candidates = n, 4 * n
    while missing > 0:
        points = rng.uniform(-1, 1, (2, candidates))
        density = conformal_factor(coefficients, *points) ** 2
        kept = points[:, rng.random(candidates) * bound < density]
        accepted.append(kept)
        missing -= kept.shape[1]
        candidates = min(int(candidates * 1.2 * missing / max(1, kept.shape[1])) + 16, 64 * n)
    t, x = np.concatenate(accepted, axis=1)[:, :n]
    return t, x
