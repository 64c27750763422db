"""A million graphs in a thousand parts, stores larger than memory, and very many groups.

    python benchmarks/scale.py --output benchmarks/results/scale.md

Every step runs in a process of its own, whose time and peak memory are measured. ``--quick``
does all of it at a small scale.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from measure import keep, table
from raw_stores import sprinkle, write_groups

from qgpipe.causets.writers.zarr_v2 import create_array, create_group, write_chunks
from qgpipe.config import resolve_config

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "torch", "torch-geometric", "tensorstore", "snakemake")
LARGEST = 16  # elements of the many small causal sets
SIDE = 256  # elements of those in the large store
IN_CHUNK = 16  # of those, samples in a chunk of 1 MB
AT_ONCE = 100_000  # small causal sets made at once


@dataclass(frozen=True)
class Scale:
    """How much there is of everything."""

    graphs: int
    parts: int
    large_samples: int
    large_part: int
    groups: tuple[int, ...]


FULL = Scale(1_000_000, 1_000, 2**19, 2**13, (1_000, 10_000, 100_000))
QUICK = Scale(400, 4, 64, 32, (10, 30))


@dataclass(frozen=True)
class Measured:
    """What a process took, and what it printed last."""

    seconds: float
    peak_bytes: int
    printed: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small numbers of everything")
    parser.add_argument("--output", type=Path, help="Markdown file for the result")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    scale = QUICK if given.quick else FULL
    if given.step:
        start = time.perf_counter()
        result = STEPS[given.step](given.folder, scale, given.count) or {}
        print(json.dumps({"seconds": time.perf_counter() - start, **result}))
        return
    with tempfile.TemporaryDirectory() as folder:
        keep("\n\n".join(_report(Path(folder), scale)), given.output)


def _report(folder: Path, scale: Scale) -> Iterator[str]:
    yield "# Scale"
    yield describe(*PACKAGES)
    yield f"## {scale.graphs:,} graphs in {scale.parts:,} parts"
    yield (
        f"Of 8 to {LARGEST} elements, from one stacked store. Seconds without the start of Python "
        "and imports, except for Snakemake's. Peak memory is that of the process, all of it."
    )
    yield _many_graphs(folder, scale)
    yield "## A store larger than memory"
    yield _large_store(folder, scale)
    yield "## A group for each causal set"
    yield _many_groups(folder, scale)


def _many_graphs(folder: Path, scale: Scale) -> str:
    _step("generate", folder, scale)
    (folder / "run.json").write_text(json.dumps(_raw_config(folder, scale)))
    snakemake = [
        sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all", "--cores", "1",
        "--snakefile", ROOT / "Snakefile", "--directory", folder,
        "--configfile", folder / "run.json",
    ]  # fmt: skip
    steps = [
        ("plan the parts", _step("plan", folder, scale)),
        ("snakemake -n, before", _measure(snakemake)),
        ("preprocess, gather and split", _step("prepare", folder, scale)),
        ("snakemake -n, with all parts made", _measure(snakemake)),
        ("open, checksums verified, memory-mapped", _step("open", folder, scale)),
        ("train an epoch, memory-mapped", _step("train", folder, scale)),
    ]
    rows = []
    for name, measured in steps:
        seconds = measured.printed.get("seconds", measured.seconds)
        rate = f"{scale.graphs / seconds:,.0f}" if "snakemake" not in name else ""
        rows.append((name, float(seconds), rate, _megabytes(measured.peak_bytes)))
    size = sum(f.stat().st_size for f in (folder / "data" / "parts").glob("*.safetensors"))
    text = table(("step", "seconds", "graphs/s", "peak memory, MB"), rows)
    return f"{text}\n\nThe parts take {size / scale.graphs:,.0f} bytes a graph."


def _large_store(folder: Path, scale: Scale) -> str:
    rows = []
    for samples in (scale.large_samples // 8, scale.large_samples):
        _step("generate_large", folder, scale, samples)
        measured = _step("preprocess_large", folder, scale, samples)
        shutil.rmtree(folder / "large.zarr")
        rows.append(
            (
                f"{samples * SIDE**2 / 2**30:,.2f} GB",
                samples,
                float(measured.printed["seconds"]),
                samples / measured.printed["seconds"],
                _megabytes(measured.peak_bytes),
            )
        )
    text = table(("decoded size", "samples", "seconds", "graphs/s", "peak memory, MB"), rows)
    return (
        f"Causal sets of {SIDE} elements, preprocessed part after part in one process with two "
        f"threads, {scale.large_part:,} samples a part. Its chunks are links to a few files.\n\n"
        f"{text}"
    )


def _many_groups(folder: Path, scale: Scale) -> str:
    rows = []
    for count in scale.groups:
        _step("generate_groups", folder, scale, count)
        plan = _step("plan_groups", folder, scale, count)
        measured = _step("preprocess_groups", folder, scale, count)
        seconds = measured.printed["seconds"]
        rows.append(
            (
                count,
                float(plan.printed["seconds"]),
                float(seconds),
                count / seconds,
                _megabytes(measured.peak_bytes),
            )
        )
    header = ("groups", "plan, s", "preprocess, s", "groups/s", "peak memory, MB")
    text = table(header, rows)
    return f"Groups beyond the first {min(scale.groups):,} are links to them.\n\n{text}"


def _step(name: str, folder: Path, scale: Scale, count: int = 0) -> Measured:
    command = [sys.executable, __file__, "--step", name, "--folder", folder, "--count", str(count)]
    return _measure([*command, "--quick"] if scale is QUICK else command)


def _measure(command: Sequence[str | Path]) -> Measured:
    """Run a command; its peak memory counts that of the processes that it started as well."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode:
        raise SystemExit(f"{command} failed")
    printed = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Measured(seconds, usage.ru_maxrss * 1024, printed)


