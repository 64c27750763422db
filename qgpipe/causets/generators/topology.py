"""Sprinklings into 2-d spacetimes with slits: the topology is no longer that of the plane."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.curvature import random_conformal_factor, sprinkle_density
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.parameters import (
    IntegerParameter,
    RealParameter,
    draw_integer,
    highest,
)
from qgpipe.causets.generators.sprinklings import (
    DEFAULT_DECAY,
    DEFAULT_ORDER,
    in_conformal_spacetime,
)
from qgpipe.causets.order import transitive_closure

MAX_GENUS = 100

_ABOVE_EVERYTHING = 4.0
_TRIES = 64  # slits that are drawn at once, to find one that touches no other


def complex_topology(
    rng: np.random.Generator,
    n: int,
    vertical_cuts: IntegerParameter = (1, 5),
    finite_cuts: IntegerParameter = (1, 5),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
    genus: IntegerParameter | None = None,
) -> CausalSet:
    """A polynomial sprinkling into [-1, 1]² with slits that no causal curve crosses.

    ``vertical_cuts`` slits run from a random point up to the end of time, as in a trousers
    spacetime; ``finite_cuts`` join two random points. ``genus``, if given, replaces
    ``finite_cuts``: as many finite slits that touch no other slit. ``order`` and ``decay`` are
    those of :func:`~qgpipe.causets.generators.sprinklings.polynomial`. The genus is the number of
    holes, see :func:`number_of_holes`.
    """
    upward = draw_integer(rng, vertical_cuts, "vertical_cuts", 0, 1000)
    if genus is None:
        finite = draw_integer(rng, finite_cuts, "finite_cuts", 0, 1000)
        most = highest(vertical_cuts) + highest(finite_cuts)
    else:
        finite = draw_integer(rng, genus, "genus", 0, MAX_GENUS)
        most = highest(vertical_cuts) + highest(genus)
    drawn = upward + (finite if genus is None else 0)
    starts = rng.uniform(-1, 1, (drawn, 2))
    ends = rng.uniform(-1, 1, (drawn, 2))
    ends[:upward, 0] = _ABOVE_EVERYTHING
    ends[:upward, 1] = starts[:upward, 1]
    cuts = np.stack([starts, ends], axis=1)
    if genus is not None:
        cuts = _with_free_cuts(rng, cuts, finite)
    factor = random_conformal_factor(rng, order, decay)
    points = sprinkle_density(rng, n, factor)
    labels, relations = slit_order(points, cuts)
    kept_cuts = np.full((int(most), 4), np.nan)
    kept_cuts[: len(cuts)] = np.minimum(cuts.reshape(-1, 4), 1.0)
    return in_conformal_spacetime(
        relations,
        points[labels],
        factor,
        vertical_cuts=upward,
        finite_cuts=finite,
        genus=number_of_holes(cuts, upward),
        cuts=kept_cuts.reshape(-1),
    )


def number_of_holes(cuts: NDArray[np.float64], upward: int) -> int:
    """Holes of the square without the slits ``cuts`` (m, 2, 2), the first ``upward`` to its edge.

    This is the rank of the first homology, or the number of independent closed curves that cannot
    be contracted: by Alexander duality the number of connected pieces of the union of slits that do
    not reach the edge.
    """
    starts, ends = cuts[:, None, 0], cuts[:, None, 1]
    touching = _crosses(starts, ends, cuts[:, 0], cuts[:, 1])
    pieces, labels = connected_components(csr_array(touching), directed=False)
    return pieces - len(np.unique(labels[:upward]))


def _with_free_cuts(
    rng: np.random.Generator, cuts: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """``cuts`` and ``count`` more that touch none; they get shorter where there is no room."""
    length = 1.0
    for _ in range(count):
        while True:
            starts, ends = rng.uniform(-1, 1, (2, _TRIES, 2))
            ends = starts + length * (ends - starts)
            across = _crosses(starts[:, None], ends[:, None], cuts[:, 0], cuts[:, 1])
            free = np.flatnonzero(~across.any(axis=1))
            if len(free):
                break
            length *= 0.8
        found = np.stack([starts[free[0]], ends[free[0]]])
        cuts = np.concatenate([cuts, found[None]])
    return cuts


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
    crosses = np.zeros(len(starts), np.bool_)
    # One cut at a time: there are few, but the segments are as many as the relations.
    for first, second in cuts:
        crosses |= _crosses(starts, ends, first, second)
    return crosses


def _crosses(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether segments from ``starts`` to ``ends`` cross those from ``first`` to ``second``.

    All are (…, 2), and are broadcast.
    """
    along, slit = ends - starts, second - first
    sides = _cross(along, first - starts) * _cross(along, second - starts)
    slit_sides = _cross(slit, starts - first) * _cross(slit, ends - first)
    return (sides < 0) & (slit_sides < 0)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
