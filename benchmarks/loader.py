"""Loading alone: batches from memory or from disk, in PyG's way, in QuantumGravPy's and in ours.

    python benchmarks/loader.py --output benchmarks/results/loader.md

Every contender loads the same graphs in the same order, and all batches are compared. ``--quick``
does all of it on a few small graphs; its times say nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from graphs import GraphFiles, sprinkled, write_part_file
from machine import describe
from measure import Clock, Contender, keep, processor_time, rates, table
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.message_passing.edge_format import EdgeFormat

PACKAGES = ("numpy", "torch", "torch-geometric")
BATCH_SIZE = 32
WORKERS = 2
FORMS: tuple[EdgeFormat, ...] = ("edges", "csr", "dense")
FIELDS = ("x", "y", "graph_features", "edge_index", "batch", "ptr")
BASES = ("PyG, in memory", "QuantumGravPy's way: .pt files")
WITHOUT = "PyG, in memory, without workers"


@dataclass(frozen=True)
class Scale:
    """Graphs, their ranges of sizes, rounds."""

    graphs: int
    sizes: tuple[tuple[int, int], ...]
    rounds: int


FULL = Scale(1024, ((64, 128), (64, 256)), 5)
QUICK = Scale(70, ((5, 20),), 0)

Load = Callable[[], Iterable[Batch]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small graphs")
    parser.add_argument("--output", type=Path, help="Markdown file for the result")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep("\n\n".join(_report(QUICK if given.quick else FULL)), given.output)


def _report(scale: Scale) -> Iterator[str]:
    yield "# Loading alone"
    yield (
        f"{scale.graphs:,} causal sets of two-dimensional flat spacetime, each with 12 node and 4 "
        f"graph features, in batches of {BATCH_SIZE}. "
        f"{describe(*PACKAGES)} {torch.get_num_threads()} thread(s)."
    )
    yield (
        f"Graphs a second: the median of {max(1, scale.rounds)} rounds in which all take turns; of "
        "processor time if there is one thread. "
        "`edges` gives `edge_index` (int64), as PyG does. `csr` and `dense` give what training "
        "consumes: compact edges, which the step expands on the device where it computes; the "
        "lines that say so include that, or the `edge_index` made of them. Copying alone copies "
        "all tensors of the finished batches of the same form, which no loader can avoid. First "
        "without workers, then with them. All contenders gave the same batches."
    )
    for smallest, largest in scale.sizes:
        graphs = sprinkled(scale.graphs, smallest, largest)
        edges = sum(graph.num_edges for graph in graphs) / len(graphs)
        yield f"## {smallest} to {largest} elements, {edges:,.0f} edges on average"
        with tempfile.TemporaryDirectory() as folder:
            description = write_part_file(graphs, Path(folder))
            files = GraphFiles.write(graphs, Path(folder) / "pt")
            yield _table(graphs, files, description, scale)
            yield (
                f"With {WORKERS} workers, PyG's and QuantumGravPy's being processes that stay, "
                "ours threads; by the clock on the wall:"
            )
            yield _table_of_workers(graphs, files, description, scale)


def _table(graphs: Sequence[Data], files: GraphFiles, description: Path, scale: Scale) -> str:
    loads = _loads(graphs, files, description)
    _compare(graphs, loads)
    for edge_format in FORMS:
        batches = list(loads[f"memory, {edge_format}"]())
        loads[f"copying alone, {edge_format}"] = lambda batches=batches: map(_copied, batches)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clock = processor_time(torch.get_num_threads(), device)
    found = _rates(graphs, loads, scale.rounds, clock)
    return table(
        ("what", "graphs/s", *(f"over {base}" for base in BASES), "of copying alone"),
        [
            (
                name,
                rate,
                *(rate / found[base] for base in BASES),
                rate / found[f"copying alone, {_form(name)}"],
            )
            for name, rate in found.items()
        ],
    )


def _form(name: str) -> str:
    """The form that a contender gives."""
    return next(
        (edge_format for edge_format in FORMS if edge_format in name.split("edge_index")[0]),
        "edges",
    )


def _table_of_workers(
    graphs: Sequence[Data], files: GraphFiles, description: Path, scale: Scale
) -> str:
    kept = {"num_workers": WORKERS, "persistent_workers": True}
    theirs = {
        BASES[1]: DataLoader(files, BATCH_SIZE, **kept),
        BASES[0]: DataLoader(list(graphs), BATCH_SIZE, **kept),
        WITHOUT: DataLoader(list(graphs), BATCH_SIZE),
    }
    loads: dict[str, Load] = {name: lambda loader=loader: loader for name, loader in theirs.items()}
    for residency in ("mmap", "memory"):
        dataset = PackedDataset(description, residency=residency)
        for edge_format in FORMS:
            loader = GraphLoader(dataset, BATCH_SIZE, num_workers=WORKERS)
            loader.edge_format = edge_format
            loads[f"{residency}, {edge_format}"] = lambda loader=loader: loader
    _compare(graphs, loads)
    found = _rates(graphs, loads, scale.rounds, time.perf_counter)
    bases = (BASES[0], WITHOUT)
    rows = [(name, rate, *(rate / found[base] for base in bases)) for name, rate in found.items()]
    return table(("what", "graphs/s", *(f"over {base}" for base in bases)), rows)


def _rates(
    graphs: Sequence[Data], loads: dict[str, Load], rounds: int, clock: Clock
) -> dict[str, float]:
    """Graphs a second of each, by its name."""
    contenders = [
        Contender(name, 1, len(graphs), lambda load=load: _exhaust(load()))
        for name, load in loads.items()
    ]
    return {contender.name: rate for contender, rate in rates(contenders, rounds, clock).items()}


def _loads(graphs: Sequence[Data], files: GraphFiles, description: Path) -> dict[str, Load]:
    """What loads all graphs once, by its name."""
    result: dict[str, Load] = {
        BASES[1]: lambda: DataLoader(files, BATCH_SIZE),
        BASES[0]: lambda: DataLoader(list(graphs), BATCH_SIZE),
    }
    residencies = ["mmap", "memory"]
    if torch.cuda.is_available():
        residencies.append("device")
    for residency in residencies:
        dataset = PackedDataset(description, residency=residency, device="cuda")
        for edge_format in FORMS:
            loader = GraphLoader(dataset, BATCH_SIZE)
            loader.edge_format = edge_format
            result[f"{residency}, {edge_format}"] = lambda loader=loader: loader
            if residency == "memory" and edge_format != "edges":
                result[f"memory, {edge_format}, expanded"] = lambda loader=loader: map(
                    _expanded, loader
                )
                result[f"memory, {edge_format}, then edge_index"] = lambda loader=loader: map(
                    _with_edge_index, loader
                )
    return result


def _expanded(batch: Any) -> Any:
    return batch.edge_batch.expand(torch.float32)


def _with_edge_index(batch: Any) -> Tensor:
    return batch.edge_index


def _copied(batch: Batch) -> list[Tensor]:
    values = [value for value in batch.to_dict().values() if value is not None]
    flat = [part for v in values for part in (v if isinstance(v, tuple) else [v])]
    return [tensor.clone() for tensor in flat if isinstance(tensor, Tensor)]


def _exhaust(items: Iterable[Any]) -> None:
    for _ in items:
        pass
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _compare(graphs: Sequence[Data], loads: dict[str, Load]) -> None:
    """Whether all contenders that give batches give the same."""
    expected = list(DataLoader(list(graphs), BATCH_SIZE))
    for name, load in loads.items():
        if name.endswith(("expanded", "then edge_index")):
            continue
        for found, wanted in zip(load(), expected, strict=True):
            for field in FIELDS:
                if not torch.equal(found[field].cpu(), wanted[field]):
                    raise AssertionError(f"{field} of {name} differs")


if __name__ == "__main__":
    main()