def _raw_config(folder: Path, scale: Scale) -> dict[str, Any]:
    reader = {
        "type": "qgpipe.CausalSetReader",
        "kwargs": {"node_features": ["in_degree", "out_degree"], "target": "cset_type"},
    }
    head = {"dims": [[16, 2]], "activations": ["!pyobject torch.nn.Identity"]}
    layer = ["!pyobject torch_geometric.nn.SAGEConv", [2, 16], {}, "x, edge_index"]
    return {
        "name": "scale",
        "data": {
            "files": [str(folder / "small.zarr")],
            "output": str(folder / "data"),
            "reader": reader,
            "chunksize": scale.graphs // scale.parts,
            "residency": "mmap",
        },
        "model": {
            "encoder_type": "!pyobject qgpipe.models.Sequential",
            "encoder_kwargs": {"layers": [layer], "forward_signature": "x, edge_index, batch"},
            "pooling_layers": [["!pyobject torch_geometric.nn.global_mean_pool"]],
            "aggregate_pooling_type": "!pyobject torch.cat",
            "downstream_tasks": [["!pyobject qgpipe.models.LinearSequential", [], head]],
        },
        "criterion": "!pyobject qgpipe.training.losses.cross_entropy",
        "training": {
            "seed": 0,
            "device": "cpu",
            "path": str(folder / "runs"),
            "num_epochs": 1,
            "batch_size": max(1, scale.graphs // 1000),
        },
    }


def generate(folder: Path, scale: Scale, _: int) -> None:
    """Many small causal sets in chunks of as many as a part has."""
    store, total, step = folder / "small.zarr", scale.graphs, scale.graphs // scale.parts
    create_group(store)
    shapes = {
        "adjacency_matrix": ((LARGEST, LARGEST), "u1"),
        "in_degree": ((LARGEST,), "f4"),
        "out_degree": ((LARGEST,), "f4"),
        "cset_size": ((), "i8"),
        "cset_type": ((), "i8"),
    }
    for name, (shape, dtype) in shapes.items():
        create_array(store / name, (total, *shape), (step, *shape), np.dtype(dtype))
    rng = np.random.default_rng(0)
    for first in range(0, total, AT_ONCE):
        count = min(AT_ONCE, total - first)
        for name, values in _small_sets(rng, count).items():
            shape, dtype = shapes[name]
            values = values.astype(dtype)
            for begin in range(0, count, step):
                some, number = values[begin : begin + step], (first + begin) // step
                write_chunks(store / name, some, (step, *shape), number)


def _small_sets(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    sizes = rng.integers(8, LARGEST + 1, count)
    points = rng.random((2, count, LARGEST))
    by_time = np.argsort(points.sum(axis=0), axis=1)
    u, v = (np.take_along_axis(axis, by_time, 1) for axis in points)
    inside = np.arange(LARGEST) < sizes[:, None]
    relations = (u[:, :, None] < u[:, None]) & (v[:, :, None] < v[:, None])
    relations &= inside[:, :, None] & inside[:, None]
    return {
        "adjacency_matrix": relations.swapaxes(1, 2),
        "in_degree": relations.sum(axis=1),
        "out_degree": relations.sum(axis=2),
        "cset_size": sizes,
        "cset_type": relations.sum(axis=(1, 2)) > sizes * (sizes - 1) / 4,
    }


def plan(folder: Path, scale: Scale, _: int) -> dict[str, Any]:
    from qgpipe.data.preprocessing.plan import plan_parts

    return {"parts": len(plan_parts(_config(folder)))}


def prepare(folder: Path, scale: Scale, _: int) -> None:
    from qgpipe.training.prepare import prepare_data

    prepare_data(_config(folder))


def open_data(folder: Path, scale: Scale, _: int) -> dict[str, Any]:
    from qgpipe import PackedDataset

    start = time.perf_counter()
    dataset = PackedDataset(folder / "data" / "dataset.json", residency="mmap")
    return {"seconds": time.perf_counter() - start, "graphs": len(dataset)}


def train(folder: Path, scale: Scale, _: int) -> dict[str, Any]:
    from qgpipe import Trainer

    trainer = Trainer.from_config(_config(folder))
    loaders = trainer.prepare_dataloaders()
    start = time.perf_counter()
    trainer.run_training(*loaders[:2])
    return {"seconds": time.perf_counter() - start}


def _config(folder: Path) -> dict[str, Any]:
    return resolve_config(json.loads((folder / "run.json").read_text()))


def generate_large(folder: Path, scale: Scale, samples: int) -> None:
    """Causal sets that are chains, of which links are stored; all chunks are the same few."""
    store, links = folder / "large.zarr", folder / "links.zarr"
    shutil.rmtree(links, ignore_errors=True)
    chain = np.eye(SIDE, k=-1, dtype=np.uint8)
    chunk = np.broadcast_to(chain, (IN_CHUNK, SIDE, SIDE))
    for path, count in ((links, IN_CHUNK), (store, samples)):
        create_group(path)
        shape, chunks = (count, SIDE, SIDE), (IN_CHUNK, SIDE, SIDE)
        create_array(path / "adjacency_matrix", shape, chunks, np.dtype("u1"))
    write_chunks(links / "adjacency_matrix", chunk, chunk.shape)
    for number in range(samples // IN_CHUNK):
        if number % 50_000 == 0:  # a file system allows so many links to a file
            source = store / "adjacency_matrix" / f"{number}.0.0"
            shutil.copy(links / "adjacency_matrix" / "0.0.0", source)
        else:
            os.link(source, store / "adjacency_matrix" / f"{number}.0.0")


def preprocess_large(folder: Path, scale: Scale, samples: int) -> None:
    config = _plain_config(folder / "large.zarr", {"node_features": [], "target": []})
    for first in range(0, samples, scale.large_part):
        _preprocess(config, folder, first, min(first + scale.large_part, samples), 2)


def generate_groups(folder: Path, scale: Scale, count: int) -> None:
    store, distinct = folder / "groups.zarr", min(scale.groups)
    if not store.exists():
        write_groups(store, sprinkle(distinct, 16, 32))
    for number in range(len(list(store.glob("cset_*"))), count):
        (store / f"cset_{number + 1}").symlink_to(f"cset_{number % distinct + 1}")


def plan_groups(folder: Path, scale: Scale, count: int) -> None:
    from qgpipe.data.preprocessing.plan import plan_parts

    plan_parts(_plain_config(folder / "groups.zarr", {}))


def preprocess_groups(folder: Path, scale: Scale, count: int) -> None:
    config = _plain_config(folder / "groups.zarr", {})
    for first in range(0, count, 1000):
        _preprocess(config, folder, first, min(first + 1000, count), 1)


def _plain_config(store: Path, kwargs: dict[str, Any]) -> dict[str, Any]:
    reader = {"type": "qgpipe.CausalSetReader", "kwargs": kwargs}
    return resolve_config(
        {
            "data": {"files": [str(store)], "reader": reader, "output": str(store.parent / "d")},
            "model": {"type": "torch.nn.Identity"},
            "criterion": "torch.nn.MSELoss",
            "training": {"seed": 0, "num_epochs": 1, "batch_size": 1},
        }
    )


def _preprocess(config: dict[str, Any], folder: Path, first: int, last: int, threads: int) -> None:
    from qgpipe.data.preprocessing.part import preprocess_part

    (file,) = config["data"]["files"]
    preprocess_part(config, file, "store", first, last, folder / "part", processes=threads)


def _megabytes(count: int) -> float:
    return count / 2**20


STEPS: dict[str, Callable[[Path, Scale, int], dict[str, Any] | None]] = {
    "generate": generate,
    "plan": plan,
    "prepare": prepare,
    "open": open_data,
    "train": train,
    "generate_large": generate_large,
    "preprocess_large": preprocess_large,
    "generate_groups": generate_groups,
    "plan_groups": plan_groups,
    "preprocess_groups": preprocess_groups,
}

if __name__ == "__main__":
    main()
