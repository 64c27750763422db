"""From packed graphs to PyG objects: a whole batch at once, or one graph."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from qgpipe.compat.pyg_batch import EdgeFormatBatch, empty, filled
from qgpipe.data.graphs.adjacency import edge_index
from qgpipe.data.graphs.edge_formats import in_edge_format, sorted_in_edge_format
from qgpipe.data.graphs.packed import (
    Attribute,
    BitAdjacency,
    BitRows,
    EdgePairs,
    Edges,
    Packed,
    offsets,
)
from qgpipe.message_passing.edge_batch import BitEdgeBatch, EdgeBatch, NeighborListBatch
from qgpipe.message_passing.edge_format import EdgeFormat


@dataclass(eq=False)
class Parts:
    """The tensors of a batch. Those not said to be on the host may be on a device.

    ``values``: the attributes, one graph after the other, along axis 0.
    ``slices``: int64 [B+1] on the host, where each graph starts in an attribute, and in
    ``edge_index``.
    ``starts``: int64 [B] on the host, the first node of each graph.
    ``ptr``: int64 [B+1] and ``graph``: int64 [V], where the nodes of each graph start, and the
    graph of each node; ``sizes``: int64 [B], on the host, the nodes of each graph.
    ``edge_index``, ``edge_batch``: the edges, in one way or both.
    """

    values: dict[str, Tensor]
    slices: dict[str, Tensor]
    starts: Tensor
    ptr: Tensor
    graph: Tensor
    sizes: np.ndarray
    edge_index: Tensor | None
    edge_batch: EdgeBatch | None


def to_batch(packed: Packed, positions: np.ndarray, edge_format: EdgeFormat = "edges") -> Batch:
    """Packed graphs as one PyG batch, equal to that of ``Batch.from_data_list``.

    ``positions``: int64 [B], stored as ``sample_position``. The batch has ``edge_index`` (int64 [2,
    E]), ``batch`` (int64 [V]), ``ptr`` (int64 [B+1]), the attributes, and what ``to_data_list``
    needs. For another ``edge_format`` than ``edges`` it has ``edge_batch``, and ``edge_index`` is
    computed on first access.
    """
    packed = packed if edge_format == "edges" else in_edge_format(packed, edge_format)
    edges, sizes = packed.edges, packed.sizes
    plain = edge_format == "edges" or isinstance(edges, EdgePairs)
    ptr = torch.from_numpy(packed.node_ptr)
    parts = Parts(
        {name: torch.from_numpy(a.values) for name, a in packed.attributes.items()},
        {
            "edge_index": torch.from_numpy(packed.edge_ptr),
            **{name: torch.from_numpy(packed.ptr_of(a)) for name, a in packed.attributes.items()},
        },
        ptr[:-1],
        ptr,
        torch.from_numpy(np.repeat(np.arange(packed.num_graphs), sizes)),
        sizes,
        torch.from_numpy(edge_index(edges, sizes)) if plain else None,
        None if edge_format == "edges" else edge_batch(edges, sizes, edge_format),
    )
    return BatchRules(packed, compact=edge_format != "edges").assemble(
        parts, torch.from_numpy(positions.copy())
    )


class BatchRules:
    """How the attributes of graphs like ``packed`` are joined; computed once for many batches.

    ``compact``: the batches have ``edge_batch``.
    """

    def __init__(self, packed: Packed, compact: bool):
        attributes = packed.attributes
        self._constants = packed.constants
        self._explicit_num_nodes = packed.explicit_num_nodes
        self._incremented = [name for name, a in attributes.items() if a.increment]
        self._axes = {name: a.cat_dim for name, a in attributes.items() if _is_moved(a)}
        self._empty = empty(attributes, EdgeFormatBatch if compact else Batch)
        self._by_nodes = {"edge_index", *self._incremented}

    def assemble(self, parts: Parts, positions: Tensor) -> Batch:
        """The batch; ``positions``: int64 [B], positions of its graphs in the data set.

        The dictionaries of ``parts`` become those of the batch.
        """
        fields: dict[str, Any] = parts.values
        slices, ptr = parts.slices, parts.ptr
        for name in self._incremented:
            fields[name] = fields[name] + _spread(ptr[:-1], slices[name], fields[name])
        for name, axis in self._axes.items():
            fields[name] = fields[name].movedim(0, axis).contiguous()
        if parts.edge_batch is not None:
            fields["edge_batch"] = parts.edge_batch
        if parts.edge_index is not None:
            fields["edge_index"] = parts.edge_index
        for name, constant in self._constants.items():
            shape = int(slices["edge_index"][-1]), *constant.shape
            dtype = getattr(torch, constant.dtype)
            fields[name] = torch.full(shape, constant.value, dtype=dtype, device=ptr.device)
            slices[name] = slices["edge_index"]
        fields["batch"] = parts.graph
        fields["ptr"] = ptr
        fields["sample_position"] = positions
        unmoved = _zeros(len(parts.sizes))
        facts: dict[str, Any] = {
            "_num_graphs": len(parts.sizes),
            "_slice_dict": slices,
            "_inc_dict": {n: parts.starts if n in self._by_nodes else unmoved for n in slices},
        }
        if self._explicit_num_nodes:
            fields["num_nodes"] = len(parts.graph)
            facts["_num_nodes"] = parts.sizes.tolist()
        return filled(self._empty, fields, facts)


@functools.cache
def _zeros(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.int64)


def edge_batch(edges: Edges, sizes: np.ndarray, edge_format: EdgeFormat) -> EdgeBatch:
    """The edges of graphs with ``sizes`` nodes (int64 [B]) in a compact form.

    Edges with duplicates, which bits cannot represent, become lists even for ``dense``.
    """
    if isinstance(edges, EdgePairs | BitAdjacency):
        edges = sorted_in_edge_format(edges, sizes, edge_format)
    ptr = torch.from_numpy(offsets(sizes))
    total = int(edges.num_edges.sum())
    if isinstance(edges, BitRows):
        return BitEdgeBatch(torch.from_numpy(edges.bits), ptr, sizes, total)
    lists, degrees = torch.from_numpy(edges.lists), torch.from_numpy(edges.degrees)
    return NeighborListBatch(lists, degrees, ptr, torch.from_numpy(edges.num_edges), total)


def to_data(packed: Packed) -> Data:
    """The only graph of ``packed`` as a PyG ``Data``."""
    data = empty(packed.attributes, Data)
    for name, attribute in packed.attributes.items():
        values = torch.from_numpy(attribute.values)
        if _is_moved(attribute):
            values = values.movedim(0, attribute.cat_dim).contiguous()
        data[name] = values[0] if attribute.scalar else values
    data["edge_index"] = torch.from_numpy(edge_index(packed.edges, packed.sizes))
    for name, constant in packed.constants.items():
        data[name] = torch.from_numpy(constant.expand(int(packed.edge_ptr[-1])).copy())
    if packed.explicit_num_nodes:
        data.num_nodes = int(packed.node_ptr[-1])
    return data


def _spread(start: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """``start`` [B], each repeated for the rows of its graph, in a shape to add to ``values``."""
    counts = rows.diff().to(start.device)
    spread = torch.repeat_interleave(start, counts, output_size=int(rows[-1]))
    return spread.to(values.dtype).view(-1, *[1] * (values.dim() - 1))


def _is_moved(attribute: Attribute) -> bool:
    """Whether a batch joins the graphs' arrays along another axis than the first."""
    return not attribute.scalar and attribute.cat_dim != 0
