"""Causal sets of 512 to 4,096 elements: every step up to training, beside PyG and dense products.

    python benchmarks/large.py --output benchmarks/results/large.md

Every step runs in a process of its own, in one thread, whose processor time and peak memory are
measured; the model, its data and classes are those of the default run. ``--quick`` does all of it
on a few small causal sets; its times say nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from graphs import DEFAULT_RUN, default_model
from machine import describe
from measure import keep, table
from torch_geometric.loader import DataLoader

from qgpipe import paths
from qgpipe.causets.features import compute
from qgpipe.causets.orders import Orders
from qgpipe.causets.writers.generate import generate_store
from qgpipe.causets.writers.samples import GRAPH_ARRAYS, NODE_ARRAYS, SampleSource
from qgpipe.config import resolve_config
from qgpipe.config.load import load_config
from qgpipe.config.types import Config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.data.loading.placement import available_memory
from qgpipe.data.preprocessing.part import preprocess_part, write_dataset
from qgpipe.data.splits.split_file import write_split
from qgpipe.message_passing.format_choice import choose
from qgpipe.training.loaders import open_loaders
from qgpipe.training.losses import cross_entropy
from qgpipe.training.steps.batch_pass import TrainingPass
from qgpipe.training.steps.precision import Precision
from qgpipe.training.steps.training_step import TrainingStep
from qgpipe.training.trainer import Trainer

BATCH_SIZE = 8
HIDDEN = 64  # features of the default model between its two layers
FEATURES = 12  # and before the first
MORE = 4  # times the data, in the measurement of what memory grows by
MAPPED_MORE = f"train mapped, {MORE} times the data"
FEW = 16  # causal sets at most that PyG trains on
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Scale:
    """Causal sets by their number of elements, and epochs that are timed after a first one."""

    sets: dict[int, int]
    epochs: int


FULL = Scale({512: 96, 1024: 64, 2048: 120, 4096: 16}, 2)
QUICK = Scale({300: 24}, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small causal sets")
    parser.add_argument("--output", type=Path, help="Markdown file for the result")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    scale = QUICK if given.quick else FULL
    if given.step:
        result = STEPS[given.step](given.folder, given.size, scale)
        print(json.dumps({"peak": _peak_bytes() / 1e6, **result}))
        return
    with tempfile.TemporaryDirectory() as folder:
        keep("\n\n".join(report(Path(folder), scale)), given.output)


def report(folder: Path, scale: Scale) -> Iterator[str]:
    found = {n: measured(folder / str(n), n, scale) for n in scale.sets}
    sizes = [f"n = {n:,}" for n in scale.sets]
    yield "# Large causal sets"
    yield (
        f"{', '.join(map(str, scale.sets.values()))} causal sets of {', '.join(sizes)}, with the "
        "classes, features and model of the default run, batches of "
        f"{BATCH_SIZE}, float32. {describe('numpy', 'torch', 'torch-geometric')} 1 thread."
    )
    yield (
        "Each step is a process of its own. Training includes loading: the median of "
        f"{scale.epochs} epochs after a first one, in which all had the same loss up to rounding. "
        "The dense products are those of the two layers, forward and backward, by `torch.bmm` with "
        "adjacency matrices that are there as float32, timed after training in the same process. "
        f"PyG trains for an epoch on the first {FEW}. Preprocessing computes the normalised "
        "observables from the relations. The training job is an epoch of the stage, with checks "
        "and validation."
    )
    yield "## Processor time"
    rows: list[list[object]] = []
    for label, step, key in TIMES:
        rows.append([label, *(cell(found[n][step], key) for n in scale.sets)])
    yield table(("ms a causal set", *sizes), rows)
    yield "## Training over the dense products, and over PyG"
    ratios: list[list[object]] = [
        [f"{name} / dense products", *(ratio(found[n], name) for n in scale.sets)]
        for name in TRAININGS
    ]
    ratios.append(["PyG / auto", *(over_pyg(found[n]) for n in scale.sets)])
    formats = ["what auto chooses", *(found[n]["train auto"]["format"] for n in scale.sets)]
    shares = ["pairs related, %", *(found[n]["train auto"]["share"] for n in scale.sets)]
    yield table(("ratio", *sizes), [*ratios, formats, shares])
    yield "## Peak memory"
    peaks: list[list[object]] = [
        [step, *(cell(found[n][step], "peak") for n in scale.sets)] for step in STEPS
    ]
    peaks += [
        [f"{step}: its own, after a step", *(cell(found[n][step], "own") for n in scale.sets)]
        for step in ("train mapped", MAPPED_MORE)
    ]
    yield table(("MB", *sizes), peaks)
    reasons = [
        f"n = {n:,}: {r['PyG']['skipped']}" for n, r in found.items() if "skipped" in r["PyG"]
    ]
    if reasons:
        yield "PyG was left out for " + "; ".join(reasons) + "."


def measured(folder: Path, size: int, scale: Scale) -> dict[str, dict[str, Any]]:
    """What each step printed, by its name."""
    found: dict[str, dict[str, Any]] = {}
    for step in STEPS:
        command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
        command += ["--size", str(size), *(["--quick"] if scale is QUICK else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[step] = json.loads(done.stdout.splitlines()[-1])
    losses = {k: result["loss"] for k, result in found.items() if "loss" in result}
    del losses[MAPPED_MORE]  # takes more steps
    for name, loss in losses.items():
        if abs(loss / losses["train auto"] - 1) > 1e-3:
            raise AssertionError(f"n = {size}: the loss of {name} differs: {losses}")
    return found


def cell(result: dict[str, Any], key: str) -> object:
    value = result.get(key)
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(found: dict[str, dict[str, Any]], name: str) -> str:
    return f"{found[name]['ms'] / found[name]['floor']:.2f}"


def over_pyg(found: dict[str, dict[str, Any]]) -> str:
    if "skipped" in found["PyG"]:
        return ""
    return f"{found['PyG']['ms'] / found['train auto']['ms']:.1f}"


def config_of(folder: Path, size: int, scale: Scale) -> Config:
    """The default run with causal sets of one size."""
    config: Any = load_config(DEFAULT_RUN)
    config.pop("evaluate")
    config["generate"].update(num_samples=scale.sets[size], size=[size, size])
    config["data"].update(output=str(folder))
    return resolve_config(config)


def generate(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    """Make the store, as the stage does, in one process."""
    config = config_of(folder, size, scale)
    (name,) = config["generate"]["stores"]
    start = time.process_time()
    generate_store(config["generate"], name, paths.raw_store(config, name))
    ms = per_set(start, scale.sets[size])
    peak = _peak_bytes() / 1e6
    few = min(4, scale.sets[size])
    return {"ms": ms, "peak": peak, "observables": observables(config, name, few)}


def observables(config: Config, name: str, count: int) -> float:
    """Milliseconds a causal set for the observables alone, after a comparison with the store's."""
    source = SampleSource(config["generate"], name)
    samples = source.samples(0, count, source.description())
    relations = np.stack([sample.causal_set.relations for sample in samples])
    start = time.process_time()
    orders = Orders(relations)
    found = {name: compute(name, orders) for name in (*NODE_ARRAYS, *GRAPH_ARRAYS)}
    ms = per_set(start, count)
    for k, sample in enumerate(samples):
        for name, stored in {**sample.node_arrays, **sample.graph_arrays}.items():
            if name in found:
                np.testing.assert_allclose(found[name][k], stored, 1e-4, 1e-6, err_msg=name)
    return ms


