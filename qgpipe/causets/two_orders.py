"""Which causal sets are 2-orders, that is, intersections of two total orders.

An order is one iff the pairs that it leaves unrelated can be directed so that the directions are
transitive (Dushnik and Miller, Am. J. Math. 63, 600, 1941): read them as "is to the left of".
If a, b and a, c are unrelated but b ≺ c or c ≺ b, then b and c are on the same side of a, or one
of b, c would be left of the other. So for each a, those unrelated to it fall into groups on one
side: the connected components of the order among them. The pair a, b joins the group of b about a
with the group of a about b, and these are on opposite sides. The order is a 2-order iff
all groups can be put on two sides such that joined ones are on opposite sides: iff the graph
of groups is bipartite. These are Golumbic's implication classes, none of which may hold a pair in
both directions (Golumbic, Algorithmic Graph Theory and Perfect Graphs, 1980, chapter 5), without
a list of all pairs of pairs that force each other.

Links suffice for the components: where b ≺ c ≺ d, and b and d are unrelated to a, so is c. The
cost grows with the number of links times that of the elements which are unrelated to both ends.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from qgpipe.causets.orders import Orders

_SMALL = 64  # elements; of larger sets half is tested first
_AT_ONCE = 2**19  # entries of the largest temporary matrix


def are_two_orders(orders: Orders) -> NDArray[np.bool_]:
    """Whether each causal set is a 2-order, bool [B].

    Every subset of a 2-order is a 2-order. So for large causal sets every second element is tested
    first: most orders that are not 2-orders are detected early.
    """
    found = np.ones(len(orders.sizes), bool)
    if orders.relations.shape[1] > _SMALL:
        half = Orders(orders.relations[:, ::2, ::2], (orders.sizes + 1) // 2)
        found = are_two_orders(half)
    candidates = np.flatnonzero(found)
    together = max(1, _AT_ONCE // orders.relations.shape[1] ** 2)
    for start in range(0, len(candidates), together):
        sets = candidates[start : start + together]
        found[sets] = _sides_exist(orders.relations[sets], orders.links[sets])
    return found


def _sides_exist(relations: NDArray[np.bool_], links: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The test itself; bool [B, m, m] each. Padding is unrelated to all, which changes nothing."""
    count, m, _ = relations.shape
    unrelated = ~(relations | relations.swapaxes(1, 2))
    unrelated[:, np.arange(m), np.arange(m)] = False
    first, last = _listed(links)
    groups = np.zeros((count, m, m), np.int32)  # groups[·, a, b]: the group of b about a
    number = 0
    step = max(1, _AT_ONCE // (count * max(m, first.shape[1])))
    for row in range(0, m, step):
        rows = slice(row, row + step)
        number += _components(unrelated[:, rows], first, last, groups[:, rows], number)
    pairs = np.flatnonzero(np.triu(unrelated))
    here, there = groups.reshape(-1)[pairs], groups.swapaxes(1, 2).reshape(-1)[pairs]
    # Each group twice, for its two sides; a graph is bipartite iff the two stay apart.
    ends = np.r_[here, here + number], np.r_[there + number, there]
    joined = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(2 * number, 2 * number))
    _, sides = connected_components(joined, directed=False)
    both = sides[here] == sides[here + number]
    return np.bincount(pairs[both] // m**2, minlength=count) == 0


def _components(
    unrelated: NDArray[np.bool_],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    groups: NDArray[np.int32],
    number: int,
) -> int:
    """Number, from ``number`` on, the components of the elements unrelated to each of some
    elements.

    ``unrelated``: bool [B, rows, m]; ``first``, ``last``: see :func:`_listed`; the result is
    written to ``groups``, int32 [B, rows, m]. Returns the number of components.
    """
    count, rows, m = unrelated.shape
    block, elements = np.arange(count)[:, None], np.ascontiguousarray(unrelated.swapaxes(1, 2))
    kept = elements[block, first] & elements[block, last]  # [B, links, rows]
    row, link = np.divmod(np.flatnonzero(kept.swapaxes(1, 2)), max(1, first.shape[1]))
    link += row // rows * first.shape[1]
    # One graph of count * rows * m nodes; its edges are sorted, so that this is the CSR form.
    nodes = count * rows * m
    degrees = np.bincount(row * m + first.reshape(-1)[link], minlength=nodes)
    starts = np.concatenate([[0], np.cumsum(degrees)])
    ends = row * m + last.reshape(-1)[link]
    graph = csr_array((np.ones(len(ends)), ends, starts), shape=(nodes, nodes))
    components, labels = connected_components(graph, directed=False)
    groups[...] = labels.reshape(count, rows, m) + number
    return components


def _listed(links: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last elements of the links of each causal set, sorted, int64 [B, most links].

    Lists are padded with links of the last element to itself.
    """
    block, i, j = np.nonzero(links)
    numbers = np.bincount(block, minlength=len(links))
    place = np.arange(len(block)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    first = np.full((len(links), numbers.max()), links.shape[1] - 1)
    last = first.copy()
    first[block, place], last[block, place] = i, j
    return first, last
