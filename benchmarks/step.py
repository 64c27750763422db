"""One step: message passing over a batch, forward and backward, in PyG's ways and in ours.

    python benchmarks/step.py --output benchmarks/results/step.md

Every contender gets the same graphs and weights, and their results and gradients are compared.
``--quick`` does all of it on a few small graphs; its times say nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from floor import Hardware, measure_hardware, sage_cost, synchronize
from graphs import NODE_FEATURES, default_model, random_dags
from machine import describe
from measure import Contender, keep, processor_time, rates, table
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data
from torch_geometric.nn import SAGEConv

from qgpipe.data.graphs.batch import to_batch
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.message_passing.edge_format import EdgeFormat
from qgpipe.message_passing.layers import call
from qgpipe.models import call_model

PACKAGES = ("torch", "torch-geometric")
WIDTH = 64
FORMS: tuple[EdgeFormat, ...] = ("csr", "dense")
PEERS = ("PyG COO", "PyG EdgeIndex")


@dataclass(frozen=True)
class Scale:
    """Sizes and shares of edges, most graphs and edges of a batch, rounds."""

    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    graphs: int
    edges: int
    rounds: int
    matrix: int


FULL = Scale((64, 128, 256, 512, 1024), (0.02, 0.1, 0.25, 0.5), 32, 2**18, 3, 2048)
QUICK = Scale((16, 24), (0.1, 0.5), 3, 2**10, 0, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small graphs")
    parser.add_argument("--output", type=Path, help="Markdown file for the result")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep("\n\n".join(_report(QUICK if given.quick else FULL)), given.output)


def _report(scale: Scale) -> Iterator[str]:
    yield "# One step"
    yield (
        f"Batches of up to {scale.graphs} random directed acyclic graphs with n nodes, of whose n² "
        f"pairs the given share are edges, up to {scale.edges:,} edges a batch. Float32. "
        f"{describe(*PACKAGES)} {torch.get_num_threads()} thread(s)."
    )
    yield (
        f"Microseconds a graph, from the median of {max(1, scale.rounds)} rounds in which all take "
        "turns; of processor time if there is one thread. PyG COO is the form `edges`. All "
        "contenders gave the same results and gradients. "
        "The floor is arithmetic: what the least bytes and operations take at the rates that the "
        "device reaches when it copies and when it multiplies large matrices."
    )
    devices = [torch.device("cpu")]
    if torch.cuda.is_available():
        devices.append(torch.device("cuda"))
    else:
        yield "No GPU was there: not yet run on one."
    for device in devices:
        hardware = measure_hardware(device, scale.matrix)
        yield f"## On {_name(device)}"
        yield (
            f"It copies {hardware.bytes / 1e9:.1f} GB/s and multiplies matrices at "
            f"{hardware.operations / 1e9:,.1f} GFLOP/s."
        )
        cases = [Case(n, share, scale, device) for n in scale.sizes for share in scale.shares]
        yield f"### SAGEConv, mean, {WIDTH} to {WIDTH}, forward"
        yield _table(cases, scale, _layer_forward)
        yield f"### SAGEConv, mean, {WIDTH} to {WIDTH}, forward and backward"
        yield _table(cases, scale, _layer_both, hardware, ((WIDTH, WIDTH),))
        yield "### The default model, forward and backward"
        yield (
            "Two layers, pooling and the rest; the floor is that of the layers. Each way starts "
            "from a batch as a loader gives it: `edge_index`, sorted for `EdgeIndex`, whose "
            "pointers are then made; our compact edges, which are then expanded."
        )
        widths = ((NODE_FEATURES, WIDTH), (WIDTH, WIDTH))
        yield _table(cases, scale, _model_both, hardware, widths)


class Case:
    """A batch of like graphs in all forms, on a device."""

    def __init__(self, size: int, share: float, scale: Scale, device: torch.device):
        per_graph = share * size**2
        self.size, self.share, self.device = size, share, device
        self.count = int(np.clip(scale.edges // per_graph, 1, scale.graphs))
        graphs = random_dags(self.count, size, share)
        packed, positions = pack(graphs), np.arange(self.count)
        self.plain: Batch = Batch.from_data_list(graphs).to(device)
        self.compact = {
            edge_format: to_batch(packed, positions, edge_format).to(device)
            for edge_format in FORMS
        }
        self.by_target = Batch.from_data_list([_sorted_by_target(g) for g in graphs]).to(device)
        self.edges = self.plain.num_edges

    def edge_index_for_pyg(self) -> EdgeIndex:
        """``EdgeIndex`` with the pointers that its products need, forward and backward."""
        nodes = self.plain.num_nodes
        index = EdgeIndex(self.by_target.edge_index, sparse_size=(nodes, nodes), sort_order="col")
        return index.fill_cache_()

    def seconds_at_least(self, hardware: Hardware, widths: Sequence[tuple[int, int]]) -> float:
        """The floor of message passing through layers of ``widths``."""
        pairs = self.count * self.size**2
        costs = (sage_cost(self.plain.num_nodes, self.edges, pairs, *width) for width in widths)
        return sum(map(hardware.seconds, costs))


Work = Callable[[], list[Tensor]]


def _layer_forward(case: Case) -> dict[str, Work]:
    layer, x = _layer_and_features(case)
    return {
        name: partial(_without_gradients, layer, x, edges)
        for name, edges in _edges_of(case).items()
    }


def _layer_both(case: Case) -> dict[str, Work]:
    layer, x = _layer_and_features(case)
    return {
        name: partial(_with_gradients, layer, x, edges) for name, edges in _edges_of(case).items()
    }


def _layer_and_features(case: Case) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layer = SAGEConv(WIDTH, WIDTH).to(case.device)
    return layer, torch.randn(case.plain.num_nodes, WIDTH, device=case.device)


def _edges_of(case: Case) -> dict[str, Any]:
    ours = {f: batch.edge_batch.expand(torch.float32) for f, batch in case.compact.items()}
    return {
        PEERS[0]: case.plain.edge_index,
        PEERS[1]: case.edge_index_for_pyg(),
        **ours,
    }


@torch.no_grad()
def _without_gradients(layer: nn.Module, x: Tensor, edges: Any) -> list[Tensor]:
    return [call(layer, x, edges)]


def _with_gradients(layer: nn.Module, x: Tensor, edges: Any) -> list[Tensor]:
    x = x.detach().requires_grad_()
    out = call(layer, x, edges)
    return [out.detach(), *torch.autograd.grad(out.square().mean(), [x, *layer.parameters()])]


def _model_both(case: Case) -> dict[str, Work]:
    model = default_model().to(case.device)
    return {
        PEERS[0]: lambda: _model_step(model, case.plain),
        PEERS[1]: lambda: _model_step(model, _with_edge_index(case)),
        **{
            edge_format: partial(_model_step, model, batch)
            for edge_format, batch in case.compact.items()
        },
    }


def _with_edge_index(case: Case) -> Any:
    batch = case.by_target.clone()
    batch.edge_index = case.edge_index_for_pyg()
    return batch


def _model_step(model: nn.Module, batch: Batch) -> list[Tensor]:
    (out,) = call_model(model, batch).values()
    loss = nn.functional.cross_entropy(out, batch.y)
    return [out.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


def _table(
    cases: Sequence[Case],
    scale: Scale,
    works: Callable[[Case], dict[str, Work]],
    hardware: Hardware | None = None,
    widths: Sequence[tuple[int, int]] = (),
) -> str:
    rows: list[list[object]] = []
    for case in cases:
        clock = processor_time(torch.get_num_threads(), case.device.type)
        chosen = works(case)
        _compare(chosen)
        contenders = [
            Contender(name, 1, case.count, partial(_run, work, case.device))
            for name, work in chosen.items()
        ]
        micros = {c.name: 1e6 / rate for c, rate in rates(contenders, scale.rounds, clock).items()}
        best = min(FORMS, key=micros.__getitem__)
        row = [case.size, f"{case.share:.0%}", case.count, *micros.values(), best]
        row += [micros[peer] / micros[best] for peer in PEERS]
        if hardware is not None:
            least = 1e6 * case.seconds_at_least(hardware, widths) / case.count
            row += [least, micros[best] / least]
        rows.append(row)
    header = ["n", "edges", "graphs", *PEERS, *FORMS, "best", *(f"over {peer}" for peer in PEERS)]
    return table(header + ["floor", "best by floor"] * (hardware is not None), rows)


def _run(work: Work, device: torch.device) -> None:
    work()
    synchronize(device)


def _compare(works: dict[str, Work]) -> None:
    (_, first), *others = works.items()
    expected = first()
    for name, work in others:
        for found, wanted in zip(work(), expected, strict=True):
            scale = float(wanted.abs().max())
            if float((found - wanted).abs().max()) > 1e-4 * max(scale, 1e-6):
                raise AssertionError(f"the results of {name} differ")


def _sorted_by_target(graph: Data) -> Data:
    result = graph.clone()
    result.edge_index = graph.edge_index[:, graph.edge_index[1].argsort(stable=True)]
    return result


def _name(device: torch.device) -> str:
    return "the CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)


if __name__ == "__main__":
    main()
