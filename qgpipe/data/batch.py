"""From packed graphs to PyG objects: a whole batch at once, or one graph."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Batch, Data

from qgpipe.data.adjacency import edge_index
from qgpipe.data.packed import Attribute, Packed


class RuledData(Data):
    """A graph some of whose attributes are joined by other rules than PyG's usual ones."""

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        rule = self._rule(key)
        return super().__cat_dim__(key, value, *args, **kwargs) if rule is None else rule[0]

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        rule = self._rule(key)
        if rule is None:
            return super().__inc__(key, value, *args, **kwargs)
        return self.num_nodes if rule[1] else 0

    def _rule(self, key: str) -> tuple[int | None, bool] | None:
        return self.__dict__.get("_rules", {}).get(key)


def to_batch(packed: Packed, positions: np.ndarray) -> Batch:
    """Gathered graphs as one PyG batch, as ``Batch.from_data_list`` would build it.

    ``positions``: int64 [B], stored as ``sample_position``.
    Has ``edge_index`` int64 [2, E], ``batch`` int64 [V], ``ptr`` int64 [B+1], the attributes,
    and what ``to_data_list`` needs.
    """
    batch = _empty(packed, Batch)
    num_graphs, node_ptr, edge_ptr = packed.num_graphs, packed.node_ptr, packed.edge_ptr
    start = torch.from_numpy(node_ptr[:-1])
    unmoved = torch.zeros(num_graphs, dtype=torch.int64)
    slices = {"edge_index": torch.from_numpy(edge_ptr)}
    increments = {"edge_index": start}
    for name, attribute in packed.attributes.items():
        ptr = packed.ptr_of(attribute)
        batch[name] = torch.from_numpy(_joined(attribute, ptr, node_ptr))
        slices[name] = torch.from_numpy(ptr)
        increments[name] = start if attribute.increment else unmoved
    batch["edge_index"] = torch.from_numpy(edge_index(packed.edges, packed.sizes))
    for name, values in _constants(packed).items():
        batch[name] = values
        slices[name], increments[name] = slices["edge_index"], unmoved
    batch["batch"] = torch.from_numpy(np.repeat(np.arange(num_graphs), packed.sizes))
    batch["ptr"] = torch.from_numpy(node_ptr)
    batch["sample_position"] = torch.from_numpy(positions.copy())
    if packed.explicit_num_nodes:
        batch.num_nodes = int(node_ptr[-1])
        batch._store._num_nodes = packed.sizes.tolist()
    batch._num_graphs = num_graphs
    batch._slice_dict = slices
    batch._inc_dict = increments
    return batch


def to_data(packed: Packed) -> Data:
    """The only graph of ``packed`` as a PyG ``Data``."""
    data = _empty(packed, Data)
    for name, attribute in packed.attributes.items():
        values = torch.from_numpy(_moved(attribute, attribute.values))
        data[name] = values[0] if attribute.scalar else values
    data["edge_index"] = torch.from_numpy(edge_index(packed.edges, packed.sizes))
    for name, values in _constants(packed).items():
        data[name] = values
    if packed.explicit_num_nodes:
        data.num_nodes = int(packed.node_ptr[-1])
    return data


def _joined(attribute: Attribute, ptr: np.ndarray, node_ptr: np.ndarray) -> np.ndarray:
    """The attribute as it is in a batch."""
    values = attribute.values
    if attribute.increment:
        start = np.repeat(node_ptr[:-1], np.diff(ptr)).astype(values.dtype)
        values = values + start.reshape(-1, *[1] * (values.ndim - 1))
    return _moved(attribute, values)


def _moved(attribute: Attribute, values: np.ndarray) -> np.ndarray:
    if attribute.scalar or attribute.cat_dim == 0:
        return values
    return np.ascontiguousarray(np.moveaxis(values, 0, attribute.cat_dim))


def _constants(packed: Packed) -> dict[str, torch.Tensor]:
    num_edges = int(packed.edge_ptr[-1])
    return {
        name: torch.from_numpy(
            np.full((num_edges, *constant.shape), constant.value, constant.dtype)
        )
        for name, constant in packed.constants.items()
    }


def _empty(packed: Packed, kind: type) -> Any:
    """An empty ``Data`` or ``Batch`` of the class that knows how to join the attributes."""
    rules = _unusual_rules(packed)
    base = RuledData if rules else Data
    result = copy.copy(_empty_batch(base)) if kind is Batch else base()
    if rules:
        result.__dict__["_rules"] = rules
    return result


@functools.cache
def _empty_batch(base: type[Data]) -> Batch:
    """Made once: PyG looks for its class anew each time, which costs as much as a small batch."""
    return Batch(_base_cls=base)


def _unusual_rules(packed: Packed) -> dict[str, tuple[int | None, bool]]:
    """Concatenation axis and increment of the attributes that PyG would join otherwise."""
    rules = {}
    for name, attribute in packed.attributes.items():
        is_index = "index" in name or name == "face"
        dimensions = attribute.values.ndim
        if attribute.scalar:
            cat_dim: int | None = None
            usual = dimensions == 1
        else:
            cat_dim = attribute.cat_dim
            usual = (cat_dim - (-1 if is_index else 0)) % dimensions == 0
        if not usual or attribute.increment != is_index or "batch" in name:
            rules[name] = (cat_dim, attribute.increment)
    return rules
