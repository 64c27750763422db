"""Many graphs as a few flat arrays: the form in which graphs are stored and batched.

``N`` graphs, ``V`` nodes and ``E`` edges in all. Graph ``i`` has the nodes
``node_ptr[i]:node_ptr[i+1]``; its edges run from past to future (source, target).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

WORD = 8  # bytes; the bits of a graph start at a multiple of it, so that they move as words

Kind = Literal["node", "edge", "graph", "ragged"]


@dataclass(eq=False)
class Attribute:
    """One named array of the graphs, concatenated along axis 0.

    ``values``: the graphs' arrays, joined along PyG's concatenation dimension, which is moved
    to axis 0.
    ``kind``: what the rows follow: ``node_ptr``, ``edge_ptr``, one row a graph, or ``ptr``.
    ``ptr``: int64 [N+1], row offsets; only for ``ragged``.
    ``cat_dim``: the axis to which axis 0 goes back in a batch (PyG's ``__cat_dim__``).
    ``increment``: the values are node indices: a batch adds the graph's node offset
    (PyG's ``__inc__``).
    ``scalar``: kind ``graph`` only: the graph's own array has no axis 0 (a number, or
    a ``__cat_dim__`` of None), so that a batch stacks instead of concatenating.
    """

    values: np.ndarray
    kind: Kind
    ptr: np.ndarray | None = None
    cat_dim: int = 0
    increment: bool = False
    scalar: bool = False


@dataclass(eq=False)
class BitAdjacency:
    """Adjacency matrices as bits: row = source, column = target, ``bitorder="little"``.

    ``bits``: uint8; graph ``i`` has ``n_i`` rows of ``ceil(n_i / 8)`` bytes from byte ``ptr[i]``
    on, followed by zeros up to the next multiple of eight bytes.
    ``ptr``: int64 [N+1], byte offsets, multiples of eight.
    ``num_edges``: int64 [N].
    """

    bits: np.ndarray
    ptr: np.ndarray
    num_edges: np.ndarray


@dataclass(eq=False)
class EdgePairs:
    """Edges as pairs of node indices local to their graph.

    ``edge_index``: uint16 or uint32 [2, E]; ``edge_ptr``: int64 [N+1].
    """

    edge_index: np.ndarray
    edge_ptr: np.ndarray


class ConstantEdges(NamedTuple):
    """An edge attribute that is the same number everywhere, and so is not stored.

    ``dtype`` is a numpy name, ``shape`` what follows the edge axis.
    """

    value: float
    dtype: str
    shape: tuple[int, ...]

    def expand(self, num_edges: int) -> np.ndarray:
        """The attribute's array, [num_edges, *shape], as a read-only broadcast."""
        return np.broadcast_to(np.array(self.value, self.dtype), (num_edges, *self.shape))


@dataclass(eq=False)
class Packed:
    """``N`` graphs with their attributes.

    ``sample_index``: int64 [N], index of each graph's sample in its store.
    ``node_ptr``: int64 [N+1].
    ``explicit_num_nodes``: the graphs carry a ``num_nodes`` of their own (PyG cannot infer it
    when there is no node attribute).
    """

    sample_index: np.ndarray
    node_ptr: np.ndarray
    edges: BitAdjacency | EdgePairs
    attributes: dict[str, Attribute] = field(default_factory=dict)
    constants: dict[str, ConstantEdges] = field(default_factory=dict)
    explicit_num_nodes: bool = False

    @property
    def num_graphs(self) -> int:
        """``N``."""
        return len(self.sample_index)

    @property
    def sizes(self) -> np.ndarray:
        """Number of nodes of each graph, int64 [N]."""
        return np.diff(self.node_ptr)

    @property
    def edge_ptr(self) -> np.ndarray:
        """Offsets of the graphs in the list of all edges, int64 [N+1]."""
        if isinstance(self.edges, EdgePairs):
            return self.edges.edge_ptr
        return offsets(self.edges.num_edges)

    def ptr_of(self, attribute: Attribute) -> np.ndarray:
        """Row offsets of the graphs in ``attribute.values``, int64 [N+1]."""
        if attribute.kind == "node":
            return self.node_ptr
        if attribute.kind == "edge":
            return self.edge_ptr
        if attribute.kind == "graph":
            return np.arange(self.num_graphs + 1)
        if attribute.ptr is None:
            raise ValueError("a ragged attribute needs a ptr")
        return attribute.ptr


def offsets(lengths: np.ndarray) -> np.ndarray:
    """Running sum of ``lengths`` [N] with a leading zero, int64 [N+1]."""
    result = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=result[1:])
    return result


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The ranges ``starts[i] : starts[i] + lengths[i]``, one after the other, int64."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + lengths, lengths)


