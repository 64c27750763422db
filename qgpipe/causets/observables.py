"""Observables of causal sets: one number an element (node) or one a causal set (graph).

In the formulas A is the relation matrix, L the link matrix, n the number of elements; past(i)
and future(i) leave out i itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.order import interval_sizes, longest_chains, transitive_reduction

INTERVAL_SIZES = 10
MAX_DIMENSION = 10.0

NodeValues = NDArray[np.float32]


class Order:
    """A causal set with what its observables share, each part computed once.

    ``relations`` is the relation matrix, bool (n, n), transitively closed, upper triangular.
    """

    def __init__(self, relations: NDArray[np.bool_]):
        self.relations = relations
        self.size = len(relations)

    @cached_property
    def intervals(self) -> NDArray[np.float32]:
        """Elements strictly between each pair: A², float32 (n, n)."""
        return interval_sizes(self.relations)

    @cached_property
    def links(self) -> NDArray[np.bool_]:
        """Link matrix L, bool (n, n): A_ij and (A²)_ij = 0."""
        return transitive_reduction(self.relations, self.intervals)

    @cached_property
    def chains(self) -> tuple[NodeValues, NodeValues]:
        """Links in the longest chain that ends, and that starts, at each element, float32 (n,)."""
        return longest_chains(self.relations)

    @cached_property
    def in_degree(self) -> NodeValues:
        """|past(i)| = Σ_j A_ji, float32 (n,)."""
        return self.relations.sum(axis=0, dtype=np.float32)

    @cached_property
    def out_degree(self) -> NodeValues:
        """|future(i)| = Σ_j A_ij, float32 (n,)."""
        return self.relations.sum(axis=1, dtype=np.float32)

    @cached_property
    def two_chains_past(self) -> NodeValues:
        """Chains j ≺ k ≺ i: Σ_j (A²)_ji, float32 (n,)."""
        return self.intervals.sum(axis=0)

    @cached_property
    def two_chains_future(self) -> NodeValues:
        """Chains i ≺ j ≺ k: Σ_k (A²)_ik, float32 (n,)."""
        return self.intervals.sum(axis=1)

    @cached_property
    def num_relations(self) -> int:
        """Related pairs, Σ_ij A_ij."""
        return int(np.count_nonzero(self.relations))


def max_pathlens_future(order: Order) -> NodeValues:
    """Links in the longest chain that starts at i; 0 for a maximal element."""
    return order.chains[1]


def max_pathlens_past(order: Order) -> NodeValues:
    """Links in the longest chain that ends at i; 0 for a minimal element."""
    return order.chains[0]


def in_degree(order: Order) -> NodeValues:
    """Elements in the past: |past(i)| = Σ_j A_ji."""
    return order.in_degree


def out_degree(order: Order) -> NodeValues:
    """Elements in the future: |future(i)| = Σ_j A_ij."""
    return order.out_degree


def in_degrees_link(order: Order) -> NodeValues:
    """Links from the past: Σ_j L_ji."""
    return order.links.sum(axis=0, dtype=np.float32)


def out_degrees_link(order: Order) -> NodeValues:
    """Links to the future: Σ_j L_ij."""
    return order.links.sum(axis=1, dtype=np.float32)


def two_chain_density_past(order: Order) -> NodeValues:
    """Chains of two relations that end at i, an element of the set: Σ_j (A²)_ji / n.

    An element stands for a unit of volume, so this is a number per volume.
    """
    return order.two_chains_past / np.float32(order.size)


def two_chain_density_future(order: Order) -> NodeValues:
    """Chains of two relations that start at i, an element of the set: Σ_k (A²)_ik / n."""
    return order.two_chains_future / np.float32(order.size)


def two_chain_density_through(order: Order) -> NodeValues:
    """Chains of two relations with i in the middle: |past(i)| |future(i)| / n."""
    return order.in_degree * order.out_degree / np.float32(order.size)


def height_rank(order: Order) -> NodeValues:
    """Height in units of the tallest: max_pathlens_past(i) / max_j max_pathlens_past(j).

    0 … 1, and 0 throughout an antichain.
    """
    past = order.chains[0]
    return past / max(1.0, past.max(initial=0))


def ordering_fraction_past(order: Order) -> NodeValues:
    """Ordering fraction of past(i): Σ_j (A²)_ji / (m (m - 1) / 2) with m = |past(i)|.

    Two related elements of past(i) and i form a chain of two relations. 0 where m < 2.
    """
    return _share_of_pairs(order.two_chains_past, order.in_degree)


def ordering_fraction_future(order: Order) -> NodeValues:
    """Ordering fraction of future(i): Σ_k (A²)_ik / (m (m - 1) / 2), m = |future(i)|.

    0 where m < 2.
    """
    return _share_of_pairs(order.two_chains_future, order.out_degree)


def ordering_fraction(order: Order) -> float:
    """Related pairs over pairs, r = Σ_ij A_ij / (n (n - 1) / 2); 0 for n < 2."""
    return order.num_relations / max(1.0, order.size * (order.size - 1) / 2)


def myrheim_meyer_dimension(order: Order) -> float:
    """Dimension d of the flat spacetime whose causal diamonds have the ordering fraction r.

    Solves r = Γ(d + 1) Γ(d/2) / (2 Γ(3d/2)) (Myrheim, CERN-TH-2538, 1978; Meyer, MIT thesis,
    1988), within 1e-5: d = 1 for a chain, 2 for r = 1/2; at most ``MAX_DIMENSION``, also for r = 0.
    """
    dimensions, logarithms = _dimension_table()
    r = ordering_fraction(order)
    if r <= 0:
        return MAX_DIMENSION
    return float(np.interp(-math.log(r), logarithms, dimensions))


def link_fraction(order: Order) -> float:
    """Links over relations, Σ_ij L_ij / Σ_ij A_ij; 0 without relations."""
    return np.count_nonzero(order.links) / max(1, order.num_relations)


def longest_chain_fraction(order: Order) -> float:
    """Elements of the longest chain over n: (1 + max_i max_pathlens_past(i)) / n."""
    return float(1 + order.chains[0].max()) / order.size


def interval_abundances(order: Order) -> NDArray[np.float32]:
    """Numbers N_m of pairs i ≺ j with m elements between them, m = 0 … 9, float32 (10,).

    N_0 is the number of links (Glaser and Surya, Phys. Rev. D 88, 124026, 2013).
    """
    between = order.intervals[order.relations].astype(np.int64)
    counts = np.bincount(between[between < INTERVAL_SIZES], minlength=INTERVAL_SIZES)
    return counts.astype(np.float32)


NODE_OBSERVABLES: dict[str, Callable[[Order], NodeValues]] = {
    function.__name__: function
    for function in (
        max_pathlens_future,
        max_pathlens_past,
        in_degree,
        out_degree,
        in_degrees_link,
        out_degrees_link,
        two_chain_density_past,
        two_chain_density_future,
        two_chain_density_through,
        height_rank,
        ordering_fraction_past,
        ordering_fraction_future,
    )
}
"""Node observables by name, in the order of the default features; each float32 (n,)."""

GRAPH_OBSERVABLES: dict[str, Callable[[Order], float]] = {
    function.__name__: function
    for function in (
        ordering_fraction,
        myrheim_meyer_dimension,
        link_fraction,
        longest_chain_fraction,
    )
}
"""Graph observables by name, in the order of the default features; each one number."""


def _share_of_pairs(related: NodeValues, elements: NodeValues) -> NodeValues:
    pairs = elements * (elements - 1) / 2
    return np.divide(related, pairs, out=np.zeros_like(related), where=pairs > 0)


@functools.cache
def _dimension_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dimensions from 1 to MAX_DIMENSION, and -ln r of each, which grows with d."""
    dimensions = np.linspace(1, MAX_DIMENSION, 4001)
    logarithms = [
        math.log(2) + math.lgamma(1.5 * d) - math.lgamma(d + 1) - math.lgamma(0.5 * d)
        for d in dimensions
    ]
    return dimensions, np.array(logarithms)
