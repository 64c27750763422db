"""Observables with one value a causal set: functions of a block of them, float64 [B] or [B, k].

In the formulas A is the relation matrix, L the link matrix, n the number of elements.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.bit_rows import row_counts
from qgpipe.causets.observables import COLUMNS, GRAPH
from qgpipe.causets.orders import Orders

MAX_DIMENSION = 10.0

_ROUNDING = 1e-8  # eigenvalues below are 0; all others exceed 1/n²

Reals = NDArray[np.float64]


def ordering_fraction(orders: Orders) -> Reals:
    """Related pairs over pairs, r = Σ_ij A_ij / (n (n - 1) / 2); 0 for n < 2."""
    n = orders.sizes
    return orders.num_relations / np.maximum(1.0, n * (n - 1) / 2)


def myrheim_meyer_dimension(orders: Orders) -> Reals:
    """Dimension d of the flat spacetime whose causal diamonds have the ordering fraction r.

    Solves r = Γ(d + 1) Γ(d/2) / (2 Γ(3d/2)) (Myrheim, CERN-TH-2538, 1978; Meyer, MIT thesis,
    1988), within 1e-5: d = 1 for a chain, 2 for r = 1/2; at most ``MAX_DIMENSION``, also for r = 0.
    """
    return dimension_of(ordering_fraction(orders))


def link_fraction(orders: Orders) -> Reals:
    """Links over relations, Σ_ij L_ij / Σ_ij A_ij; 0 without relations."""
    return row_counts(orders.links).sum(axis=1) / np.maximum(1, orders.num_relations)


def longest_chain_fraction(orders: Orders) -> Reals:
    """Elements of the longest chain over n: (1 + max_i max_pathlens_past(i)) / n."""
    return (1 + orders.chains[0].max(axis=1).astype(np.float64)) / orders.sizes


def interval_abundances(orders: Orders, k: int = COLUMNS["interval_abundances"]) -> Reals:
    """Numbers N_m of pairs i ≺ j with m elements between them, m = 0 … k - 1, [B, k].

    N_0 is the number of links (Glaser and Surya, Phys. Rev. D 88, 124026, 2013).
    """
    pairs = np.flatnonzero(orders.relations & (orders.intervals < k))
    between = orders.intervals.reshape(-1)[pairs].astype(np.int64)
    block = pairs // orders.relations.shape[1] ** 2
    counts = np.bincount(block * k + between, minlength=len(orders.sizes) * k)
    return counts.reshape(-1, k).astype(np.float64)


def longest_chain(orders: Orders) -> Reals:
    """Elements of the longest chain: 1 + max_i max_pathlens_past(i)."""
    return 1 + orders.chains[0].max(axis=1).astype(np.float64)


def height_profile(orders: Orders, k: int = COLUMNS["height_profile"]) -> Reals:
    """Shares of the elements at each height, from the first to the last in k bins, [B, k].

    The height h(i) = max_pathlens_past(i) runs from 0 to H - 1, H being the number of elements of
    the longest chain; element i is in bin ⌊k h(i) / H⌋. The shares add up to 1.
    """
    heights = orders.chains[0].astype(np.int64)
    bins = heights * k // longest_chain(orders).astype(np.int64)[:, None]
    places = np.arange(len(bins))[:, None] * k + bins
    counts = np.bincount(places[orders.inside], minlength=len(bins) * k)
    return counts.reshape(-1, k) / orders.sizes[:, None]


def midpoint_dimension(orders: Orders) -> Reals:
    """Midpoint-scaling dimension d = log₂(n / N₁), at most ``MAX_DIMENSION``.

    N₁ = ½ + max_i min(|past(i)|, |future(i)|). The midpoint is the element that leaves the most on
    the side where it leaves fewer; it halves lengths, so either side has 2^(-d) of the volume
    (Bombelli; see Reid, arXiv:gr-qc/0207103). The whole set is taken for the interval, as if a
    first and a last element were added to it. The midpoint counts half on either side: this is
    exact for a chain of odd n, and N₁ is never 0.
    """
    midpoint = np.minimum(orders.in_degree, orders.out_degree).max(axis=1)
    return np.minimum(np.log2(orders.sizes / (0.5 + midpoint.astype(np.float64))), MAX_DIMENSION)


def action_2d(orders: Orders) -> Reals:
    """Benincasa-Dowker action in two dimensions, n - 2 N_0 + 4 N_1 - 2 N_2.

    N_m: :func:`interval_abundances`; papers on the action call it N_(m+1). In units of 2 ħ
    (Benincasa, Dowker and Schmitzer, arXiv:1011.5191): the mean over n points that are sprinkled
    into a causal diamond of flat spacetime is 1 for every n.
    """
    return orders.sizes + interval_abundances(orders, 3) @ np.array([-2.0, 4.0, -2.0])


def action_4d(orders: Orders) -> Reals:
    """Benincasa-Dowker action in four dimensions, n - N_0 + 9 N_1 - 16 N_2 + 8 N_3.

    N_m: :func:`interval_abundances`. In units of 4/√6 (l/l_p)² ħ, l being the length of
    discreteness and l_p = √(8πGħ) the Planck length (Benincasa and Dowker, arXiv:1001.2725; Dowker
    and Glaser, arXiv:1305.2588).
    """
    return orders.sizes + interval_abundances(orders, 4) @ np.array([-1.0, 9.0, -16.0, 8.0])


def hasse_spectrum(orders: Orders, k: int = COLUMNS["hasse_spectrum"]) -> Reals:
    """The k largest eigenvalues of the Laplacian of the links, falling, [B, k]; 0 beyond n.

    The Laplacian is D - (L + Lᵀ), the diagonal matrix D holding the numbers of links of each
    element (used by Eichhorn et al., arXiv:2605.27514). All eigenvalues are computed: methods for
    the largest alone do not converge on long chains, and miss repeated ones.
    """
    laplacian = -(orders.links | orders.links.swapaxes(1, 2)).astype(np.float64)
    diagonal = np.arange(laplacian.shape[1])
    laplacian[:, diagonal, diagonal] = -laplacian.sum(axis=2)
    largest = np.linalg.eigvalsh(laplacian)[:, ::-1][:, :k]
    largest[largest < _ROUNDING] = 0
    return np.pad(largest, ((0, 0), (0, k - largest.shape[1])))


def two_order(orders: Orders) -> Reals:
    """1 if the order is the intersection of two total orders, 0 if not.

    It is 1 for every sprinkling into a conformally flat, topologically trivial two-dimensional
    spacetime. See :mod:`qgpipe.causets.two_orders`.
    """
    from qgpipe.causets.two_orders import are_two_orders  # loads scipy, which takes a while

    return are_two_orders(orders).astype(np.float64)


GRAPH_OBSERVABLES: dict[str, Callable[..., Reals]] = {name: globals()[name] for name in GRAPH}
"""Graph observables by name; those in ``COLUMNS`` also take the number of columns."""


def dimension_of(fraction: Reals) -> Reals:
    """The dimension that :func:`myrheim_meyer_dimension` gives for an ordering fraction."""
    dimensions, logarithms = _dimension_table()
    with np.errstate(divide="ignore"):
        return np.interp(-np.log(fraction), logarithms, dimensions)


@functools.cache
def _dimension_table() -> tuple[Reals, Reals]:
    """Dimensions from 1 to MAX_DIMENSION, and -ln r of each, which grows with d."""
    dimensions = np.linspace(1, MAX_DIMENSION, 4001)
    logarithms = [
        math.log(2) + math.lgamma(1.5 * d) - math.lgamma(d + 1) - math.lgamma(0.5 * d)
        for d in dimensions
    ]
    return dimensions, np.array(logarithms)
