"""From packed graphs to PyG objects: a whole batch at once, or one graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from qgpipe.data.adjacency import edge_index
from qgpipe.data.batch_types import CompactBatch, empty
from qgpipe.data.forms import in_form, sorted_in_form
from qgpipe.data.packed import (
    Attribute,
    BitAdjacency,
    BitRows,
    EdgePairs,
    Edges,
    Form,
    Packed,
    offsets,
)
from qgpipe.message_passing.compact import BitEdges, CompactEdges, ListedEdges


@dataclass(eq=False)
class Parts:
    """What a batch is put together from; tensors that are not called host's may be on a device.

    ``like``: graphs with the same attributes, which say how they are joined.
    ``values``: the attributes, one graph after the other, along axis 0.
    ``slices``: int64 [B+1] on the host, where each graph starts in an attribute, and in
    ``edge_index``.
    ``ptr``: int64 [B+1] and ``graph``: int64 [V], where the nodes of each graph start, and the
    graph of each node; ``sizes``: int64 [B], on the host, the nodes of each graph.
    ``edge_index``, ``compact_edges``: the edges, in one way or both.
    """

    like: Packed
    values: Mapping[str, Tensor]
    slices: Mapping[str, np.ndarray]
    ptr: Tensor
    graph: Tensor
    sizes: np.ndarray
    edge_index: Tensor | None
    compact_edges: CompactEdges | None


def to_batch(packed: Packed, positions: np.ndarray, form: Form = "edges") -> Batch:
    """Gathered graphs as one PyG batch, as ``Batch.from_data_list`` would build it.

    ``positions``: int64 [B], stored as ``sample_position``.
    Has ``edge_index`` int64 [2, E], ``batch`` int64 [V], ``ptr`` int64 [B+1], the attributes,
    and what ``to_data_list`` needs. Of another ``form`` than ``edges`` it has ``compact_edges``,
    and makes ``edge_index`` only if it is asked for it.
    """
    packed = packed if form == "edges" else in_form(packed, form)
    edges, sizes = packed.edges, packed.sizes
    plain = form == "edges" or isinstance(edges, EdgePairs)
    ptr = torch.from_numpy(packed.node_ptr)
    parts = Parts(
        packed,
        {name: torch.from_numpy(a.values) for name, a in packed.attributes.items()},
        {
            "edge_index": packed.edge_ptr,
            **{name: packed.ptr_of(a) for name, a in packed.attributes.items()},
        },
        ptr,
        torch.from_numpy(np.repeat(np.arange(packed.num_graphs), sizes)),
        sizes,
        torch.from_numpy(edge_index(edges, sizes)) if plain else None,
        None if form == "edges" else compact_edges(edges, sizes, form),
    )
    return assemble(parts, torch.from_numpy(positions.copy()))


def assemble(parts: Parts, positions: Tensor) -> Batch:
    """The batch; ``positions``: int64 [B], the places of its graphs in the data set."""
    attributes, ptr = parts.like.attributes, parts.ptr
    start = ptr[:-1]
    slices = {name: torch.from_numpy(rows) for name, rows in parts.slices.items()}
    fields: dict[str, Any] = {}
    for name, attribute in attributes.items():
        values = parts.values[name]
        if attribute.increment:
            values = values + _spread(start, slices[name], values)
        fields[name] = _moved(attribute, values)
    if parts.compact_edges is not None:
        fields["compact_edges"] = parts.compact_edges
    if parts.edge_index is not None:
        fields["edge_index"] = parts.edge_index
    for name, constant in parts.like.constants.items():
        shape = int(slices["edge_index"][-1]), *constant.shape
        dtype = getattr(torch, constant.dtype)
        fields[name] = torch.full(shape, constant.value, dtype=dtype, device=ptr.device)
        slices[name] = slices["edge_index"]
    fields["batch"] = parts.graph
    fields["ptr"] = ptr
    fields["sample_position"] = positions
    starts_on_host = torch.from_numpy(offsets(parts.sizes)[:-1])
    unmoved = torch.zeros(len(parts.sizes), dtype=torch.int64)
    moved = {name for name, a in attributes.items() if a.increment} | {"edge_index"}
    facts: dict[str, Any] = {
        "_num_graphs": len(parts.sizes),
        "_slice_dict": slices,
        "_inc_dict": {name: starts_on_host if name in moved else unmoved for name in slices},
    }
    if parts.like.explicit_num_nodes:
        fields["num_nodes"] = len(parts.graph)
        facts["_num_nodes"] = parts.sizes.tolist()
    batch = empty(attributes, Batch if parts.compact_edges is None else CompactBatch)
    # Not one by one: PyG's way to set an attribute takes longer than to copy a small one.
    batch._store._mapping.update(fields)
    batch._store.__dict__.update(facts)
    return batch


def compact_edges(edges: Edges, sizes: np.ndarray, form: Form) -> CompactEdges:
    """The edges of graphs with ``sizes`` nodes (int64 [B]) in a compact form.

    Edges with duplicates, which bits cannot hold, are listed also for ``dense``.
    """
    if isinstance(edges, EdgePairs | BitAdjacency):
        edges = sorted_in_form(edges, sizes, form)
    ptr = torch.from_numpy(offsets(sizes))
    total = int(edges.num_edges.sum())
    if isinstance(edges, BitRows):
        return BitEdges(torch.from_numpy(edges.bits), ptr, sizes, total)
    lists, degrees = torch.from_numpy(edges.lists), torch.from_numpy(edges.degrees)
    return ListedEdges(lists, degrees, ptr, torch.from_numpy(edges.num_edges), total)


def to_data(packed: Packed) -> Data:
    """The only graph of ``packed`` as a PyG ``Data``."""
    data = empty(packed.attributes, Data)
    for name, attribute in packed.attributes.items():
        values = _moved(attribute, torch.from_numpy(attribute.values))
        data[name] = values[0] if attribute.scalar else values
    data["edge_index"] = torch.from_numpy(edge_index(packed.edges, packed.sizes))
    for name, constant in packed.constants.items():
        spelt_out = np.full((int(packed.edge_ptr[-1]), *constant.shape), constant.value)
        data[name] = torch.from_numpy(spelt_out.astype(constant.dtype))
    if packed.explicit_num_nodes:
        data.num_nodes = int(packed.node_ptr[-1])
    return data


def _spread(start: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """``start`` [B], each as often as its graph has rows, to be added to ``values``."""
    counts = rows.diff().to(start.device)
    spread = torch.repeat_interleave(start, counts, output_size=int(rows[-1]))
    return spread.to(values.dtype).view(-1, *[1] * (values.dim() - 1))


def _moved(attribute: Attribute, values: Tensor) -> Tensor:
    if attribute.scalar or attribute.cat_dim == 0:
        return values
    return values.movedim(0, attribute.cat_dim).contiguous()
