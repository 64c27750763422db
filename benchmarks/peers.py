"""What preprocessing is compared with: QuantumGravPy, zarr-python, TensorStore."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import torch
import zarr
from joblib import Parallel, delayed
from torch_geometric.data import Data
from torch_geometric.utils import dense_to_sparse

ARRAYS = ("adj", "max_pathlens_future", "cset_type")
IN_FLIGHT = 64  # groups whose arrays TensorStore opens and reads at once


def seed_reader(store: Any, idx: int, float_dtype: Any, int_dtype: Any, validate: bool) -> Data:
    """A reader as in QuantumGravPy's manual."""
    return _graph(zarr.open_group(store.root), idx, float_dtype, int_dtype)


def plain_reader(store: Any, idx: int, float_dtype: Any, int_dtype: Any, validate: bool) -> Data:
    """The same, asking the store for its arrays."""
    return _graph(store, idx, float_dtype, int_dtype)


def _graph(arrays: Any, idx: int, float_dtype: Any, int_dtype: Any) -> Data:
    n = int(arrays["cset_size"][idx])
    relations = np.transpose(arrays["adjacency_matrix"][idx, :, :])[:n, :n]
    edge_index, edge_weight = dense_to_sparse(torch.tensor(relations, dtype=torch.float32))
    future = arrays["max_pathlens_future"][idx, :][:n]
    return Data(
        x=torch.tensor(future, dtype=float_dtype).unsqueeze(1),
        edge_index=edge_index,
        edge_attr=edge_weight,
        y=torch.tensor(int(arrays["manifold_like"][idx]), dtype=int_dtype),
    )


def quantumgrav_way(store: Path, output: Path, count: int, processes: int) -> None:
    """What QuantumGravPy does: the reader for each sample, then a ``.pt`` file for each graph."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    raw = zarr.storage.LocalStore(store, read_only=True)
    arguments = (torch.float32, torch.int64, True)
    if processes > 1:
        call = delayed(seed_reader)
        graphs = Parallel(n_jobs=processes)(call(raw, i, *arguments) for i in range(count))
    else:
        graphs = [seed_reader(raw, i, *arguments) for i in range(count)]
    for i, graph in enumerate(graphs):
        torch.save(graph, output / f"data_{i}.pt")


def quantumgrav_itself() -> Callable[[Path, Path, int, int], None] | None:
    """The same with the package, if it can be imported.

    Its import also wants ``juliacall``, which starts Julia; preprocessing does not use it.
    """
    try:
        from QuantumGrav.dataset_ondisk import QGDataset
    except ImportError:
        return None

    def preprocess(store: Path, output: Path, count: int, processes: int) -> None:
        shutil.rmtree(output, ignore_errors=True)
        # Without a filter or transform it stores nothing. It gives readers the store's group.
        QGDataset(
            [store], output, plain_reader, int_type=torch.int64, n_processes=processes,
            pre_filter=keep_all,
        )  # fmt: skip

    return preprocess


def keep_all(graph: Data) -> bool:
    """A filter that lets everything through."""
    return True


def decode_with_zarr(array: Path) -> None:
    """All of a stacked array, a row of chunks at a time."""
    opened = zarr.open_array(array, mode="r")
    for first in range(0, opened.shape[0], opened.chunks[0]):
        opened[first : first + opened.chunks[0]]


def decode_with_tensorstore(array: Path, zarr_format: int, threads: int) -> None:
    """All of a stacked array, a row of chunks after the other, two of them in flight."""
    opened = _open(array, zarr_format, _context(threads)).result()
    step = opened.chunk_layout.read_chunk.shape[0]
    reads = []
    for first in range(0, opened.shape[0], step):
        reads.append(opened[first : min(first + step, opened.shape[0])].read())
        if len(reads) > 2:
            reads.pop(0).result()
    for read in reads:
        read.result()


def groups_with_zarr(store: Path, count: int) -> list[list[np.ndarray]]:
    """The arrays of each group, one after the other."""
    root = zarr.open_group(store, mode="r")
    groups = (root[f"cset_{i + 1}"] for i in range(count))
    return [[group[name][...] for name in ARRAYS] for group in groups]


def groups_with_tensorstore(store: Path, count: int, threads: int) -> list[list[np.ndarray]]:
    """The arrays of each group, those of many groups at once."""
    context, result = _context(threads), []
    for first in range(0, count, IN_FLIGHT):
        numbers = range(first + 1, min(first + IN_FLIGHT, count) + 1)
        opened = [
            [_open(store / f"cset_{k}" / name, 2, context) for name in ARRAYS] for k in numbers
        ]
        reads = [[array.result().read() for array in group] for group in opened]
        result += [[read.result() for read in group] for group in reads]
    return result


def _open(path: Path, zarr_format: int, context: tensorstore.Context) -> tensorstore.Future:
    spec = {
        "driver": "zarr" if zarr_format == 2 else "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
    }
    return tensorstore.open(spec, open=True, read=True, context=context)


def _context(threads: int) -> tensorstore.Context:
    return tensorstore.Context({"data_copy_concurrency": {"limit": threads}})
