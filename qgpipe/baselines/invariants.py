"""Label-invariant observables of causal sets, computed from their edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from qgpipe.causets import observables
from qgpipe.causets.features import compute
from qgpipe.causets.observables import Observable
from qgpipe.causets.orders import Orders
from qgpipe.data.graphs.adjacency import pairs_to_bits, sorted_and_unique
from qgpipe.data.graphs.packed import BitAdjacency, EdgePairs, Packed, offsets
from qgpipe.data.readers.computed_features import relation_block, similar_blocks

MOST_ELEMENTS = 4096  # the time grows with their third power
NO_EDGES = "the graphs have no edges: no invariants"

T = TypeVar("T")
Values = NDArray[np.float32]
EdgeKind = Literal["relations", "links"]


class NoOrder(Exception):
    """The edges of the graphs do not define a partial order; the text says why."""


def invariants(
    graphs: Packed, names: Sequence[str], threads: int = 1, edges: EdgeKind = "relations"
) -> Values:
    """The observables ``names`` of the causal sets in ``graphs``, float32 [N, k].

    An observable of elements has two columns: mean and standard deviation over the elements.
    ``edges``: whether the edges are all relations, or links, of which the transitive closure is
    then taken. ``threads``: number of threads; the result does not depend on it. Values that are
    not finite become 0.

    Raises ``NoOrder`` if the edges are not of the kind ``edges``, or the graphs are too large.
    """
    sizes, bits = graphs.sizes, _as_bits(graphs)
    if len(sizes) and sizes.max() > MOST_ELEMENTS:
        raise NoOrder(f"graphs of more than {MOST_ELEMENTS:,} elements take too long")
    found = [_found(name) for name in names]
    result = np.zeros((len(sizes), len(column_names(names))), np.float32)

    def fill(chosen: NDArray[np.int64]) -> None:
        orders = _orders(relation_block(bits, sizes, chosen), edges)
        columns = [_columns(observable, orders) for observable in found]
        result[chosen] = np.concatenate(columns, axis=1)

    with (
        np.errstate(divide="ignore", invalid="ignore"),
        threadpool_limits(1),
        ThreadPoolExecutor(threads) as pool,
    ):
        for _ in pool.map(fill, similar_blocks(sizes)):
            pass
    return np.nan_to_num(result, nan=0.0, posinf=0.0, neginf=0.0)


def order_invariants(
    chunks: Sequence[T], read: Callable[[T], Packed], names: Sequence[str], threads: int = 1
) -> Values:
    """:func:`invariants` of the graphs that ``read`` gives for each of ``chunks``.

    Their edges may be relations or links. Raises ``NoOrder`` if they are neither.
    """
    kinds: tuple[EdgeKind, ...] = ("relations", "links")
    for kind in kinds:
        try:
            return np.concatenate([invariants(read(some), names, threads, kind) for some in chunks])
        except NoOrder as error:
            reason = error
    raise reason


def own_names(attributes: Mapping[str, Any], names: Sequence[str] | None) -> list[str]:
    """Names of the graph features in ``attributes`` (of a description); numbers if not known."""
    found = attributes.get("graph_features")
    if found is None or found["kind"] != "graph":
        return []
    width = int(np.prod(found["shape"] or [1]))
    return list(names) if names and len(names) == width else [str(k) for k in range(width)]


def own_features(graphs: Packed) -> NDArray[np.float64]:
    """The graph features of the data, NaN where they are not finite, float64 [N, g]."""
    found = graphs.attributes.get("graph_features")
    if found is None or found.kind != "graph":
        return np.zeros((graphs.num_graphs, 0))
    values = found.values.reshape(graphs.num_graphs, -1).astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def column_names(names: Sequence[str]) -> list[str]:
    """The names of the columns of :func:`invariants`."""
    columns = []
    for observable in map(_found, names):
        if observable.level == "node":
            columns += [f"{observable.name}_mean", f"{observable.name}_deviation"]
        elif observable.width == 1:
            columns.append(observable.name)
        else:
            columns += [f"{observable.name}[{k}]" for k in range(observable.width)]
    return columns


def _found(name: str) -> Observable:
    observable = observables.find(name)
    assert observable is not None, name
    return observable


def _columns(observable: Observable, orders: Orders) -> Values:
    """The columns of an observable, float32 [B, width]."""
    values = compute(observable.name, orders)
    if observable.level == "graph":
        return values
    of_elements = np.where(orders.inside, values, 0).astype(np.float64)
    n = np.maximum(orders.sizes, 1)
    mean = of_elements.sum(axis=1) / n
    centred = np.where(orders.inside, of_elements - mean[:, None], 0)
    deviation = np.sqrt((centred**2).sum(axis=1) / n)
    return np.stack([mean, deviation], axis=1).astype(np.float32)


def _orders(block: Orders, edges: EdgeKind) -> Orders:
    """The causal sets of a ``block`` of graphs. Raises ``NoOrder`` if the edges define none."""
    if edges == "relations":
        if block.relations.diagonal(axis1=1, axis2=2).any() or not block.transitive.all():
            raise NoOrder("relations are not transitive: no invariants")
        return block
    closed = _closure(block.relations)
    if closed.diagonal(axis1=1, axis2=2).any():
        raise NoOrder("edges run in circles, or in both directions: no invariants")
    orders = Orders(closed, block.sizes)
    if (block.relations & (orders.intervals > 0)).any():
        raise NoOrder("edges are neither all relations nor the links alone: no invariants")
    return orders


def _closure(relations: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The transitive closure of each relation, bool [B, m, m], by repeated squaring."""
    closed = relations
    while True:
        as_float = closed.astype(np.float32)
        more = closed | (as_float @ as_float > 0)
        if np.array_equal(more, closed):
            return closed
        closed = more


def _as_bits(graphs: Packed) -> BitAdjacency:
    """The edges as bits; duplicates count once."""
    edges = graphs.edges
    if isinstance(edges, BitAdjacency):
        return edges
    assert isinstance(edges, EdgePairs)
    if not sorted_and_unique(edges):
        source, target = edges.edge_index.astype(np.int64)
        graph = np.repeat(np.arange(len(graphs.sizes)), np.diff(edges.edge_ptr))
        graph, source, target = np.unique(np.stack([graph, source, target]), axis=1)
        counts = np.bincount(graph, minlength=len(graphs.sizes))
        local = np.stack([source, target]).astype(edges.edge_index.dtype)
        edges = EdgePairs(local, offsets(counts))
    return pairs_to_bits(edges, graphs.sizes)
