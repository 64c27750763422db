"""Layered orders: elements in layers, relations from each layer to the next, closed."""

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.parameters import (
    IntegerParameter,
    RealParameter,
    draw_integer,
    draw_real,
    require_choice,
)
from qgpipe.causets.order import transitive_closure
from qgpipe.causets.pairs import draw_pairs


def layered(
    rng: np.random.Generator,
    n: int,
    layers: IntegerParameter = (2, 20),
    connectivity: RealParameter = (0.05, 1.0),
    jitter: RealParameter = (0.0, 0.5),
) -> CausalSet:
    """A random layered order of n elements.

    ``layers`` is the number of layers (at most n), ``connectivity`` the probability of a
    relation between elements of adjacent layers. Each cut between layers is moved from its
    place in an even partition by a normal deviate, ``jitter`` times the mean layer size; no
    layer is left empty.
    """
    count = min(draw_integer(rng, layers, "layers", 1, np.inf), n)
    probability = draw_real(rng, connectivity, "connectivity", 0.0, 1.0)
    deviation = draw_real(rng, jitter, "jitter", 0.0, 10.0)
    even = np.arange(1, count) * n / count
    cuts = np.sort(np.rint(even + deviation * n / count * rng.standard_normal(count - 1)))
    # Push equal cuts apart: the k-th cut has at least k elements before it, and as many
    # after it as there are layers to come.
    steps = np.arange(1, count)
    cuts = np.maximum.accumulate(np.maximum(cuts, steps) - steps) + steps
    cuts = np.minimum(cuts, n - count + steps)
    sizes = np.diff(cuts, prepend=0, append=n).astype(np.int64)
    return _relate_layers(rng, sizes, probability)


def kr(
    rng: np.random.Generator,
    n: int,
    connectivity: RealParameter = 0.5,
    layer_sizes: str = "fixed",
) -> CausalSet:
    """A Kleitman-Rothschild order: three layers with ¼, ½ and ¼ of n elements.

    Elements of adjacent layers are related with probability ``connectivity``. Almost all finite
    orders are of this kind (Kleitman and Rothschild, Trans. AMS 205, 205, 1975). ``layer_sizes``:
    ``fixed``, or ``random``: each element is in a layer with probability ¼, ½, ¼, so that layers
    vary as √n, and may be empty for few elements. Raises ``ConfigError`` for anything else.
    """
    require_choice(layer_sizes, "layer_sizes", ("fixed", "random"))
    probability = draw_real(rng, connectivity, "connectivity", 0.0, 1.0)
    if layer_sizes == "random":
        sizes = rng.multinomial(n, [0.25, 0.5, 0.25])
    else:
        outer = round(n / 4)
        sizes = np.array([outer, n - 2 * outer, outer])
    return _relate_layers(rng, sizes, probability)


def _relate_layers(
    rng: np.random.Generator, sizes: NDArray[np.int64], probability: float
) -> CausalSet:
    layer = np.repeat(np.arange(len(sizes)), sizes)
    adjacent = layer[:, None] + 1 == layer
    relations = transitive_closure(adjacent & draw_pairs(rng, len(layer), probability))
    return CausalSet(
        relations,
        of_elements={"layer": layer},
        made_of={"layers": len(sizes), "connectivity": probability},
    )
