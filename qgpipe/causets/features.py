"""Normalisation of observables by their growth with the number of elements.

In a causal diamond of d-dimensional flat spacetime with n elements, the longest chain has about
n^(1/d) elements (Brightwell and Gregory, Phys. Rev. Lett. 66, 260, 1991), an element about n
others in its past, and the number of pairs with m elements between them grows as n^(2 - 2/d), in
two dimensions as n ln n (Glaser and Surya, Phys. Rev. D 88, 124026, 2013), so that an element has
about

    λ(n, d) = ∫₁ⁿ x^(-2/d) dx = (n^(1 - 2/d) - 1) / (1 - 2/d),   ln n for d = 2,

links: this is n^(1 - 2/d) / (1 - 2/d) for large n, and 1 - 1/n, which is exact, for a chain.
The largest eigenvalues of the Laplacian of the links are about as large as the largest numbers of
links of an element. An action is a sum of numbers of pairs and is divided by what these grow with:
then it is bounded in every dimension, and falls with n where its terms cancel on average.
"""

from collections.abc import Callable

import numpy as np

from qgpipe.causets.graph_observables import GRAPH_OBSERVABLES, Reals, myrheim_meyer_dimension
from qgpipe.causets.node_observables import NODE_OBSERVABLES
from qgpipe.causets.observables import COLUMNS, find
from qgpipe.causets.orders import Orders, Values


def chain_scale(n: Reals, d: Reals) -> Reals:
    """n^(1/d)."""
    return n ** (1 / d)


def link_scale(n: Reals, d: Reals) -> Reals:
    """λ(n, d), see above; of two elements for fewer."""
    exponent, logarithm = 1 - 2 / d, np.log(np.maximum(n, 2))
    scaled = exponent * logarithm
    small = np.abs(scaled) < 1e-8
    return logarithm * np.where(small, 1, np.expm1(scaled) / np.where(small, 1, scaled))


_SCALES: dict[str, Callable[[Reals, Reals], Reals]] = {
    "max_pathlens_future": chain_scale,
    "max_pathlens_past": chain_scale,
    "in_degree": lambda n, d: n,
    "out_degree": lambda n, d: n,
    "in_degrees_link": link_scale,
    "out_degrees_link": link_scale,
    "two_chain_density_past": lambda n, d: n,
    "two_chain_density_future": lambda n, d: n,
    "two_chain_density_through": lambda n, d: n,
    "link_fraction": lambda n, d: link_scale(n, d) / n,
    "longest_chain_fraction": lambda n, d: chain_scale(n, d) / n,
    "interval_abundances": lambda n, d: n * link_scale(n, d),
    "longest_chain": chain_scale,
    "action_2d": lambda n, d: n * link_scale(n, d),
    "action_4d": lambda n, d: n * link_scale(n, d),
    "hasse_spectrum": link_scale,
}
"""The scale that each observable is divided by: functions of n and d."""


def compute(name: str, orders: Orders) -> Values:
    """The observable called ``name``: float32 [B, m] of elements, [B, k] of causal sets.

    Values beyond a causal set's size are undefined.
    """
    observable = find(name)
    assert observable is not None, name
    if observable.level == "node":
        values: np.ndarray = NODE_OBSERVABLES[observable.base](orders)
    else:
        columns = [observable.width] if observable.base in COLUMNS else []
        values = GRAPH_OBSERVABLES[observable.base](orders, *columns)
        values = values.reshape(len(values), -1)
    if observable.normalized:
        n = orders.sizes.astype(np.float64)
        own, fixed = myrheim_meyer_dimension, observable.dimension
        d = own(orders) if fixed is None else np.full_like(n, fixed)
        values = values / _SCALES[observable.base](n, d)[:, None]
    return values.astype(np.float32)