def concatenate(packs: Sequence[Packed]) -> Packed:
    """One ``Packed`` with the graphs of all, in order.

    All must have the same attributes and the same form of edges. Attributes whose kinds differ
    become ragged; constant edge attributes that differ are spelt out.
    """
    first = packs[0]
    if len(packs) == 1:
        return first
    constants = {
        name: constant
        for name, constant in first.constants.items()
        if all(pack.constants.get(name) == constant for pack in packs)
    }
    names = [*first.attributes, *(n for n in first.constants if n not in constants)]
    return Packed(
        sample_index=np.concatenate([pack.sample_index for pack in packs]),
        node_ptr=join_offsets([pack.node_ptr for pack in packs]),
        edges=_concatenate_edges(packs),
        attributes={name: _concatenate_attribute(name, packs) for name in names},
        constants=constants,
        explicit_num_nodes=first.explicit_num_nodes,
    )


def select(packed: Packed, positions: np.ndarray) -> Packed:
    """The graphs at ``positions`` (integers [M]), in that order."""
    positions = np.asarray(positions, np.int64)
    return Packed(
        sample_index=packed.sample_index[positions],
        node_ptr=offsets(packed.sizes[positions]),
        edges=_select_edges(packed.edges, positions),
        attributes={
            name: _select_attribute(packed, attribute, positions)
            for name, attribute in packed.attributes.items()
        },
        constants=dict(packed.constants),
        explicit_num_nodes=packed.explicit_num_nodes,
    )


def join_offsets(ptrs: Sequence[np.ndarray]) -> np.ndarray:
    """Offsets [N+1] of arrays that are put one behind the other."""
    return offsets(np.concatenate([np.diff(ptr) for ptr in ptrs]))


def _concatenate_edges(packs: Sequence[Packed]) -> BitAdjacency | EdgePairs:
    bits = [pack.edges for pack in packs if isinstance(pack.edges, BitAdjacency)]
    pairs = [pack.edges for pack in packs if isinstance(pack.edges, EdgePairs)]
    if bits and pairs:
        raise ValueError("cannot concatenate bits with pairs")
    if bits:
        return BitAdjacency(
            np.concatenate([edges.bits for edges in bits]),
            join_offsets([edges.ptr for edges in bits]),
            np.concatenate([edges.num_edges for edges in bits]),
        )
    return EdgePairs(
        np.concatenate([edges.edge_index for edges in pairs], axis=1),
        join_offsets([edges.edge_ptr for edges in pairs]),
    )


def _concatenate_attribute(name: str, packs: Sequence[Packed]) -> Attribute:
    parts = [stored_attribute(pack, name) for pack in packs]
    first = parts[0]
    values = np.concatenate([part.values for part in parts])
    if all(part.kind == first.kind != "ragged" for part in parts):
        return Attribute(values, first.kind, None, first.cat_dim, first.increment, first.scalar)
    ptr = join_offsets([pack.ptr_of(part) for pack, part in zip(packs, parts, strict=True)])
    return Attribute(values, "ragged", ptr, first.cat_dim, first.increment, first.scalar)


def stored_attribute(packed: Packed, name: str) -> Attribute:
    """The attribute ``name``, also when it is a constant edge attribute."""
    if name in packed.attributes:
        return packed.attributes[name]
    num_edges = int(packed.edge_ptr[-1])
    return Attribute(packed.constants[name].expand(num_edges), "edge")


def _select_edges(
    edges: BitAdjacency | EdgePairs, positions: np.ndarray
) -> BitAdjacency | EdgePairs:
    if isinstance(edges, BitAdjacency):
        lengths = np.diff(edges.ptr)[positions]
        words = ranges(edges.ptr[positions] // WORD, lengths // WORD)
        bits = edges.bits.view(np.uint64)[words].view(np.uint8)
        return BitAdjacency(bits, offsets(lengths), edges.num_edges[positions])
    lengths = np.diff(edges.edge_ptr)[positions]
    columns = ranges(edges.edge_ptr[positions], lengths)
    return EdgePairs(edges.edge_index[:, columns], offsets(lengths))


def _select_attribute(packed: Packed, attribute: Attribute, positions: np.ndarray) -> Attribute:
    ptr = packed.ptr_of(attribute)
    lengths = np.diff(ptr)[positions]
    return Attribute(
        attribute.values[ranges(ptr[positions], lengths)],
        attribute.kind,
        offsets(lengths) if attribute.kind == "ragged" else None,
        attribute.cat_dim,
        attribute.increment,
        attribute.scalar,
    )
