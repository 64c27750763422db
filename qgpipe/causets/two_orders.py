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

Links suffice for the components: where b ≺ c ≺ d, and b and d are unrelated to a, so is c.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from qgpipe.causets.orders import Orders

_SMALL = 64  # elements; of more, half of the elements are tested first
_AT_ONCE = 2**22  # entries of the largest temporary matrix


def are_two_orders(orders: Orders) -> NDArray[np.bool_]:
    """Whether each causal set is a 2-order, bool [B].

    A part of a 2-order is one: of large causal sets, every second element is tested first, so
    that those which are far from it are found out early.
    """
    found = np.ones(len(orders.sizes), bool)
    if orders.relations.shape[1] > _SMALL:
        half = Orders(orders.relations[:, ::2, ::2], (orders.sizes + 1) // 2)
        found = are_two_orders(half)
        if not found.any():
            return found
    if found.all():
        return _sides_exist(orders.relations, orders.links)
    found[found] = _sides_exist(orders.relations[found], orders.links[found])
    return found


def _sides_exist(relations: NDArray[np.bool_], links: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The test itself; bool [B, m, m] each. Padding is unrelated to all, which changes nothing."""
    count, m, _ = relations.shape
    unrelated = ~(relations | relations.swapaxes(1, 2))
    unrelated[:, np.arange(m), np.arange(m)] = False
    groups = np.zeros((count, m, m), np.int32)  # that of b about a, for each a, b
    number = 0
    for sets, rows in _pieces(links):
        number += _components(unrelated[sets, rows], links[sets], groups[sets, rows], number)
    pairs = np.flatnonzero(np.triu(unrelated))
    here, there = groups.reshape(-1)[pairs], groups.swapaxes(1, 2).reshape(-1)[pairs]
    # Each group twice, for its two sides; a graph is bipartite iff the two stay apart.
    ends = np.r_[here, here + number], np.r_[there + number, there]
    joined = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(2 * number, 2 * number))
    _, sides = connected_components(joined, directed=False)
    both = sides[here] == sides[here + number]
    return np.bincount(pairs[both] // m**2, minlength=count) == 0


def _pieces(links: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Causal sets, and rows of them, that are handled at once."""
    count, m, _ = links.shape
    most = max(1, int(np.count_nonzero(links, axis=(1, 2)).max(initial=0)), m)
    rows = max(1, min(m, _AT_ONCE // most))
    together = max(1, _AT_ONCE // (most * m))
    for first in range(0, count, together):
        for row in range(0, m, rows):
            yield slice(first, first + together), slice(row, row + rows)


def _components(
    unrelated: NDArray[np.bool_], links: NDArray[np.bool_], groups: NDArray[np.int32], number: int
) -> int:
    """Number the components among those unrelated to each of some elements, from ``number`` on.

    ``unrelated``: bool [B, rows, m]; ``links``: bool [B, m, m]; the result goes to ``groups``,
    int32 [B, rows, m]. Returns how many there are.
    """
    count, rows, m = unrelated.shape
    block, i, j = np.nonzero(links)
    kept = unrelated[block, :, i] & unrelated[block, :, j]  # [links, rows]
    link, row = np.divmod(np.flatnonzero(kept), rows)
    first = (block[link] * rows + row) * m
    nodes = count * rows * m
    graph = coo_array(
        (np.ones(len(link), np.int8), (first + i[link], first + j[link])), shape=(nodes, nodes)
    )
    components, labels = connected_components(csr_array(graph), directed=False)
    groups[...] = labels.reshape(count, rows, m) + number
    return components
