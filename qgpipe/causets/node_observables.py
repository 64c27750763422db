"""Observables with one value an element: functions of a block of causal sets, float32 [B, m].

In the formulas A is the relation matrix, L the link matrix, n the number of elements; past(i) and
future(i) exclude i itself. Values beyond a causal set's size are undefined.
"""

from collections.abc import Callable

import numpy as np

from qgpipe.causets.bit_rows import column_counts, row_counts
from qgpipe.causets.graph_observables import dimension_of
from qgpipe.causets.observables import NODE
from qgpipe.causets.orders import Orders, Values


def max_pathlens_future(orders: Orders) -> Values:
    """Links in the longest chain that starts at i; 0 for a maximal element."""
    return orders.chains[1]


def max_pathlens_past(orders: Orders) -> Values:
    """Links in the longest chain that ends at i; 0 for a minimal element."""
    return orders.chains[0]


def in_degree(orders: Orders) -> Values:
    """Elements in the past: |past(i)| = Σ_j A_ji."""
    return orders.in_degree


def out_degree(orders: Orders) -> Values:
    """Elements in the future: |future(i)| = Σ_j A_ij."""
    return orders.out_degree


def in_degrees_link(orders: Orders) -> Values:
    """Links from the past: Σ_j L_ji."""
    return column_counts(orders.links).astype(np.float32)


def out_degrees_link(orders: Orders) -> Values:
    """Links to the future: Σ_j L_ij."""
    return row_counts(orders.links).astype(np.float32)


def two_chain_density_past(orders: Orders) -> Values:
    """Chains of two relations that end at i, an element of the set: Σ_j (A²)_ji / n.

    An element stands for a unit of volume, so this is a number per volume.
    """
    return orders.two_chains_past / _sizes(orders)


def two_chain_density_future(orders: Orders) -> Values:
    """Chains of two relations that start at i, an element of the set: Σ_k (A²)_ik / n."""
    return orders.two_chains_future / _sizes(orders)


def two_chain_density_through(orders: Orders) -> Values:
    """Chains of two relations with i in the middle: |past(i)| |future(i)| / n."""
    return orders.in_degree * orders.out_degree / _sizes(orders)


def height_rank(orders: Orders) -> Values:
    """Height in units of the tallest: max_pathlens_past(i) / max_j max_pathlens_past(j).

    0 … 1, and 0 throughout an antichain.
    """
    past = orders.chains[0]
    return past / np.maximum(past.max(axis=1, keepdims=True), 1)


def ordering_fraction_past(orders: Orders) -> Values:
    """Ordering fraction of past(i): Σ_j (A²)_ji / (m (m - 1) / 2) with m = |past(i)|.

    Two related elements of past(i) and i form a chain of two relations. 0 where m < 2.
    """
    return _share_of_pairs(orders.two_chains_past, orders.in_degree)


def ordering_fraction_future(orders: Orders) -> Values:
    """Ordering fraction of future(i): Σ_k (A²)_ik / (m (m - 1) / 2), m = |future(i)|.

    0 where m < 2.
    """
    return _share_of_pairs(orders.two_chains_future, orders.out_degree)


def dimension_past(orders: Orders) -> Values:
    """Myrheim-Meyer dimension of past(i): that of its :func:`ordering_fraction_past`.

    1 … ``MAX_DIMENSION``; 0 where past(i) has fewer than two elements, and so no dimension.
    """
    return _dimension(ordering_fraction_past(orders), orders.in_degree)


def dimension_future(orders: Orders) -> Values:
    """Myrheim-Meyer dimension of future(i): that of its :func:`ordering_fraction_future`.

    1 … ``MAX_DIMENSION``; 0 where future(i) has fewer than two elements.
    """
    return _dimension(ordering_fraction_future(orders), orders.out_degree)


NODE_OBSERVABLES: dict[str, Callable[[Orders], Values]] = {name: globals()[name] for name in NODE}
"""Node observables by name."""


def _sizes(orders: Orders) -> Values:
    return orders.sizes[:, None].astype(np.float32)


def _share_of_pairs(related: Values, elements: Values) -> Values:
    pairs = elements * (elements - 1) / 2
    return np.divide(related, pairs, out=np.zeros_like(related), where=pairs > 0)


def _dimension(fraction: Values, elements: Values) -> Values:
    dimensions = dimension_of(fraction.astype(np.float64))
    return np.where(elements < 2, 0, dimensions).astype(np.float32)
