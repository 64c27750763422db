"""Graphs to train on, in the shape in which each contender takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from raw_stores import sprinkle
from torch import nn
from torch_geometric.data import Data, Dataset

from qgpipe.config.load import load_config
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part
from qgpipe.models import build_model

NODE_FEATURES, GRAPH_FEATURES, CLASSES = 12, 4, 3
DEFAULT_RUN = Path(__file__).parents[1] / "config" / "run.yaml"


def default_model() -> nn.Module:
    """The model of the default run, with the same weights each time."""
    torch.manual_seed(0)
    return build_model(load_config(DEFAULT_RUN)["model"])


def sprinkled(count: int, smallest: int, largest: int) -> list[Data]:
    """Causal sets of two-dimensional flat spacetime: a quarter of all pairs are edges."""
    return [graph_of(r, i) for i, r in enumerate(sprinkle(count, smallest, largest).relations)]


def random_dags(count: int, size: int, share: float) -> list[Data]:
    """Directed acyclic graphs with ``share`` (up to a half) of all pairs of nodes as edges."""
    rng = np.random.default_rng(size)
    probability = share * size / ((size - 1) / 2)
    return [graph_of(np.triu(rng.random((size, size)) < probability, 1), i) for i in range(count)]


def graph_of(relations: np.ndarray, number: int) -> Data:
    """A graph with features and a class as the default model wants them."""
    generator = torch.Generator().manual_seed(number)
    return Data(
        x=torch.randn(len(relations), NODE_FEATURES, generator=generator),
        edge_index=torch.from_numpy(np.stack(np.nonzero(relations))),
        y=torch.tensor(number % CLASSES),
        graph_features=torch.randn(1, GRAPH_FEATURES, generator=generator),
    )


def write_part_file(graphs: Sequence[Data], folder: Path) -> Path:
    """``dataset.json`` of a data set in one part."""
    part = folder / "parts" / "graphs-000000000.safetensors"
    info = {
        "store": "graphs",
        "start": 0,
        "stop": len(graphs),
        "num_filtered": 0,
        "num_skipped": 0,
        "skipped": [],
        "node_features": None,
        "graph_features": None,
        "target": None,
        "class_names": None,
    }
    write_part(part, pack(graphs, store="graphs"), info)
    store = {"name": "graphs", "path": "graphs", "layout": "stacked", "role": "all"}
    write_dataset([part], [{**store, "num_samples": len(graphs)}], folder / "dataset.json")
    return folder / "dataset.json"


class GraphFiles(Dataset):
    """QuantumGravPy's way: a ``.pt`` file for each graph, loaded when it is needed."""

    def __init__(self, folder: Path):
        super().__init__()
        self._files = [folder / f"data_{i}.pt" for i in range(len(list(folder.iterdir())))]

    @classmethod
    def write(cls, graphs: Sequence[Data], folder: Path) -> GraphFiles:
        """The files of ``graphs``, in a new folder."""
        folder.mkdir()
        for i, graph in enumerate(graphs):
            torch.save(graph, folder / f"data_{i}.pt")
        return cls(folder)

    def len(self) -> int:
        return len(self._files)

    def get(self, idx: int) -> Data:
        return torch.load(self._files[idx], weights_only=False)
