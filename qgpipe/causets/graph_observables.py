"""Observables with one value a causal set: functions of a block of them, float64 [B] or [B, k].

In the formulas A is the relation matrix, L the link matrix, n the number of elements.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.observables import COLUMNS, GRAPH
from qgpipe.causets.orders import Orders

MAX_DIMENSION = 10.0

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
    return np.count_nonzero(orders.links, axis=(1, 2)) / np.maximum(1, orders.num_relations)


def longest_chain_fraction(orders: Orders) -> Reals:
    """Elements of the longest chain over n: (1 + max_i max_pathlens_past(i)) / n."""
    return (1 + orders.chains[0].max(axis=1).astype(np.float64)) / orders.sizes


def interval_abundances(orders: Orders, k: int = COLUMNS["interval_abundances"]) -> Reals:
    """Numbers N_m of pairs i ≺ j with m elements between them, m = 0 … k - 1, [B, k].

    N_0 is the number of links (Glaser and Surya, Phys. Rev. D 88, 124026, 2013).
    """
    block, i, j = np.nonzero(orders.relations & (orders.intervals < k))
    between = orders.intervals[block, i, j].astype(np.int64)
    counts = np.bincount(block * k + between, minlength=len(orders.sizes) * k)
    return counts.reshape(-1, k).astype(np.float64)


GRAPH_OBSERVABLES: dict[str, Callable[..., Reals]] = {name: globals()[name] for name in GRAPH}
"""Graph observables by name; those in ``COLUMNS`` take the number of columns, too."""


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
