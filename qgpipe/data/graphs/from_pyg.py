"""Packs PyG ``Data`` objects, which users' readers return."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.adjacency import (
    bit_offsets,
    index_dtype,
    pair_bytes,
    pairs_to_bits,
    sorted_and_unique,
)
from qgpipe.data.graphs.packed import (
    Attribute,
    ConstantEdges,
    EdgePairs,
    Edges,
    Kind,
    Packed,
    offsets,
)
from qgpipe.errors import DataError

RESERVED = ("batch", "ptr", "sample_position", "num_graphs")
DTYPES = {
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.float32, torch.float64,
}  # fmt: skip


def pack(
    graphs: Sequence[Data], sample_index: Sequence[int] | None = None, store: str | None = None
) -> Packed:
    """Pack graphs so that batches of them equal those of ``Batch.from_data_list``.

    ``graphs``: all with the same attributes: tensors, or numbers, which become tensors. Attributes
    are joined by the graph's own ``__cat_dim__`` and ``__inc__``.
    ``sample_index``: index of each graph's sample in its ``store`` (0, 1, …); both
    are named in errors.

    Edges that are sorted by (source, target) and unique become bits if that is smaller; others keep
    their order as pairs. In batches ``edge_index`` is always int64. An edge attribute that is 1
    everywhere is stored as a constant.

    Raises ``DataError``, naming sample and attribute, if a graph is not a ``Data``, has no
    ``edge_index``, differs from the first one in its attributes, or cannot be packed.
    """
    samples = range(len(graphs)) if sample_index is None else sample_index
    return _Packing(list(graphs), samples, store).pack()


@dataclass
class _Packing:
    graphs: list[Data]
    samples: Sequence[int]
    store: str | None

    def pack(self) -> Packed:
        names = self._attribute_names()
        sizes = np.array([self._num_nodes(i) for i in range(len(self.graphs))], np.int64)
        edges, num_edges = self._edges(sizes)
        packed = Packed(
            sample_index=np.array(self.samples, np.int64),
            node_ptr=offsets(sizes),
            edges=edges,
            explicit_num_nodes=bool(self.graphs) and "num_nodes" in self.graphs[0],
        )
        for name in names:
            attribute = self._attribute(name, sizes, num_edges)
            values = attribute.values
            plain = attribute.cat_dim == 0 and not attribute.increment
            if attribute.kind == "edge" and plain and (values == 1).all():
                packed.constants[name] = ConstantEdges(1, values.dtype.name, values.shape[1:])
            else:
                packed.attributes[name] = attribute
        return packed

    def _attribute_names(self) -> list[str]:
        names: list[str] = []
        for i, graph in enumerate(self.graphs):
            if not isinstance(graph, Data) or isinstance(graph, Batch):
                self._refuse(i, None, f"expected a PyG Data, got {type(graph).__name__}")
            found = sorted(graph.keys())
            if "edge_index" not in found:
                self._refuse(i, "edge_index", "is missing")
            names = names or found
            for name in sorted(set(names) ^ set(found)):
                problem = "is missing" if name in names else f"is not in sample {self.samples[0]}"
                self._refuse(i, name, problem, "give all graphs the same attributes")
        for name in sorted(set(names) & set(RESERVED)):
            self._refuse(0, name, "is a name that batches use themselves", "rename it")
        return [name for name in names if name not in ("edge_index", "num_nodes")]

    def _num_nodes(self, i: int) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without x, PyG infers the number from the edges
            count = self.graphs[i].num_nodes
        if count is None:
            self._refuse(i, None, "the number of nodes is not known", "set data.num_nodes")
        return int(count)

    def _edges(self, sizes: np.ndarray) -> tuple[Edges, np.ndarray]:
        parts = [self._edge_index(i, size) for i, size in enumerate(sizes.tolist())]
        num_edges = np.array([part.shape[1] for part in parts], np.int64)
        local = np.concatenate([np.empty((2, 0), np.int64), *parts], axis=1)
        pairs = EdgePairs(local.astype(index_dtype(sizes)), offsets(num_edges))
        smaller = bit_offsets(sizes)[-1] <= pair_bytes(local.shape[1], sizes)
        if smaller and sorted_and_unique(pairs):
            return pairs_to_bits(pairs, sizes), num_edges
        return pairs, num_edges

    def _edge_index(self, i: int, size: int) -> np.ndarray:
        tensor = self.graphs[i]["edge_index"]
        if not isinstance(tensor, Tensor) or tensor.dim() != 2 or tensor.size(0) != 2:
            self._refuse(i, "edge_index", "expected a tensor of shape (2, number of edges)")
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            self._refuse(i, "edge_index", f"expected integers, got {tensor.dtype}")
        array = _plain(tensor).numpy()
        if array.size and not (array.min() >= 0 and array.max() < size):
            self._refuse(
                i,
                "edge_index",
                f"names node {array.max() if array.min() >= 0 else array.min()} "
                f"of a graph of {size} nodes",
                "number the nodes of each graph from 0, and give x a row for each",
            )
        return array

    def _attribute(self, name: str, sizes: np.ndarray, num_edges: np.ndarray) -> Attribute:
        values = [graph[name] for graph in self.graphs]
        increment = self._increment(name, values, sizes)
        if isinstance(values[0], int | float):
            for i, value in enumerate(values):
                if not isinstance(value, int | float):
                    self._refuse(i, name, f"expected a number, got {type(value).__name__}")
            return Attribute(torch.tensor(values).numpy(), "graph", None, 0, increment, True)
        for i, value in enumerate(values):
            self._check_tensor(i, name, value, values[0])
        first = self.graphs[0]
        cat_dim = first.__cat_dim__(name, values[0], first.stores[0])
        if values[0].dim() == 0 or cat_dim is None:
            self._check_shapes(name, [tuple(value.shape) for value in values])
            stacked = torch.stack([_plain(value) for value in values])
            return Attribute(stacked.numpy(), "graph", None, 0, increment, True)
        if not isinstance(cat_dim, int):
            self._refuse(0, name, f"cannot be joined along {cat_dim}")
        moved = [_plain(value).movedim(cat_dim, 0) for value in values]
        self._check_shapes(name, [tuple(value.shape[1:]) for value in moved])
        lengths = np.array([len(value) for value in moved], np.int64)
        kind = _kind(lengths, sizes, num_edges)
        ptr = offsets(lengths) if kind == "ragged" else None
        if cat_dim == -values[0].dim():
            cat_dim = 0
        joined = torch.cat(moved).contiguous()
        return Attribute(joined.numpy(), kind, ptr, cat_dim, increment)

    def _increment(self, name: str, values: list[Any], sizes: np.ndarray) -> bool:
        """Whether PyG adds node offsets to the values."""
        increments = [
            graph.__inc__(name, value, graph.stores[0])
            for graph, value in zip(self.graphs, values, strict=True)
        ]
        plain = [int(inc) if np.size(inc) == 1 else None for inc in increments]
        if all(inc == 0 for inc in plain):
            return False
        for i, (inc, size) in enumerate(zip(plain, sizes.tolist(), strict=True)):
            if inc != size:
                self._refuse(
                    i,
                    name,
                    f"is joined with an increment of {increments[i]}, "
                    "which can only be 0 or the number of nodes",
                    "rename it (names with 'batch' or 'index' mean something to PyG)",
                )
        return True

    def _check_tensor(self, i: int, name: str, value: Any, first: Any) -> None:
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_nested:
            kind = f"a {value.layout} tensor" if isinstance(value, Tensor) else type(value).__name__
            self._refuse(
                i, name, f"cannot pack {kind}", "use dense tensors or numbers as attributes"
            )
        if value.dtype not in DTYPES or (value.dtype == torch.bool and "index" in name):
            self._refuse(i, name, f"cannot pack {value.dtype}", "use another dtype")
        if value.dtype != first.dtype or value.dim() != first.dim():
            self._refuse(
                i,
                name,
                f"is {value.dtype} with {value.dim()} dimensions, but {first.dtype} "
                f"with {first.dim()} in sample {self.samples[0]}",
            )

    def _check_shapes(self, name: str, shapes: list[tuple[int, ...]]) -> None:
        for i, shape in enumerate(shapes):
            if shape != shapes[0]:
                self._refuse(
                    i, name, f"shape {shape} instead of {shapes[0]} as in sample {self.samples[0]}"
                )

    def _refuse(
        self, i: int, name: str | None, problem: str, remedy: str | None = None
    ) -> NoReturn:
        where = f"attribute '{name}' {problem}" if name else problem
        raise DataError(where, store=self.store, sample=self.samples[i], remedy=remedy)


def _plain(tensor: Tensor) -> Tensor:
    """A plain tensor without gradient on the CPU, also of a subclass such as ``EdgeIndex``."""
    return tensor.detach().as_subclass(Tensor).cpu()


def _kind(lengths: np.ndarray, sizes: np.ndarray, num_edges: np.ndarray) -> Kind:
    if (lengths == 1).all():
        return "graph"
    if (lengths == sizes).all():
        return "node"
    return "edge" if (lengths == num_edges).all() else "ragged"
