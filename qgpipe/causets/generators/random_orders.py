"""Random orders: the transitive closure of a random directed acyclic graph."""

import numpy as np

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.parameters import RealParameter, draw_real
from qgpipe.causets.order import transitive_closure
from qgpipe.causets.pairs import draw_pairs

TOLERANCE = 0.01


def random_order(
    rng: np.random.Generator, n: int, connectivity: RealParameter = (0.1, 1.0)
) -> CausalSet:
    """The closure of a random graph, with a given share of all pairs related.

    ``connectivity`` is relations / (n (n-1) / 2), reached within 0.01 (for n < 11, where shares are
    coarser, as closely as n allows). Pairs are added to the graph in random order; the closure
    grows with each pair, so the number of pairs that gives the wanted share is found by bisection.
    If one pair skips the wanted share, another random order of pairs is drawn.
    """
    goal = draw_real(rng, connectivity, "connectivity", 0.0, 1.0)
    past, future = np.triu_indices(n, 1)
    pairs = len(past)
    tolerance = max(TOLERANCE, 0.5 / max(1, pairs))
    while True:
        order = rng.permutation(pairs)
        fewest, most = 0, pairs
        while fewest <= most:
            chosen = order[: (fewest + most) // 2]
            relations = np.zeros((n, n), np.bool_)
            relations[past[chosen], future[chosen]] = True
            relations = transitive_closure(relations)
            reached = np.count_nonzero(relations) / max(1, pairs)
            if pairs == 0 or abs(reached - goal) <= tolerance:
                return CausalSet(relations, made_of={"connectivity": goal})
            if reached < goal:
                fewest = len(chosen) + 1
            else:
                most = len(chosen) - 1


def percolation(
    rng: np.random.Generator, n: int, probability: RealParameter = (0.01, 0.1)
) -> CausalSet:
    """Transitive percolation: each pair i < j is joined with ``probability``, and the whole closed.

    The simplest classical sequential growth: each new element chooses every earlier one with
    probability p, and with it all that precedes that (Rideout and Sorkin, Phys. Rev. D 61, 024002,
    2000, arXiv:gr-qc/9904062). With q = 1 - p and a(m) the number of those among m successive
    elements, the first included, that follow from it or are it, the element after them is related
    to the first with probability ⟨1 - q^a⟩, and linked to it with ⟨p q^(a - 1)⟩.
    """
    chance = draw_real(rng, probability, "probability", 0.0, 1.0)
    joined = np.triu(draw_pairs(rng, n, chance), 1)
    return CausalSet(transitive_closure(joined), made_of={"edge_probability": chance})
