"""Putting packed graphs one behind the other, and taking some of them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from qgpipe.data.adjacency import as_pairs
from qgpipe.data.packed import (
    WORD,
    Attribute,
    BitAdjacency,
    EdgePairs,
    Edges,
    EdgeTargets,
    Packed,
    offsets,
    ranges,
)


def concatenate(packs: Sequence[Packed]) -> Packed:
    """One ``Packed`` with the graphs of all, in order; all have the same attributes.

    Attributes whose kinds differ become ragged, constant edge attributes that differ are
    spelt out, and edges of different forms become pairs.
    """
    first = packs[0]
    if len(packs) == 1:
        return first
    constants = {
        name: constant
        for name, constant in first.constants.items()
        if all(pack.constants.get(name) == constant for pack in packs)
    }
    stored = [name for name in first.attribute_names if name not in constants]
    return Packed(
        sample_index=np.concatenate([pack.sample_index for pack in packs]),
        node_ptr=_join(pack.node_ptr for pack in packs),
        edges=_concatenate_edges(packs),
        attributes={name: _concatenate_attribute(name, packs) for name in stored},
        constants=constants,
        explicit_num_nodes=first.explicit_num_nodes,
    )


def select(packed: Packed, positions: np.ndarray) -> Packed:
    """The graphs at ``positions`` (integers [M], not negative), in that order."""
    positions = np.asarray(positions, np.int64)
    node_ptr, nodes = _rows(packed.node_ptr, positions)
    result = Packed(
        sample_index=packed.sample_index[positions],
        node_ptr=node_ptr,
        edges=_select_edges(packed.edges, positions, nodes),
        constants=packed.constants,
        explicit_num_nodes=packed.explicit_num_nodes,
    )
    edges = None
    for name, attribute in packed.attributes.items():
        ptr = None
        if attribute.kind == "graph":
            rows = positions
        elif attribute.kind == "node":
            rows = nodes
        elif attribute.kind == "edge":
            edges = _rows(packed.edge_ptr, positions)[1] if edges is None else edges
            rows = edges
        else:
            ptr, rows = _rows(packed.ptr_of(attribute), positions)
        result.attributes[name] = replace(attribute, values=attribute.values[rows], ptr=ptr)
    return result


def _rows(ptr: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the selected graphs, and the rows that they take."""
    starts = ptr[positions]
    lengths = ptr[positions + 1] - starts
    return offsets(lengths), ranges(starts, lengths)


def _select_edges(edges: Edges, positions: np.ndarray, nodes: np.ndarray) -> Edges:
    if isinstance(edges, EdgePairs):
        edge_ptr, columns = _rows(edges.edge_ptr, positions)
        return EdgePairs(edges.edge_index[:, columns], edge_ptr)
    starts = edges.ptr[positions]
    lengths = edges.ptr[positions + 1] - starts
    words = ranges(starts // WORD, lengths // WORD)
    ptr, num_edges = offsets(lengths), edges.num_edges[positions]
    if isinstance(edges, BitAdjacency):
        return BitAdjacency(edges.bits.view(np.uint64)[words].view(np.uint8), ptr, num_edges)
    targets = edges.targets.view(np.uint64)[words].view(edges.targets.dtype)
    return EdgeTargets(targets, ptr, num_edges, edges.out_degree[nodes])


def _join(ptrs: Iterable[np.ndarray]) -> np.ndarray:
    """Offsets [N+1] of arrays that are put one behind the other."""
    return offsets(np.concatenate([np.diff(ptr) for ptr in ptrs]))


def _concatenate_edges(packs: Sequence[Packed]) -> Edges:
    edges = [pack.edges for pack in packs]
    bits = [e for e in edges if isinstance(e, BitAdjacency)]
    if len(bits) == len(edges):
        return BitAdjacency(
            np.concatenate([e.bits for e in bits]),
            _join(e.ptr for e in bits),
            np.concatenate([e.num_edges for e in bits]),
        )
    lists = [e for e in edges if isinstance(e, EdgeTargets)]
    if len(lists) == len(edges):
        return EdgeTargets(
            np.concatenate([e.targets for e in lists]),
            _join(e.ptr for e in lists),
            np.concatenate([e.num_edges for e in lists]),
            np.concatenate([e.out_degree for e in lists]),
        )
    pairs = [as_pairs(pack.edges, pack.sizes) for pack in packs]
    return EdgePairs(
        np.concatenate([e.edge_index for e in pairs], axis=1), _join(e.edge_ptr for e in pairs)
    )


def _concatenate_attribute(name: str, packs: Sequence[Packed]) -> Attribute:
    parts = [pack.attribute(name) for pack in packs]
    first = parts[0]
    values = np.concatenate([part.values for part in parts])
    increment = any(part.increment for part in parts)
    if all(part.kind == first.kind != "ragged" for part in parts):
        return replace(first, values=values, increment=increment)
    ptr = _join(pack.ptr_of(part) for pack, part in zip(packs, parts, strict=True))
    return replace(first, values=values, kind="ragged", ptr=ptr, increment=increment)
