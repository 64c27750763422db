"""Raw stores to measure with: points sprinkled into two-dimensional flat spacetime.

About half of all pairs are related, as in real data sets of causal sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from qgpipe.causets.writers.zarr_v2 import create_array, create_group, write_array, write_chunks


@dataclass(frozen=True)
class CausalSets:
    """Relation matrices ``[i, j]`` iff i precedes j, one array a causal set, and arrays by name."""

    relations: list[np.ndarray]
    node: dict[str, list[np.ndarray]]
    graph: dict[str, np.ndarray]

    @property
    def sizes(self) -> np.ndarray:
        """Numbers of elements, int64 [N]."""
        return np.array([len(relations) for relations in self.relations])


def sprinkle(count: int, smallest: int, largest: int, seed: int = 0) -> CausalSets:
    """``count`` causal sets with sizes drawn uniformly."""
    rng = np.random.default_rng(seed)
    relations = []
    for n in rng.integers(smallest, largest + 1, count):
        u, v = rng.random((2, n))
        by_time = np.argsort(u + v)
        u, v = u[by_time], v[by_time]
        relations.append((u[:, None] < u) & (v[:, None] < v))
    return CausalSets(
        relations,
        {
            "max_pathlens_future": [r.sum(1).astype("f4") for r in relations],
            "max_pathlens_past": [r.sum(0).astype("f4") for r in relations],
        },
        {"manifold_like": rng.random(count) < 0.5, "cset_type": rng.integers(0, 3, count)},
    )


def write_stacked(
    path: Path, sets: CausalSets, dtype: str = "f4", chunks: tuple[int, int, int] = (63, 63, 63)
) -> Path:
    """Padded arrays in zarr v2, compressed as QuantumGrav.jl does; chunks of zeros left out."""
    create_group(path)
    for name, values in _padded(sets, dtype).items():
        clipped = tuple(map(min, chunks, values.shape)) if values.ndim == 3 else values.shape
        create_array(path / name, values.shape, clipped, values.dtype)
        for first in range(0, len(values), clipped[0]):
            window = values[first : first + clipped[0]]
            write_chunks(path / name, window, clipped, first // clipped[0])
    return path


def write_v3(path: Path, sets: CausalSets, **options: Any) -> Path:
    """Padded arrays in zarr v3; ``options`` (chunks, shards) of the adjacency."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for name, values in _padded(sets, "f4").items():
        chosen = options if values.ndim == 3 else {"chunks": values.shape}
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, **chosen)
        array[...] = values
    return path


def write_groups(path: Path, sets: CausalSets) -> Path:
    """A group for each causal set, in zarr v2."""
    create_group(path)
    for i, relations in enumerate(sets.relations):
        group = path / f"cset_{i + 1}"
        create_group(group)
        arrays = {name: values[i] for name, values in sets.node.items()}
        arrays |= {name: values[i : i + 1] for name, values in sets.graph.items()}
        for name, values in {"adj": relations.T.astype("u1"), **arrays}.items():
            write_array(group / name, values, values.shape)
    return path


def _padded(sets: CausalSets, dtype: str) -> dict[str, np.ndarray]:
    sizes = sets.sizes
    count, largest = len(sizes), int(sizes.max())
    arrays = {"adjacency_matrix": np.zeros((count, largest, largest), dtype), "cset_size": sizes}
    for matrix, relations in zip(arrays["adjacency_matrix"], sets.relations, strict=True):
        matrix[: len(relations), : len(relations)] = relations.T
    for name, values in sets.node.items():
        arrays[name] = np.zeros((count, largest), "f4")
        for row, some in zip(arrays[name], values, strict=True):
            row[: len(some)] = some
    return {**arrays, **sets.graph}
