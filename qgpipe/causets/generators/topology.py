"""Sprinklings into 2-d spacetimes with slits: the topology is no longer that of the plane."""

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.curvature import random_conformal_factor, ricci_scalar
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.parameters import IntegerParameter, RealParameter, draw_integer
from qgpipe.causets.generators.sprinklings import DEFAULT_DECAY, DEFAULT_ORDER, sprinkle_density
from qgpipe.causets.order import transitive_closure

_ABOVE_EVERYTHING = 4.0


def complex_topology(
    rng: np.random.Generator,
    n: int,
    vertical_cuts: IntegerParameter = (1, 5),
    finite_cuts: IntegerParameter = (1, 5),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """A polynomial sprinkling into [-1, 1]² with slits that no causal curve crosses.

    ``vertical_cuts`` slits run from a random point up to the end of time, as in a trousers
    spacetime; ``finite_cuts`` join two random points. ``order`` and ``decay`` are those of
    :func:`~qgpipe.causets.generators.sprinklings.polynomial`.
    """
    upward = draw_integer(rng, vertical_cuts, "vertical_cuts", 0, 1000)
    finite = draw_integer(rng, finite_cuts, "finite_cuts", 0, 1000)
    starts = rng.uniform(-1, 1, (upward + finite, 2))
    ends = rng.uniform(-1, 1, (upward + finite, 2))
    ends[:upward, 0] = _ABOVE_EVERYTHING
    ends[:upward, 1] = starts[:upward, 1]
    coefficients = random_conformal_factor(rng, order, decay)
    t, x = sprinkle_density(rng, n, coefficients)
    labels, relations = slit_order(np.column_stack([t, x]), np.stack([starts, ends], axis=1))
    curvature = ricci_scalar(coefficients, t[labels], x[labels])
    return CausalSet(relations, manifold_like=True, curvature=curvature)


def slit_order(
    points: NDArray[np.float64], cuts: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Label points of slit flat spacetime by time, and relate those that a causal curve joins.

    ``points`` (n, 2) are (t, x), ``cuts`` (m, 2, 2) the two ends (t, x) of each slit. Returns the
    permutation (n,) that sorts the points by time, and the relations (n, n) of the sorted points.

    A causal curve around slits can be shortened until it is straight between its ends and ends of
    slits, and it is still causal. So points and ends of slits are related if the straight line
    between them is causal and crosses no slit. The transitive closure, restricted to the points, is
    the causal order.
    """
    n = len(points)
    nodes = np.concatenate([points, cuts.reshape(-1, 2)])
    labels, causal = flat_order(nodes[:, 0], nodes[:, 1:])
    past, future = np.nonzero(causal)
    sorted_nodes = nodes[labels]
    blocked = _crosses_any(sorted_nodes[past], sorted_nodes[future], cuts)
    causal[past[blocked], future[blocked]] = False
    is_point = labels < n
    return labels[is_point], transitive_closure(causal)[np.ix_(is_point, is_point)]


def _crosses_any(
    starts: NDArray[np.float64], ends: NDArray[np.float64], cuts: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each segment (k, 2) crosses the interior of a cut; touching an end does not count."""
    along = ends - starts
    crosses = np.zeros(len(starts), np.bool_)
    # One cut at a time: there are few, but the segments are as many as the relations.
    for first, second in cuts:
        slit = second - first
        sides = _cross(along, first - starts) * _cross(along, second - starts)
        slit_sides = _cross(slit, starts - first) * _cross(slit, ends - first)
        crosses |= (sides < 0) & (slit_sides < 0)
    return crosses


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
