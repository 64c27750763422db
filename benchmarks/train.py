"""Training the default model: QuantumGravPy's way, PyG in memory, and ours in each form.

    python benchmarks/train.py --output benchmarks/results/train.md

Every contender trains the same model with the same weights on the same batches, and the losses
of the first epoch are compared. ``--quick`` does all of it on a few small graphs; its times say
nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from floor import synchronize
from graphs import GraphFiles, default_model, sprinkled, write_part_file
from machine import describe
from measure import Contender, keep, processor_time, rates, table
from torch.nn.functional import cross_entropy
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.training.losses import cross_entropy as our_criterion
from qgpipe.training.steps.batch_pass import TrainingPass
from qgpipe.training.steps.precision import Precision
from qgpipe.training.steps.training_step import TrainingStep

PACKAGES = ("torch", "torch-geometric")
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
BASES = ("QuantumGravPy's way", "PyG, in memory")
NOTHING = "nothing"
WITHOUT_EDGES = "qgpipe, memory, graphs without edges"


@dataclass(frozen=True)
class Scale:
    """Graphs, their ranges of sizes, rounds, contenders whose memory is measured."""

    graphs: int
    sizes: tuple[tuple[int, int], ...]
    rounds: int
    peaks: int


FULL = Scale(1024, ((64, 128), (64, 256)), 3, 99)
QUICK = Scale(70, ((5, 20),), 0, 1)

Epoch = Callable[[], float]  # trains for an epoch, returns the mean loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small graphs")
    parser.add_argument("--output", type=Path, help="Markdown file for the result")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.only:
        _epoch_alone(given.folder, given.only)
    else:
        keep("\n\n".join(_report(QUICK if given.quick else FULL)), given.output)


def _report(scale: Scale) -> Iterator[str]:
    yield "# Training"
    yield (
        f"The default model (two SAGEConv layers 64 wide) on {scale.graphs:,} causal sets of "
        f"two-dimensional flat spacetime, batches of {BATCH_SIZE}, Adam, float32, loading "
        f"included. {describe(*PACKAGES)} {torch.get_num_threads()} thread(s)."
    )
    yield (
        f"Graphs a second: the median epoch of {max(1, scale.rounds)}, in rounds in which all take "
        "turns; of processor time if there is one thread. All contenders had the same loss in "
        "their first epoch, up to rounding. Graphs without edges cost all but message passing: "
        "linear layers, pooling, loss, optimizer and loading. Peak memory "
        "is that of a process of its own which opens the data and trains for an epoch; importing "
        f"what is needed takes {_peak(None, NOTHING, torch.device('cpu')):,} MB of it."
    )
    devices = [torch.device("cpu")]
    if torch.cuda.is_available():
        devices.append(torch.device("cuda"))
    else:
        yield "No GPU was there: not yet run on one."
    for device in devices:
        for smallest, largest in scale.sizes:
            graphs = sprinkled(scale.graphs, smallest, largest)
            edges = sum(graph.num_edges for graph in graphs) / len(graphs)
            yield f"## {smallest} to {largest} elements, {edges:,.0f} edges on average, {device}"
            with tempfile.TemporaryDirectory() as folder:
                peaks = scale.peaks if (smallest, largest) == scale.sizes[-1] else 0
                yield _table(graphs, Path(folder), scale, device, peaks)


def _table(
    graphs: Sequence[Data], folder: Path, scale: Scale, device: torch.device, peaks: int
) -> str:
    write_part_file(graphs, folder)
    write_part_file([_without_edges(graph) for graph in graphs], folder / "without edges")
    torch.save(list(graphs), folder / "graphs.pt")
    GraphFiles.write(graphs, folder / "pt")
    trainings = {name: make(folder, device) for name, make in _contenders(device).items()}
    losses = {name: epoch() for name, epoch in trainings.items()}
    for name, loss in losses.items():
        if (
            not name.endswith(("bucket_by_size", "without edges"))
            and abs(loss / losses[BASES[0]] - 1) > 1e-3
        ):
            raise AssertionError(f"the loss of {name} differs")
    contenders = [
        Contender(name, 1, len(graphs), partial(_run, epoch, device))
        for name, epoch in trainings.items()
    ]
    clock = processor_time(torch.get_num_threads(), device.type)
    found = {c.name: rate for c, rate in rates(contenders, scale.rounds, clock).items()}
    header = ["what", "graphs/s", *(f"over {base}" for base in BASES)]
    rows = [[name, rate, *(rate / found[base] for base in BASES)] for name, rate in found.items()]
    if peaks:
        header.append("peak memory, MB")
        for i, row in enumerate(rows):
            row.append(_peak(folder, str(row[0]), device) if i < peaks else "")
    return table(header, rows)


def _contenders(device: torch.device) -> dict[str, Callable[[Path, torch.device], Epoch]]:
    residencies = ["memory"] if device.type == "cpu" else ["memory", "device"]
    ours = {
        f"qgpipe, {residency}, {edge_format}": partial(
            _ours, edge_format=edge_format, residency=residency
        )
        for residency in residencies
        for edge_format in ("edges", "csr", "dense")
    }
    last = residencies[-1]
    return {
        BASES[0]: _files,
        BASES[1]: _in_memory,
        **ours,
        f"qgpipe, {last}, dense, bucket_by_size": partial(
            _ours, edge_format="dense", residency=last, bucket_by_size=True
        ),
        "qgpipe, mmap, csr": partial(_ours, edge_format="csr", residency="mmap"),
        "qgpipe, mmap, dense": partial(_ours, edge_format="dense", residency="mmap"),
        WITHOUT_EDGES: _without_messages,
    }


def _files(folder: Path, device: torch.device) -> Epoch:
    return _pyg(DataLoader(GraphFiles(folder / "pt"), BATCH_SIZE), device)


def _in_memory(folder: Path, device: torch.device) -> Epoch:
    graphs = torch.load(folder / "graphs.pt", weights_only=False)
    return _pyg(DataLoader(graphs, BATCH_SIZE), device)


def _pyg(loader: Iterable[Any], device: torch.device) -> Epoch:
    """A training loop as one writes it with PyG."""
    model = default_model().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def epoch() -> float:
        total, graphs = 0.0, 0
        for batch in loader:
            batch = batch.to(device)
            optimizer.zero_grad()
            outputs = model(batch.x, batch.edge_index, batch.batch, batch.graph_features)
            loss = cross_entropy(outputs[0], batch.y)
            loss.backward()
            optimizer.step()
            total += loss.item() * batch.num_graphs
            graphs += batch.num_graphs
        return total / graphs

    return epoch


def _without_messages(folder: Path, device: torch.device) -> Epoch:
    return _ours(folder / "without edges", device, "csr", "memory")


def _without_edges(graph: Data) -> Data:
    result = graph.clone()
    result.edge_index = graph.edge_index[:, :0]
    return result


def _ours(
    folder: Path,
    device: torch.device,
    edge_format: Any,
    residency: str,
    bucket_by_size: bool = False,
) -> Epoch:
    dataset = PackedDataset(folder / "dataset.json", residency=residency, device=device)
    loader = GraphLoader(dataset, BATCH_SIZE, shuffle=bucket_by_size, bucket_by_size=bucket_by_size)
    loader.edge_format = edge_format
    model = default_model().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    step = TrainingStep(model, our_criterion, optimizer, Precision("fp32", device), device)

    def epoch() -> float:
        this = TrainingPass()
        this.run(step, loader, 1, lambda: None)
        return this.losses.summary()["loss_avg"]

    return epoch


def _run(epoch: Epoch, device: torch.device) -> None:
    epoch()
    synchronize(device)


def _peak(folder: Path | None, name: str, device: torch.device) -> int:
    """Peak memory in MB of a process that trains for an epoch."""
    command = [sys.executable, __file__, "--folder", str(folder), "--only", f"{device}: {name}"]
    command += ["--threads", str(torch.get_num_threads())]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(printed)


def _epoch_alone(folder: Path, what: str) -> None:
    device, _, name = what.partition(": ")
    if name == NOTHING:
        default_model()
    else:
        chosen = torch.device(device)
        _contenders(chosen)[name](folder, chosen)()
    status = Path("/proc/self/status").read_text()  # getrusage also counts the parent's memory
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(kilobytes) * 1024 // 10**6)


if __name__ == "__main__":
    main()
