"""Many graphs as a few flat arrays, as they are stored and batched.

``N`` graphs with ``V`` nodes and ``E`` edges in total. Graph ``i`` has the nodes
``node_ptr[i]:node_ptr[i+1]``; its edges run from past to future (source, target).
"""

import mmap
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

WORD = 8  # bytes; the bits of each graph start at a multiple of it, and are copied as words
BLOCK = 64  # entries in a row of neighbour lists

Kind = Literal["node", "edge", "graph", "ragged"]


@dataclass(eq=False)
class Attribute:
    """One named array of the graphs, concatenated along axis 0.

    ``values``: the graphs' arrays, joined along PyG's concatenation dimension, which is moved
    to axis 0.
    ``kind``: which offsets the rows have: ``node_ptr``, ``edge_ptr``, one row a graph, or ``ptr``.
    ``ptr``: int64 [N+1], row offsets; only for ``ragged``.
    ``cat_dim``: the axis to which axis 0 is moved back in a batch (PyG's ``__cat_dim__``).
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


@dataclass(eq=False)
class NeighborLists:
    """Edges sorted by source, as lists of targets and sources; never stored in a file.

    ``lists``: [R, K, 64] of uint8, int16 or int32: local targets of the edges in their order
    and, if ``K`` is 2, local sources of the same edges sorted by (target, source). Those of graph
    ``i`` fill the rows from ``ptr[i]`` on, followed by zeros up to the end of its last row.
    ``ptr``: int64 [N+1], row offsets.
    ``num_edges``: int64 [N].
    ``degrees``: int32 [V, 4]: out-degree, in-degree and number of self-loops of each node, and
    zero: numpy gathers rows of 16 bytes four times as fast as rows of 12.
    """

    lists: np.ndarray
    ptr: np.ndarray
    num_edges: np.ndarray
    degrees: np.ndarray


@dataclass(eq=False)
class BitRows:
    """Adjacency as bits with rows of one length for all graphs: never stored in a file.

    ``bits``: uint8 [V, W], ``bitorder="little"``; bit ``j`` of row ``v`` says that an edge runs
    from ``v`` to the ``j``-th node of its graph.
    ``num_edges``: int64 [N].
    """

    bits: np.ndarray
    num_edges: np.ndarray


Edges = BitAdjacency | EdgePairs | NeighborLists | BitRows


class ConstantEdges(NamedTuple):
    """An edge attribute with the same value for all edges, which is not stored as an array.

    ``dtype``: a numpy name; ``shape``: without the edge axis.
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
    ``explicit_num_nodes``: the graphs have a ``num_nodes``, which is needed if there is no node
    attribute.
    ``mapping``: the file mapping behind the arrays, if they are not in memory.
    """

    sample_index: np.ndarray
    node_ptr: np.ndarray
    edges: Edges
    attributes: dict[str, Attribute] = field(default_factory=dict)
    constants: dict[str, ConstantEdges] = field(default_factory=dict)
    explicit_num_nodes: bool = False
    mapping: mmap.mmap | None = None

    @property
    def num_graphs(self) -> int:
        """``N``."""
        return len(self.sample_index)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of nodes of each graph, int64 [N]."""
        return np.diff(self.node_ptr)

    @property
    def num_edges(self) -> np.ndarray:
        """Number of edges of each graph, int64 [N]."""
        return edge_counts(self.edges)

    @cached_property
    def edge_ptr(self) -> np.ndarray:
        """Offsets of the graphs in the list of all edges, int64 [N+1]."""
        if isinstance(self.edges, EdgePairs):
            return self.edges.edge_ptr
        return offsets(self.edges.num_edges)

    @property
    def attribute_names(self) -> list[str]:
        """Stored attributes, then constant edge attributes."""
        return [*self.attributes, *self.constants]

    def attribute(self, name: str) -> Attribute:
        """The attribute ``name``, with a constant edge attribute expanded."""
        if name in self.attributes:
            return self.attributes[name]
        return Attribute(self.constants[name].expand(int(self.edge_ptr[-1])), "edge")

    def ptr_of(self, attribute: Attribute) -> np.ndarray:
        """Row offsets of the graphs in ``attribute.values``, int64 [N+1]."""
        if attribute.kind != "ragged":
            return self.ptr_of_axis(attribute.kind)
        if attribute.ptr is None:
            raise ValueError("a ragged attribute needs a ptr")
        return attribute.ptr

    def ptr_of_axis(self, axis: str) -> np.ndarray:
        """Offsets of the graphs in an array with one row per node, edge or graph, int64 [N+1]."""
        if axis == "graph":
            return np.arange(self.num_graphs + 1)
        return self.node_ptr if axis == "node" else self.edge_ptr


def edge_counts(edges: Edges) -> np.ndarray:
    """Number of edges of each graph, int64 [N]."""
    return np.diff(edges.edge_ptr) if isinstance(edges, EdgePairs) else edges.num_edges


def offsets(lengths: np.ndarray) -> np.ndarray:
    """Running sum of ``lengths`` [N] with a leading zero, int64 [N+1]."""
    result = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=result[1:])
    return result


def ranges(starts: np.ndarray, lengths: np.ndarray, begins: np.ndarray | None = None) -> np.ndarray:
    """The concatenated ranges ``starts[i] : starts[i] + lengths[i]``, int64.

    ``begins``: the ``offsets`` of ``lengths``, if already known.
    """
    begins = offsets(lengths) if begins is None else begins
    result = np.repeat(starts - begins[:-1], lengths)
    result += np.arange(begins[-1])
    return result
