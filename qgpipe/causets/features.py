"""Normalisation of observables by their growth with the number of elements.

In a causal diamond of d-dimensional flat spacetime with n elements, the longest chain has about
n^(1/d) elements (Brightwell and Gregory, Phys. Rev. Lett. 66, 260, 1991), an element about n
others in its past, and the number of pairs with m elements between them grows as n^(2 - 2/d), in
two dimensions as n ln n (Glaser and Surya, Phys. Rev. D 88, 124026, 2013), so that an element has
about

    λ(n, d) = ∫₁ⁿ x^(-2/d) dx = (n^(1 - 2/d) - 1) / (1 - 2/d),   ln n for d = 2,

links: this is n^(1 - 2/d) / (1 - 2/d) for large n, and 1 - 1/n, which is exact, for a chain.
In two dimensions means are known also for few elements, and are used where the dimension is given
as two. The links of a diamond of n elements are (n + 1) H_n - 2n on average, with the harmonic
number H_n: n (n - 1) (1 - V)^(n - 2) integrated over all pairs of related points, which enclose a
share V of the diamond. Its longest chain has about 2 √n - 1.771 n^(1/6) + 1/2 elements (Baik,
Deift and Johansson, J. Am. Math. Soc. 12, 1119, 1999; the constant is from simulation, and right
within 2 % from n = 5 on).

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


def longest_chain_2d(n: Reals) -> Reals:
    """Mean number of elements of the longest chain in two dimensions, see above."""
    return np.maximum(2 * np.sqrt(n) - 1.7710868 * n ** (1 / 6) + 0.5, 1)


def links_2d(n: Reals) -> Reals:
    """Mean number of links in two dimensions over n, (n + 1) H_n / n - 2; of 2 elements for fewer.

    H_n = ln n + γ + 1/2n - 1/12n² + 1/120n⁴ (Euler and Maclaurin), within 1e-4 from n = 2 on.
    """
    n = np.maximum(n, 2)
    harmonic = np.log(n) + np.euler_gamma + 1 / (2 * n) - 1 / (12 * n**2) + 1 / (120 * n**4)
    return (n + 1) * harmonic / n - 2


def others(n: Reals) -> Reals:
    """The other elements, n - 1; 1 where there are none."""
    return np.maximum(n - 1, 1)


def pairs_of_others(n: Reals) -> Reals:
    """Ordered pairs of other elements over n, (n - 1) (n - 2) / n."""
    return np.maximum((n - 1) * (n - 2), 1) / n


Scale = Callable[[Reals, Reals], Reals]

_SCALES: dict[str, Scale] = {
    "max_pathlens_future": chain_scale,
    "max_pathlens_past": chain_scale,
    "in_degree": lambda n, d: others(n),
    "out_degree": lambda n, d: others(n),
    "in_degrees_link": link_scale,
    "out_degrees_link": link_scale,
    "two_chain_density_past": lambda n, d: pairs_of_others(n),
    "two_chain_density_future": lambda n, d: pairs_of_others(n),
    "two_chain_density_through": lambda n, d: pairs_of_others(n),
    "link_fraction": lambda n, d: link_scale(n, d) / n,
    "longest_chain_fraction": lambda n, d: chain_scale(n, d) / n,
    "interval_abundances": lambda n, d: n * link_scale(n, d),
    "longest_chain": chain_scale,
    "action_2d": lambda n, d: n * link_scale(n, d),
    "action_4d": lambda n, d: n * link_scale(n, d),
    "hasse_spectrum": link_scale,
}
"""The scale that each observable is divided by: functions of n and d."""

_SCALES_2D: dict[str, Callable[[Reals], Reals]] = {
    "max_pathlens_future": longest_chain_2d,
    "max_pathlens_past": longest_chain_2d,
    "in_degrees_link": links_2d,
    "out_degrees_link": links_2d,
    "link_fraction": lambda n: 4 * links_2d(n) / others(n),
    "longest_chain_fraction": lambda n: longest_chain_2d(n) / n,
    "interval_abundances": lambda n: n * links_2d(n),
    "longest_chain": longest_chain_2d,
    "action_2d": lambda n: n * links_2d(n),
    "action_4d": lambda n: n * links_2d(n),
    "hasse_spectrum": links_2d,
}
"""The same where the dimension is given as two."""


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
        n, base = orders.sizes.astype(np.float64), observable.base
        if observable.in_two_dimensions:
            scale = _SCALES_2D[base](n)
        else:
            scale = _SCALES[base](n, myrheim_meyer_dimension(orders))
        values = values / scale[:, None]
    return values.astype(np.float32)
