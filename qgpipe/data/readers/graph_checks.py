"""Checks of graphs that a user's reader made."""

import numpy as np

from qgpipe.data.graphs.adjacency import pairs_to_bits, row_bytes
from qgpipe.data.graphs.packed import BitAdjacency, EdgePairs, Packed
from qgpipe.data.graphs.relation_bits import block_side, intransitive
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.raw.validation import both_ways, not_transitive

FINITE = ("x", "y", "graph_features")  # the arrays that the built-in reader checks


def check_finite(packed: Packed, bad: BadSamples) -> None:
    """Report graphs with a value that is not finite in node features, target or features."""
    for name in FINITE:
        attribute = packed.attributes.get(name)
        if attribute is None or attribute.values.dtype.kind != "f":
            continue
        flat = attribute.values.reshape(len(attribute.values), -1)
        rows = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        ptr = packed.ptr_of(attribute)
        places, first = np.unique(np.searchsorted(ptr, rows, side="right") - 1, return_index=True)
        for place, row in zip(places.tolist(), rows[first].tolist(), strict=True):
            where = f"{name} of node {row - ptr[place]}" if attribute.kind == "node" else name
            bad.report(
                int(packed.sample_index[place]),
                f"{where} is not finite",
                remedy="replace NaN and infinity in the reader, or set data.validate_data to false",
            )


def check_order(packed: Packed, bad: BadSamples) -> None:
    """Report graphs whose edges are not a partial order: not transitive, or in both directions."""
    sizes, edges = packed.sizes, packed.edges
    if isinstance(edges, EdgePairs):
        edges = pairs_to_bits(edges, sizes)
    if not isinstance(edges, BitAdjacency):
        raise TypeError("edges to check are bits or pairs")
    for place, (n, width) in enumerate(zip(sizes.tolist(), row_bytes(sizes), strict=True)):
        start = int(edges.ptr[place])
        side = block_side(n)
        rows = np.zeros((1, side, side // 8), np.uint8)
        rows[0, :n, :width] = edges.bits[start : start + n * width].reshape(n, width)
        problem = _disorder(rows)
        if problem:
            bad.report(
                int(packed.sample_index[place]),
                f"this is no partial order: {problem}",
                remedy="let the reader return all relations, or set data.validate_order to false",
            )


def _disorder(rows: np.ndarray) -> str | None:
    """Why relations (rows as in :func:`intransitive`) are no partial order; None if they are."""
    relations = np.unpackbits(rows[0], axis=1, bitorder="little").view(bool)
    both = np.argwhere(relations & relations.T)
    if len(both):
        return both_ways(*both[0].tolist())
    chains = intransitive(rows)
    return not_transitive(*chains[0, 1:].tolist()) if len(chains) else None
