"""Stacked stores: each array holds all samples, along axis 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Self

from qgpipe.data.raw import naming
from qgpipe.data.raw.columns import Columns, refuse_array
from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.stores import Root, StoreInfo
from qgpipe.errors import DataError

if TYPE_CHECKING:
    from qgpipe.data.raw.samples import Samples
    from qgpipe.data.raw.validation import Checks


class Stacked(StoreInfo):
    """A store of arrays with an axis of samples; causal sets are padded to the largest."""

    layout = "stacked"
    adjacency_axes = ("samples", "n", "n")
    edges = "joined"

    @classmethod
    def open(cls, root: Root) -> Self:
        """Opens any store: the other layouts are tried first."""
        arrays, count = root.arrays()
        attributes = root.attributes
        num_samples = _sample_axis(root, arrays)
        return cls(root.path, root.zarr_format, arrays, attributes, num_samples, count)

    def read(self, checks: Checks, start: int, stop: int, threads: int) -> Samples:
        """See ``StoreInfo``; whole blocks of chunks are read at once."""
        from qgpipe.data.readers.read_stacked import read_stacked

        return read_stacked(checks, start, stop, threads)

    def sample_bytes(self) -> int:
        """See ``StoreInfo``; arrays of the edges of all samples count with the share of one."""
        joined = sum(
            array.item_bytes * (prod(array.shape) // self.num_samples - prod(array.shape[1:]))
            for name in naming.EDGE_INDEX
            if (array := self.arrays.get(name)) and len(array.shape) == 2
        )
        return super().sample_bytes() + joined

    @property
    def sample_arrays(self) -> Mapping[str, ArrayInfo]:
        """All arrays."""
        return self.arrays

    def check(self, columns: Columns) -> None:
        """See ``StoreInfo``: [samples, ...] of graphs, [samples, n, ...] of nodes."""
        first = (columns.edges and columns.edges.ptr) or columns.adjacency
        nodes = columns.elements
        samples = self.num_samples if columns.edges else columns.adjacency.shape[0]
        for array in columns.arrays:
            if array.shape and array.shape[0] != samples:
                raise self.error(
                    f"'{first.name}' has {samples} samples, '{array.name}' has {array.shape[0]}",
                    remedy="write the store again with as many samples in each array",
                )
        for array in columns.node:
            axis = 2 if array.name in columns.transposed else 1
            if len(array.shape) not in (2, 3) or array.shape[axis] != nodes:
                problem = f"expected shape ({samples}, {nodes}) or ({samples}, {nodes}, k)"
                refuse_array(self, array, f"{problem}, got {array.shape}", "node_features")
        size = columns.size
        if size and prod(size.shape) != samples:
            refuse_array(self, size, f"expected ({samples},), got {size.shape}", "size")
        of_graphs = {
            "graph_features": columns.graph,
            "target": () if columns.node_target else columns.target,
            "keep": columns.kept,
        }
        for key, arrays in of_graphs.items():
            for array in arrays:
                if len(array.shape) not in (1, 2):
                    problem = f"expected shape ({samples},) or ({samples}, k), got {array.shape}"
                    refuse_array(self, array, problem, key)


def _sample_axis(root: Root, arrays: Mapping[str, ArrayInfo]) -> int:
    """The number of samples.

    It is the length of axis 0 of the arrays with usual names, which have to agree. A store that has
    none of them is for a user's own reader: then the most frequent length is used.
    """
    lengths = {name: array.shape[0] for name, array in arrays.items() if array.shape}
    lengths = {name: n for name, n in lengths.items() if "/" not in name} or lengths
    known = {name: length for name, length in lengths.items() if name in naming.KNOWN}
    if not lengths:
        raise root.error(
            "the store holds no arrays and no groups cset_1, cset_2, …",
            remedy="name a store of causal sets",
        )
    first = next((name for name in naming.ADJACENCY if name in known), next(iter(known), None))
    if first is None:
        num_samples = Counter(lengths.values()).most_common(1)[0][0]
    else:
        num_samples = lengths[first]
    for name, length in known.items():
        if length != num_samples:
            raise root.error(
                f"'{first}' has {num_samples} samples, '{name}' has {length}",
                remedy="write the store again with as many samples in each array",
            )
    if num_samples == 0:
        remedy = f"leave it out of {root.named_in}"
        raise DataError("the store is empty", store=str(root.path), remedy=remedy)
    return num_samples
