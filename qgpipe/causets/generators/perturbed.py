"""Sprinklings that are perturbed: pairs flipped, or another order inserted."""

import numpy as np

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.layered import layered
from qgpipe.causets.generators.parameters import IntegerParameter, RealParameter, draw_real
from qgpipe.causets.generators.sprinklings import DEFAULT_DECAY, DEFAULT_ORDER, polynomial
from qgpipe.causets.order import transitive_closure


def destroyed(
    rng: np.random.Generator,
    n: int,
    flips: RealParameter = (0.0, 1.0),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """A polynomial sprinkling with a share ``flips`` of its n (n-1) / 2 pairs flipped, closed.

    Flipping relates an unrelated pair and unrelates a related one. ``order`` and ``decay`` are
    those of :func:`~qgpipe.causets.generators.sprinklings.polynomial`.
    """
    relations = polynomial(rng, n, order, decay).relations
    past, future = np.triu_indices(n, 1)
    share = draw_real(rng, flips, "flips", 0.0, 1.0)
    flipped = rng.permutation(len(past))[: round(share * len(past))]
    relations[past[flipped], future[flipped]] ^= True
    return CausalSet(transitive_closure(relations))


def merged(
    rng: np.random.Generator,
    n: int,
    share: RealParameter = (0.0, 1.0),
    link_probability: RealParameter = (0.0, 1.0),
    layers: IntegerParameter = (2, 20),
    connectivity: RealParameter = (0.05, 1.0),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """A layered order inserted as a block into a polynomial sprinkling, and closed.

    ``share`` of the n elements (at least one) are layered. The block is inserted at a random place
    of the sprinkling's natural labelling. Each pair of an element before the block and one in it is
    related with ``link_probability``, and so is each pair of an element in the block and one after
    it. ``layers`` and
    ``connectivity`` are those of :func:`~qgpipe.causets.generators.layered.layered`, ``order`` and
    ``decay`` those of :func:`~qgpipe.causets.generators.sprinklings.polynomial`.
    """
    size = min(n, max(1, round(n * draw_real(rng, share, "share", 0.0, 1.0))))
    probability = draw_real(rng, link_probability, "link_probability", 0.0, 1.0)
    first = int(rng.integers(n - size + 1))
    block = np.arange(n) - first
    inside = (block >= 0) & (block < size)
    outside = np.flatnonzero(~inside)
    crossing = (inside[:, None] != inside) & (rng.random((n, n)) < probability)
    relations = np.triu(crossing, 1)
    relations[first : first + size, first : first + size] = layered(
        rng, size, layers, connectivity
    ).relations
    if outside.size:
        sprinkling = polynomial(rng, outside.size, order, decay).relations
        relations[np.ix_(outside, outside)] = sprinkling
    return CausalSet(transitive_closure(relations))