def preprocess(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    """Read the store, and write a part file and its description."""
    config = config_of(folder, size, scale)
    (name,) = config["generate"]["stores"]
    count, store = scale.sets[size], paths.raw_store(config, name)
    part = paths.part(config, f"{name}-000000000")
    start = time.process_time()
    preprocess_part(config, store, name, 0, count, part)
    ms = per_set(start, count)
    described = {"name": name, "path": str(store), "layout": "stacked", "role": "all"}
    write_dataset([part], [{**described, "num_samples": count}], paths.dataset(config))
    return {"ms": ms}


def load(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    """All batches of the memory-mapped data, in the format that is chosen."""
    loader = loader_of(folder, "mmap", None)
    milliseconds = []
    for _ in range(scale.epochs + 1):
        start = time.process_time()
        for _ in loader:
            pass
        milliseconds.append(per_set(start, len(loader.dataset)))
    return {"ms": statistics.median(milliseconds[1:])}


def train_auto(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    return train(loader_of(folder, "auto", None), scale)


def train_mapped(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    return train(loader_of(folder, "mmap", None), scale)


def train_mapped_more(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    """The same with ``MORE`` times the data, for what memory grows by."""
    making = multiprocessing.get_context("spawn").Process(target=_more, args=(folder, size, scale))
    making.start()  # in a process of its own, whose memory does not count
    making.join()
    return train(loader_of(folder / "more", "mmap", None), scale)


def _more(folder: Path, size: int, scale: Scale) -> None:
    config = config_of(folder / "more", size, scale)
    (name,) = config["generate"]["stores"]
    count, store = scale.sets[size], paths.raw_store(config_of(folder, size, scale), name)
    parts, stores = [], []
    for k in range(MORE):
        parts.append(paths.part(config, f"{name}-{k}-000000000"))
        preprocess_part(config, store, f"{name}-{k}", 0, count, parts[-1])
        described = {"name": f"{name}-{k}", "path": str(store), "layout": "stacked", "role": "all"}
        stores.append({**described, "num_samples": count})
    write_dataset(parts, stores, paths.dataset(config))


def train_csr(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    return train(loader_of(folder, "auto", "csr"), scale)


def train_dense(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    return train(loader_of(folder, "auto", "dense"), scale)


def loader_of(folder: Path, residency: str, edge_format: Any) -> GraphLoader:
    dataset = PackedDataset(folder, residency=residency)
    loader = GraphLoader(dataset, BATCH_SIZE)
    chosen = choose(edge_format or "auto", default_model(), True, dataset.density, "cpu")
    loader.edge_format = chosen.edge_format
    return loader


def train(loader: GraphLoader, scale: Scale) -> dict[str, Any]:
    """Epochs of training, and the dense products after each."""
    model = default_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    step = TrainingStep(model, cross_entropy, optimizer, Precision("fp32", CPU), CPU)
    count = len(loader.dataset)

    def note_memory() -> None:
        nonlocal own
        own = max(own, _status_bytes("RssAnon"))

    milliseconds, losses, own = [], [], 0
    for _ in range(scale.epochs + 1):
        start = time.process_time()
        this = TrainingPass()
        this.run(step, loader, 1, note_memory)
        milliseconds.append(per_set(start, count))
        losses.append(this.losses.summary()["loss_avg"])
    density = loader.dataset.density
    peak = _peak_bytes() / 1e6  # before the matrices of the products are there
    result = {
        "ms": statistics.median(milliseconds[1:]),
        "loss": losses[0],
        "peak": peak,
        "own": own / 1e6,
    }
    facts = {"format": loader.edge_format, "share": f"{100 * density.share:.1f}"}
    return {**result, **facts, "floor": dense_products(density.largest, scale)}


def dense_products(size: int, scale: Scale) -> float:
    """Milliseconds a causal set for the products of both layers: 12 wide forward, 64 both ways."""
    matrices = torch.rand(BATCH_SIZE, size, size).lt(0.5).triu(1).float()
    first = torch.randn(BATCH_SIZE, size, FEATURES)
    second = torch.randn(BATCH_SIZE, size, HIDDEN)
    milliseconds = []
    for _ in range(2 * scale.epochs + 1):
        start = time.process_time()
        torch.bmm(matrices.mT, first)
        torch.bmm(matrices.mT, second)
        torch.bmm(matrices, second)
        milliseconds.append(per_set(start, BATCH_SIZE))
    return statistics.median(milliseconds[1:])


def job(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    """An epoch as the stage trains it, with checks, statistics, validation and checkpoint."""
    config = config_of(folder, size, scale)
    config["training"].update(num_epochs=1, batch_size=BATCH_SIZE, path=str(folder / "runs"))
    write_split(config, paths.dataset(config), paths.split(config))
    trainer = Trainer(config)
    trainer.run_training(*open_loaders(config, paths.dataset(config), paths.split(config))[:2])
    return {}


def pyg(folder: Path, size: int, scale: Scale) -> dict[str, Any]:
    """A training loop as one writes it with PyG, over graphs in memory, if there is room."""
    dataset = PackedDataset(folder, residency="mmap")[:FEW]
    edges = dataset.density.edges // dataset.density.graphs
    # int64 edge_index of all graphs and of a batch, messages of a layer and their gradients.
    needed = edges * (16 * len(dataset) + BATCH_SIZE * (16 + 8 * HIDDEN))
    free = available_memory()
    if needed > 0.8 * free:
        return {"skipped": f"about {needed / 1e9:.0f} GB needed, {free / 1e9:.0f} GB free"}
    loader = DataLoader([dataset.get(int(i)) for i in dataset.positions], BATCH_SIZE)
    model = default_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    total = 0.0
    start = time.process_time()
    for batch in loader:
        optimizer.zero_grad()
        outputs = model(batch.x, batch.edge_index, batch.batch, batch.graph_features)
        loss = torch.nn.functional.cross_entropy(outputs[0], batch.y)
        loss.backward()
        optimizer.step()
        total += loss.item() * batch.num_graphs
    result = {"ms": per_set(start, len(dataset)), "peak": _peak_bytes() / 1e6}
    ours = GraphLoader(dataset, BATCH_SIZE)
    ours.edge_format = "dense"
    loss = train(ours, QUICK)["loss"]
    if abs(total / len(dataset) / loss - 1) > 1e-3:
        raise AssertionError(f"n = {size}: the loss of PyG is {total / len(dataset)}, ours {loss}")
    return result


def per_set(start: float, count: int) -> float:
    """Milliseconds of processor time since ``start`` for each of ``count`` causal sets."""
    return 1000 * (time.process_time() - start) / count


def _peak_bytes() -> int:
    """Peak memory of this process; getrusage would also count that of its parent."""
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int:
    """An entry of the status of this process."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(w.split()[1] for w in status.splitlines() if w.startswith(name)))


TRAININGS = ("train auto", "train mapped", "train dense", "train csr")
STEPS: dict[str, Callable[[Path, int, Scale], dict[str, Any]]] = {
    "generate": generate,
    "preprocess": preprocess,
    "load": load,
    "train auto": train_auto,
    "train mapped": train_mapped,
    "train dense": train_dense,
    "train csr": train_csr,
    MAPPED_MORE: train_mapped_more,
    "training job": job,
    "PyG": pyg,
}
TIMES = (
    ("generate, with default observables", "generate", "ms"),
    ("of that, default observables", "generate", "observables"),
    ("preprocess", "preprocess", "ms"),
    ("load, memory-mapped", "load", "ms"),
    ("train, as auto chooses", "train auto", "ms"),
    ("train, memory-mapped", "train mapped", "ms"),
    ("train, dense", "train dense", "ms"),
    ("train, csr", "train csr", "ms"),
    ("train, PyG in memory", "PyG", "ms"),
    ("dense products alone", "train auto", "floor"),
)

if __name__ == "__main__":
    main()
