"""Pictures of causal sets: Hasse diagrams, or sprinklings if positions are known.

Time runs upwards. A line is a link: a relation with no element in between.
"""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from qgpipe.causets.order import longest_chains, transitive_closure, transitive_reduction
from qgpipe.report.tables.graphs import Graph

MOST_ELEMENTS = 600  # of a causal set that is drawn
MOST_LINKS = 4000
_SIDE = 1000  # units of the picture; coordinates are integers to keep the SVG small


@dataclass(frozen=True)
class Diagram:
    """The positions of elements, and the links.

    ``points``: float64 [n, 2] in [0, 1]², time upwards. ``links``: int64 [2, L], from past to
    future. ``sprinkled``: whether points are positions in spacetime, not a layout by height.
    """

    points: NDArray[np.float64]
    links: NDArray[np.int64]
    sprinkled: bool


def diagram(graph: Graph) -> Diagram | str:
    """The diagram of ``graph``, or the reason why there is none.

    The edges may be relations or links. In a Hasse diagram the height of an element is the rank of
    the length of the longest chain that ends at it minus that of the longest that starts at it,
    which increases along every link and is symmetric in past and future.
    """
    if graph.num_nodes == 0:
        return "it has no elements"
    if graph.num_nodes > MOST_ELEMENTS:
        return f"{graph.num_nodes:,} elements are too many to draw"
    order = _natural_labelling(graph.num_nodes, graph.edges)
    if order is None:
        return "its edges go round in circles, so that it is no causal set"
    label = np.argsort(order)
    relations = np.zeros((graph.num_nodes, graph.num_nodes), bool)
    relations[label[graph.edges[0]], label[graph.edges[1]]] = True
    relations = transitive_closure(relations)
    links = order[np.array(np.nonzero(transitive_reduction(relations)))]
    if links.shape[1] > MOST_LINKS:
        return f"{links.shape[1]:,} links are too many to draw"
    if (points := _sprinkling(graph, links)) is not None:
        return Diagram(points, links, True)
    before, after = longest_chains(relations)
    _, level = np.unique(before - after, return_inverse=True)
    return Diagram(_layout(level[label], links), links, False)


def to_svg(drawn: Diagram, label: str) -> Markup:
    """``drawn`` as an ``svg`` element for HTML, with colours from ``page.css``.

    ``label``: text for screen readers.
    """
    x, y = np.rint(drawn.points.T * [[_SIDE], [-_SIDE]] + [[0], [_SIDE]]).astype(int)
    lines = "".join(
        f"M{x[i]} {y[i]}L{x[j]} {y[j]}" for i, j in zip(*drawn.links.tolist(), strict=True)
    )
    dots = "".join(f"M{a} {b}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    width = min(44, 300 / max(len(x), 1) ** 0.5)
    return Markup(
        '<svg class="causal-set" viewBox="-30 -30 1060 1060" role="img" aria-label="{}">'
        '<path class="links" d="{}"/><path class="elements" stroke-width="{:.0f}" d="{}"/></svg>'
    ).format(label, lines, width, dots)


def _natural_labelling(nodes: int, edges: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The nodes in a natural labelling (every edge goes forward); None if there is a cycle."""
    source, target = edges
    if (source < target).all():
        return np.arange(nodes)
    waiting = np.bincount(target, minlength=nodes)
    order = [np.flatnonzero(waiting == 0)]
    while len(order[-1]):
        freed = target[np.isin(source, order[-1])]
        waiting -= np.bincount(freed, minlength=nodes)
        order.append(np.unique(freed[waiting[freed] == 0]))
    found = np.concatenate(order)
    return found if len(found) == nodes else None


def _sprinkling(graph: Graph, links: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Space and time of each element in [0, 1]², from its position, if these match the order.

    Time is the coordinate that increases along every link; space is the first of the others.
    """
    position = graph.positions
    if position is None or position.shape[1] < 2 or not np.isfinite(position).all():
        return None
    grows = (position[links[1]] > position[links[0]]).all(axis=0)
    if not links.shape[1] or not grows.any():
        return None
    time = int(grows.argmax())
    points = position[:, [int(time == 0), time]]
    return 0.5 + (points - (points.max(0) + points.min(0)) / 2) / np.ptp(points, axis=0).max()


def _layout(level: NDArray[np.int64], links: NDArray[np.int64]) -> NDArray[np.float64]:
    """Points in [0, 1]²: time is the ``level``, space the rank of a coordinate with short links.

    This coordinate minimises Σ (x_i − x_j)² over the links for Σ x² = 1 (K. M. Hall, Management
    Science 17, 219, 1970), orthogonal to constant, linear and quadratic functions of the level, so
    that it is not a function of time. Ranks keep elements apart.
    """
    n = len(level)
    up = level / max(int(level.max()), 1)
    if n == np.ptp(level) + 1 == links.shape[1] + 1:  # a chain
        return np.stack([np.full(n, 0.5), up], axis=1)
    linked = np.zeros((n, n))
    linked[links[0], links[1]] = linked[links[1], links[0]] = 1
    laplacian = np.diag(linked.sum(axis=0)) - linked
    basis, _ = np.linalg.qr(np.stack([np.ones(n), up, up**2], axis=1))
    timely = basis @ basis.T
    rest = np.eye(n) - timely
    # Functions of time get an eigenvalue above all others, which are at most 2n.
    _, vectors = np.linalg.eigh(rest @ laplacian @ rest + 4 * n * timely)
    across = np.argsort(np.argsort(vectors[:, 0], kind="stable"))
    return np.stack([across / max(n - 1, 1), up], axis=1)
