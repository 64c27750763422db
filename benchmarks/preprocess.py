"""Preprocessing: from raw zarr to graphs on disk, beside QuantumGravPy and beside decoding alone.

    python benchmarks/preprocess.py --output benchmarks/results/preprocess.md

Every contender reads the same causal sets, and what they make of them is compared. ``--quick``
does all of it on a few small causal sets; its times say nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process is to mean a process

import numpy as np
import torch
from machine import describe
from measure import Contender, keep, rates, table
from peers import (
    ARRAYS,
    decode_with_tensorstore,
    decode_with_zarr,
    groups_with_tensorstore,
    groups_with_zarr,
    plain_reader,
    quantumgrav_itself,
    quantumgrav_way,
    seed_reader,
)
from raw_stores import CausalSets, sprinkle, write_groups, write_stacked, write_v3

from qgpipe.config import resolve_config
from qgpipe.data.graphs.batch import to_data
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.graphs.select import select
from qgpipe.data.preprocessing.part import preprocess_part
from qgpipe.data.storage.part_file import open_part

PACKAGES = ("numpy", "torch", "torch-geometric", "zarr", "numcodecs", "tensorstore")
BUILT_IN = {
    "type": "qgpipe.CausalSetReader",
    "kwargs": {"node_features": ["max_pathlens_future"], "target": "manifold_like"},
}
BASES = ("QuantumGravPy's way", "decoding alone: TensorStore")
OF_GROUPS = {
    "type": "qgpipe.CausalSetReader",
    "kwargs": {"node_features": [ARRAYS[1]], "target": ARRAYS[2]},
}


@dataclass(frozen=True)
class Scale:
    """How much is measured: samples, those of peers that are slow, largest size, rounds."""

    samples: int
    few: int
    largest: int
    rounds: int
    processes: tuple[int, ...]


FULL = Scale(samples=1008, few=126, largest=256, rounds=7, processes=(1, 2))
QUICK = Scale(samples=24, few=12, largest=20, rounds=0, processes=(1,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small causal sets")
    parser.add_argument("--output", type=Path, help="Markdown file for the result")
    given = parser.parse_args()
    torch.set_num_threads(1)
    scale = QUICK if given.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        sets = sprinkle(scale.samples, scale.largest // 4, scale.largest)
        keep("\n\n".join(_report(Path(folder), sets, scale)), given.output)


def _report(folder: Path, sets: CausalSets, scale: Scale) -> Iterator[str]:
    relations = np.mean([r.sum() for r in sets.relations])
    yield "# Preprocessing"
    yield (
        f"{scale.samples:,} causal sets of {scale.largest // 4} to {scale.largest} elements with "
        f"{relations:,.0f} relations on average, sprinkled into two-dimensional flat spacetime. "
        f"{describe(*PACKAGES)}"
    )
    yield (
        "Graphs a second: the median of "
        f"{max(1, scale.rounds)} rounds in which all take turns, files in the system's cache. "
        "QuantumGravPy's rate is measured on the first "
        f"{scale.few} causal sets; it does not depend on their number. All contenders gave the "
        "same graphs."
    )
    yield "## Stacked arrays, float32 in chunks of 63 x 63 x 63"
    yield _stacked(folder, sets, scale)
    yield "## Built-in reader, other ways to store the same, beside TensorStore decoding alone"
    yield _layouts(folder, sets, scale)
    yield "## A group for each causal set"
    yield _groups(folder, sets, scale)
    yield "## Bytes on disk"
    yield _bytes_on_disk(folder)


def _stacked(folder: Path, sets: CausalSets, scale: Scale) -> str:
    store = write_stacked(folder / "stacked.zarr", sets)
    few = write_stacked(folder / "few.zarr", _first(sets, scale.few))
    itself = quantumgrav_itself()
    array = store / "adjacency_matrix"
    run = partial(decode_with_zarr, array)
    contenders = [Contender("decoding alone: zarr-python", 1, scale.samples, run)]
    for processes in scale.processes:
        peers: list[tuple[str, Callable[..., Any] | None]] = [
            ("QuantumGravPy's way", quantumgrav_way),
            ("QuantumGravPy itself", itself),
        ]
        for name, peer in peers:
            if peer is not None:
                run = partial(peer, few, folder / name, scale.few, processes)
                contenders.append(Contender(name, processes, scale.few, run))
        run = partial(decode_with_tensorstore, array, 2, processes)
        contenders.append(Contender("decoding alone: TensorStore", processes, scale.samples, run))
        for name, reader in (
            ("qgpipe, seed's reader", seed_reader),
            ("qgpipe, reader of store[name]", plain_reader),
            ("qgpipe, built-in reader", BUILT_IN),
        ):
            run = partial(_preprocess, store, folder / name, reader, scale.samples, processes)
            contenders.append(Contender(name, processes, scale.samples, run))
    found = rates(contenders, scale.rounds)
    _compare_graphs(folder, sets, scale)
    of = {name: {c.processes: r for c, r in found.items() if c.name == name} for name in BASES}
    return table(
        ("what", "processes", "graphs/s", *(f"over {name}" for name in BASES)),
        [
            (c.name, c.processes, rate, *(rate / of[name][c.processes] for name in BASES))
            for c, rate in sorted(found.items(), key=lambda item: (item[0].processes, item[1]))
        ],
    )


def _layouts(folder: Path, sets: CausalSets, scale: Scale) -> str:
    side = scale.largest
    everything = (scale.samples, side, side)
    stores = {
        "f4, cubes of 63": (folder / "stacked.zarr", 2),
        "u1, 1 MB of whole samples (generated)": (
            write_stacked(folder / "u1.zarr", sets, "u1", (max(1, 2**20 // side**2), side, side)),
            2,
        ),
        "f4, one sample a chunk": (
            write_stacked(folder / "single.zarr", sets, chunks=(1, side, side)),
            2,
        ),
        "f4, one chunk for everything": (
            write_stacked(folder / "whole.zarr", sets, chunks=everything),
            2,
        ),
        "f4, v3, zstd, cubes of 63": (
            write_v3(folder / "v3.zarr", sets, chunks=tuple(map(min, (63, 63, 63), everything))),
            3,
        ),
        "f4, v3, sharded, 4 samples a chunk": (
            write_v3(
                folder / "sharded.zarr", sets, chunks=(4, side, side), shards=(64, side, side)
            ),
            3,
        ),
    }
    contenders = []
    for name, (store, zarr_format) in stores.items():
        array = store / "adjacency_matrix"
        for threads in scale.processes:
            decode = partial(decode_with_tensorstore, array, zarr_format, threads)
            ours = partial(
                _preprocess, store, folder / f"{store.stem}-part", BUILT_IN, scale.samples, threads
            )
            contenders.append(Contender(f"decode {name}", threads, scale.samples, decode))
            contenders.append(Contender(name, threads, scale.samples, ours))
    found = rates(contenders, scale.rounds)
    first = (folder / "stacked-part").read_bytes()
    for store, _ in stores.values():
        if (folder / f"{store.stem}-part").read_bytes() != first:
            raise AssertionError(f"the part from {store.name} differs")
    named = {(c.name, c.processes): rate for c, rate in found.items()}
    return table(
        ("stored as", "threads", "graphs/s", "decoding alone, graphs/s", "over decoding alone"),
        [
            (name, threads, *_with_ratio(named[name, threads], named[f"decode {name}", threads]))
            for name in stores
            for threads in scale.processes
        ],
    )


def _with_ratio(rate: float, base: float) -> tuple[float, float, float]:
    return rate, base, rate / base


def _groups(folder: Path, sets: CausalSets, scale: Scale) -> str:
    store = write_groups(folder / "groups.zarr", sets)
    run = partial(groups_with_zarr, store, scale.few)
    contenders = [Contender("zarr-python, the same arrays", 1, scale.few, run)]
    for threads in scale.processes:
        run = partial(groups_with_tensorstore, store, scale.samples, threads)
        contenders.append(Contender("TensorStore, the same arrays", threads, scale.samples, run))
        run = partial(_preprocess, store, folder / "groups", OF_GROUPS, scale.samples, threads)
        contenders.append(Contender("qgpipe, built-in reader", threads, scale.samples, run))
    found = rates(contenders, scale.rounds)
    _compare_groups(folder, store, scale)
    base = next(rate for c, rate in found.items() if c.name.startswith("zarr"))
    return table(
        ("what", "threads", "graphs/s", "over zarr-python"),
        [(c.name, c.processes, rate, rate / base) for c, rate in found.items()],
    )


def _bytes_on_disk(folder: Path) -> str:
    pt = [file.stat().st_size for file in (folder / BASES[0]).iterdir()]
    part = folder / "qgpipe, built-in reader"
    packed = open_part(part)
    archive = folder / "archive"
    _preprocess(folder / "stacked.zarr", archive, BUILT_IN, packed.num_graphs, 1, compress=True)
    rows = [
        ("QuantumGravPy's way, a .pt a graph", sum(pt) / len(pt)),
        ("part", part.stat().st_size / packed.num_graphs),
        ("part, data.compress: true", archive.stat().st_size / packed.num_graphs),
    ]
    return table(("what", "bytes a graph"), rows)


def _preprocess(
    store: Path, output: Path, reader: Any, count: int, processes: int, compress: bool = False
) -> None:
    config = _config(store, reader, compress)
    preprocess_part(config, store, "causets", 0, count, output, processes=processes)


def _config(store: Path, reader: Any, compress: bool) -> dict[str, Any]:
    stages = {"model": {"type": "torch.nn.Identity"}, "criterion": "torch.nn.MSELoss"}
    training = {"seed": 0, "num_epochs": 1, "batch_size": 1}
    data = {"files": [str(store)], "reader": reader, "compress": compress}
    return resolve_config({**stages, "training": training, "data": data})


def _first(sets: CausalSets, count: int) -> CausalSets:
    node = {name: values[:count] for name, values in sets.node.items()}
    graph = {name: values[:count] for name, values in sets.graph.items()}
    return CausalSets(sets.relations[:count], node, graph)


def _compare_graphs(folder: Path, sets: CausalSets, scale: Scale) -> None:
    """Whether all parts hold the causal sets, and the same graphs as QuantumGravPy's files."""
    parts = ("qgpipe, seed's reader", "qgpipe, reader of store[name]", "qgpipe, built-in reader")
    folders = [folder / "QuantumGravPy's way", folder / "QuantumGravPy itself" / "processed"]
    for packed in (open_part(folder / name) for name in parts):
        for i, relations in enumerate(sets.relations):
            graph = _graph(packed, i)
            _expect(graph.edge_index.numpy(), np.stack(np.nonzero(relations)))
            _expect(graph.x[:, 0].numpy(), sets.node["max_pathlens_future"][i])
            _expect(graph.y.numpy(), sets.graph["manifold_like"][i])
            for peer in folders:
                if peer.exists() and i < scale.few:
                    other = torch.load(peer / f"data_{i}.pt", weights_only=False)
                    for name in ("edge_index", "x", "y"):
                        _expect(graph[name].numpy(), other[name].numpy())


def _compare_groups(folder: Path, store: Path, scale: Scale) -> None:
    packed = open_part(folder / "groups")
    by_zarr = groups_with_zarr(store, scale.few)
    by_tensorstore = groups_with_tensorstore(store, scale.few, 1)
    for peers in (by_zarr, by_tensorstore):
        for i, (relations, future, kind) in enumerate(peers):
            graph = _graph(packed, i)
            _expect(graph.edge_index.numpy(), np.stack(np.nonzero(relations.T)))
            _expect(graph.x[:, 0].numpy(), future)
            _expect(graph.y.numpy(), kind[0])


def _graph(packed: Packed, i: int) -> Any:
    return to_data(select(packed, np.array([i])))


def _expect(ours: np.ndarray, theirs: Sequence[Any] | np.ndarray) -> None:
    if not np.array_equal(ours, theirs):
        raise AssertionError("the results differ")


if __name__ == "__main__":
    main()
