"""Packed graphs as a table of arrays, each with the name of its row axis.

With it graphs are selected or joined by one rule for all arrays. Row axes are ``graph`` (one row
each), ``node``, ``edge``, ``word`` (eight bytes of bits), ``block`` (a row of edge lists) and, for
a ragged attribute, ``attribute/<name>``.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from qgpipe.data.graphs.packed import (
    WORD,
    Attribute,
    BitAdjacency,
    BitRows,
    EdgePairs,
    Edges,
    NeighborLists,
    Packed,
)


class Rows(NamedTuple):
    """An array [rows, ...] and the name of its row axis."""

    values: np.ndarray
    follow: str


def table(packed: Packed) -> dict[str, Rows]:
    """All arrays of ``packed`` except the offsets."""
    result = {"sample_index": Rows(packed.sample_index, "graph")}
    edges = packed.edges
    if isinstance(edges, EdgePairs):
        result["source"] = Rows(edges.edge_index[0], "edge")
        result["target"] = Rows(edges.edge_index[1], "edge")
    else:
        result["num_edges"] = Rows(edges.num_edges, "graph")
    if isinstance(edges, BitAdjacency):
        result["words"] = Rows(edges.bits.view(np.uint64), "word")
    elif isinstance(edges, BitRows):
        result["bits"] = Rows(edges.bits, "node")
    elif isinstance(edges, NeighborLists):
        result["lists"] = Rows(edges.lists, "block")
        result["degrees"] = Rows(edges.degrees, "node")
    for name, attribute in packed.attributes.items():
        key = f"attribute/{name}"
        result[key] = Rows(attribute.values, key if attribute.kind == "ragged" else attribute.kind)
    return result


def row_ptr(packed: Packed, follow: str) -> np.ndarray:
    """Row offsets of the graphs on the row axis ``follow``, int64 [N+1]."""
    if follow in ("graph", "node", "edge"):
        return packed.ptr_of_axis(follow)
    if follow == "word" and isinstance(packed.edges, BitAdjacency):
        return packed.edges.ptr // WORD
    if follow == "block" and isinstance(packed.edges, NeighborLists):
        return packed.edges.ptr
    return packed.ptr_of(packed.attributes[follow.removeprefix("attribute/")])


def rebuild(
    like: Packed, values: Mapping[str, np.ndarray], ptrs: Mapping[str, np.ndarray]
) -> Packed:
    """Graphs with the arrays ``values`` and the offsets ``ptrs``, otherwise like ``like``."""
    # Without dataclasses.replace, which takes as long as copying a small array.
    attributes = {}
    for name, old in like.attributes.items():
        ptr = ptrs[f"attribute/{name}"] if old.kind == "ragged" else None
        rows = values[f"attribute/{name}"]
        attributes[name] = Attribute(rows, old.kind, ptr, old.cat_dim, old.increment, old.scalar)
    return Packed(
        values["sample_index"],
        ptrs["node"],
        _edges(like.edges, values, ptrs),
        attributes,
        like.constants,
        like.explicit_num_nodes,
    )


def _edges(like: Edges, values: Mapping[str, np.ndarray], ptrs: Mapping[str, np.ndarray]) -> Edges:
    if isinstance(like, EdgePairs):
        return EdgePairs(np.stack([values["source"], values["target"]]), ptrs["edge"])
    if isinstance(like, BitAdjacency):
        bits = values["words"].view(np.uint8)
        return BitAdjacency(bits, ptrs["word"] * WORD, values["num_edges"])
    if isinstance(like, BitRows):
        return BitRows(values["bits"], values["num_edges"])
    return NeighborLists(values["lists"], ptrs["block"], values["num_edges"], values["degrees"])
