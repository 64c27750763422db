"""Raw stores for tests, written with zarr-python, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import BitAdjacency, Packed
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part


@dataclass
class CausalSets:
    """Random partial orders: ``relations[s][i, j]`` iff i precedes j in sample s.

    Labels are shuffled, so the matrices are not triangular.
    """

    relations: list[np.ndarray]
    future: list[np.ndarray]
    past: list[np.ndarray]
    types: np.ndarray
    manifold_like: np.ndarray

    def __len__(self) -> int:
        return len(self.relations)

    @property
    def sizes(self) -> np.ndarray:
        return np.array([len(r) for r in self.relations])

    def padded(self, values: Sequence[np.ndarray], fill: float = 0) -> np.ndarray:
        """Node values as one array (samples, nmax)."""
        result = np.full((len(self), self.sizes.max()), fill, values[0].dtype)
        for row, some in zip(result, values, strict=True):
            row[: len(some)] = some
        return result

    def stored_adjacency(self, dtype: str = "f4") -> np.ndarray:
        """(samples, nmax, nmax), each sample transposed, padded with zeros."""
        n = self.sizes.max()
        result = np.zeros((len(self), n, n), dtype)
        for matrix, relations in zip(result, self.relations, strict=True):
            matrix[: len(relations), : len(relations)] = relations.T
        return result


def make_causal_sets(sizes: Sequence[int], seed: int = 0, density: float = 0.4) -> CausalSets:
    rng = np.random.default_rng(seed)
    relations = []
    for n in sizes:
        labels = rng.permutation(n)
        links = np.triu(rng.random((n, n)) < density, 1)
        relations.append(links[labels][:, labels])
    return CausalSets(
        relations,
        [rng.integers(0, 9, n).astype("f4") for n in sizes],
        [rng.integers(0, 9, n).astype("f4") for n in sizes],
        rng.integers(0, 3, len(sizes)),
        rng.random(len(sizes)) < 0.5,
    )


def stacked_arrays(sets: CausalSets, dtype: str = "f4") -> dict[str, np.ndarray]:
    """What a stacked store of ``sets`` holds, by name."""
    return {
        "adjacency_matrix": sets.stored_adjacency(dtype),
        "cset_size": sets.sizes,
        "max_pathlens_future": sets.padded(sets.future),
        "max_pathlens_past": sets.padded(sets.past),
        "cset_type": sets.types,
        "manifold_like": sets.manifold_like,
    }


def write_array(
    group: zarr.Group, name: str, values: np.ndarray, chunks: Sequence[int], **options: Any
) -> None:
    clipped = tuple(min(c, s) or 1 for c, s in zip(chunks, values.shape, strict=False))
    clipped += values.shape[len(clipped) :]
    array = group.create_array(
        name, shape=values.shape, dtype=values.dtype, chunks=clipped, **options
    )
    array[...] = values


@pytest.fixture
def causal_sets() -> CausalSets:
    """Seven causal sets of 3 to 12 elements."""
    return make_causal_sets([5, 12, 3, 8, 11, 4, 9])


@pytest.fixture(scope="session")
def make_sets() -> Callable[..., CausalSets]:
    return make_causal_sets


@pytest.fixture
def write_stacked(tmp_path: Path) -> Callable[..., Path]:
    """Write a stacked store: of ``sets``, with ``changes`` to its arrays (None: leave out)."""

    def write(
        sets: CausalSets,
        name: str = "stacked.zarr",
        zarr_format: int = 2,
        dtype: str = "f4",
        chunks: Sequence[int] = (3, 5, 5),
        attributes: dict[str, Any] | None = None,
        changes: dict[str, np.ndarray | None] | None = None,
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
        group.attrs.update(attributes or {})
        for key, values in {**stacked_arrays(sets, dtype), **(changes or {})}.items():
            if values is not None:
                write_array(group, key, np.asarray(values), chunks, **options)
        return path

    return write


@pytest.fixture
def write_groups(tmp_path: Path) -> Callable[..., Path]:
    """Write a store with a group for each causal set, numbered from 1 or by ``numbers``."""

    def write(
        sets: CausalSets,
        name: str = "groups.zarr",
        zarr_format: int = 2,
        dtype: str = "u1",
        numbers: Sequence[int] | None = None,
        attributes: dict[str, Any] | None = None,
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
        root.attrs.update(attributes or {})
        for i, number in enumerate(numbers or range(1, len(sets) + 1)):
            group = root.create_group(f"cset_{number}")
            arrays = {
                "adj": sets.relations[i].T.astype(dtype),
                "max_pathlens_future": sets.future[i],
                "max_pathlens_past": sets.past[i],
                "cset_type": sets.types[i : i + 1],
                "manifold_like": sets.manifold_like[i : i + 1],
            }
            for key, values in arrays.items():
                write_array(group, key, values, values.shape, **options)
        return path

    return write


@pytest.fixture(scope="session")
def adjacency() -> Callable[[Packed, int], np.ndarray]:
    """The boolean adjacency matrix of a packed graph, unpacked by hand."""

    def unpack(packed: Packed, i: int) -> np.ndarray:
        n = int(packed.node_ptr[i + 1] - packed.node_ptr[i])
        if isinstance(packed.edges, BitAdjacency):
            width = -(-n // 8)
            start = int(packed.edges.ptr[i])
            rows = packed.edges.bits[start : start + n * width].reshape(n, width)
            return np.unpackbits(rows, axis=1, bitorder="little")[:, :n].astype(bool)
        result = np.zeros((n, n), bool)
        start, stop = packed.edges.edge_ptr[i : i + 2]
        source, target = packed.edges.edge_index[:, start:stop]
        result[source, target] = True
        return result

    return unpack


def random_graphs(
    sizes: Sequence[int], seed: int = 0, density: float = 0.4, duplicate: bool = False
) -> list[Data]:
    """Graphs with attributes of every kind; ``duplicate``: with unsorted, repeated edges."""
    rng = np.random.default_rng(seed)
    graphs = []
    for n in sizes:
        edge_index = torch.from_numpy(np.argwhere(rng.random((n, n)) < density).T.copy())
        if duplicate:
            chosen = rng.integers(0, max(edge_index.shape[1], 1), 2 * edge_index.shape[1])
            edge_index = edge_index[:, chosen]
        num_edges, loose = edge_index.shape[1], int(rng.integers(0, 4))
        graphs.append(
            Data(
                x=torch.from_numpy(rng.random((n, 2), np.float32)),
                edge_index=edge_index,
                edge_attr=torch.ones(num_edges),
                y=torch.tensor(int(rng.integers(0, 3))),
                graph_features=torch.from_numpy(rng.random((1, 4))),
                edge_weight=torch.from_numpy(rng.random((num_edges, 1), np.float32)),
                face=torch.from_numpy(rng.integers(0, n, (3, loose))),
                root_index=torch.tensor(int(rng.integers(0, n))),
                marks=torch.from_numpy(rng.integers(0, 9, (loose, 2)).astype("i2")),
                temperature=float(rng.random()),
            )
        )
    return graphs


@pytest.fixture(scope="session")
def make_graphs() -> Callable[..., list[Data]]:
    return random_graphs


@pytest.fixture(scope="session")
def assert_same_batch() -> Callable[[Batch, Batch], None]:
    """Whether ours equals PyG's in every field, type and shape."""

    def check(ours: Batch, theirs: Batch) -> None:
        assert set(ours.keys()) - {"sample_position"} == set(theirs.keys())
        assert ours.num_graphs == theirs.num_graphs
        for name in theirs.keys():  # noqa: SIM118  PyG's batches are no mappings
            found, expected = ours[name], theirs[name]
            if not isinstance(expected, torch.Tensor):
                assert found == expected, name
            else:
                assert found.dtype == expected.dtype, name
                assert found.shape == expected.shape, name
                assert torch.equal(found, expected), name
                assert found.is_contiguous(), name

    return check


@pytest.fixture(scope="session")
def write_dataset_of() -> Callable[..., Path]:
    """Write each list of graphs as a part, and the ``dataset.json`` that names them."""

    def write(folder: Path, groups: Sequence[list[Data]], roles: Sequence[str] = ()) -> Path:
        parts, stores = [], []
        for i, graphs in enumerate(groups):
            name = f"s{i}"
            parts.append(folder / "parts" / f"{name}-000000000.safetensors")
            span = {"store": name, "start": 0, "stop": len(graphs)}
            span |= {"num_filtered": 0, "num_skipped": 0, "skipped": []}
            names = {"node_features": ["a", "b"], "class_names": ["k", "l", "m"]}
            unknown = {"graph_features": None, "target": None}
            write_part(parts[-1], pack(graphs, store=name), {**span, **names, **unknown})
            role = roles[i] if roles else "all"
            stores.append({"name": name, "path": name, "layout": "stacked", "role": role})
        write_dataset(parts, stores, folder / "dataset.json")
        return folder / "dataset.json"

    return write
