"""Sprinklings: points at random in a spacetime, with the causal order of that spacetime."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.curvature import (
    ConformalFactor,
    random_conformal_factor,
    sprinkle_density,
)
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.parameters import (
    IntegerParameter,
    RealParameter,
    require_choice,
)

DEFAULT_ORDER: IntegerParameter = (5, 15)
DEFAULT_DECAY: RealParameter = (2.0, 8.0)
DIMENSIONS = (2, 3, 4)


def minkowski(rng: np.random.Generator, n: int, dimension: int = 2) -> CausalSet:
    """Sprinkle n points uniformly into the causal diamond |x| ≤ 1 - |t| of flat spacetime.

    ``dimension`` d counts time: 2, 3 or 4. Raises ``ConfigError`` for any other.
    """
    require_choice(dimension, "dimension", DIMENSIONS)
    # A slice at time t is a (d-1)-ball of radius 1 - |t|: its volume goes as the (d-1)th power.
    radius = rng.random(n) ** (1 / dimension)
    t = (1 - radius) * rng.choice([-1.0, 1.0], n)
    direction = rng.standard_normal((n, dimension - 1))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = radius * rng.random(n) ** (1 / (dimension - 1))
    x = distance[:, None] * direction
    labels, relations = flat_order(t, x)
    return CausalSet(
        relations,
        manifold_like=True,
        curvature=np.zeros(n),
        of_elements={
            "coordinates": np.column_stack([t, x])[labels],
            "scaled_curvature": np.zeros(n),
        },
        made_of={"dimension": dimension, "mean_scaled_curvature": 0.0},
    )


def polynomial(
    rng: np.random.Generator,
    n: int,
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
    dimension: int = 2,
    positive: bool = False,
) -> CausalSet:
    """Sprinkle n points into a conformally flat spacetime with a random polynomial factor.

    ``order`` and ``decay`` (or ranges to draw them from) shape the factor f, see
    :func:`~qgpipe.causets.generators.curvature.random_conformal_factor`. The density of points is
    f² on [-1, 1]^d, d = ``dimension`` being 2, 3 or 4; the causal order is the flat one, which a
    conformal factor does not change. ``positive``: f is the exponential of the polynomial and
    vanishes nowhere; use it if curvature is the target. Raises ``ConfigError`` for any other
    dimension.
    """
    return in_conformal_spacetime(*sprinkle_polynomial(rng, n, order, decay, dimension, positive))


def sprinkle_polynomial(
    rng: np.random.Generator,
    n: int,
    order: IntegerParameter,
    decay: RealParameter,
    dimension: int = 2,
    positive: bool = False,
) -> tuple[NDArray[np.bool_], NDArray[np.float64], ConformalFactor]:
    """Relations (n, n) and points (n, d) of :func:`polynomial`, labelled by time, and the factor.

    Curvature, which takes as long as all of these, is left out.
    """
    require_choice(dimension, "dimension", DIMENSIONS)
    require_choice(positive, "positive", (False, True))
    factor = random_conformal_factor(rng, order, decay, dimension, positive)
    points = sprinkle_density(rng, n, factor)
    labels, relations = flat_order(points[:, 0], points[:, 1:])
    return relations, points[labels], factor


def in_conformal_spacetime(
    relations: NDArray[np.bool_],
    points: NDArray[np.float64],
    factor: ConformalFactor,
    **made_of: Any,
) -> CausalSet:
    """A sprinkling with what the spacetime of ``factor`` has at its elements ``points`` (n, d)."""
    curvature = factor.ricci_scalar(points)
    scaled = curvature * factor.curvature_scale(len(points))
    return CausalSet(
        relations,
        manifold_like=True,
        curvature=curvature,
        of_elements={"coordinates": points, "scaled_curvature": scaled},
        made_of={**described(factor), "mean_scaled_curvature": scaled.mean(), **made_of},
    )


def described(factor: ConformalFactor) -> dict[str, Any]:
    """What is kept of the shape of a spacetime."""
    return {
        "dimension": factor.dimension,
        "factor_order": factor.order,
        "factor_decay": factor.decay,
    }
