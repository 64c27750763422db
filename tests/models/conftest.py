"""Random directed acyclic graphs in batches, and the model section of the manual's example."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

from qgpipe.config.objects import SEARCH_PATH_VARIABLE, add_search_path


def random_dag(n: int, features: int, graph_features: int = 0, density: float = 0.4) -> Data:
    past, future = torch.triu_indices(n, n, offset=1)
    kept = torch.rand(len(past)) < density
    graph = Data(
        x=torch.randn(n, features),
        edge_index=torch.stack([past[kept], future[kept]]),
        edge_weight=torch.rand(int(kept.sum())),
        y=torch.randint(0, 3, (1,)),
    )
    if graph_features:
        graph.graph_features = torch.randn(1, graph_features)
    return graph


@pytest.fixture(scope="session")
def causal_batch() -> Callable[..., Batch]:
    def make(
        features: int = 12, graph_features: int = 0, sizes: Sequence[int] = (5, 1, 9), seed: int = 0
    ) -> Batch:
        torch.manual_seed(seed)
        return Batch.from_data_list([random_dag(n, features, graph_features) for n in sizes])

    return make


@pytest.fixture
def manual_section() -> dict:
    """The model of the manual's example, as a YAML file with ``!pyobject`` tags is read."""
    return {
        "encoder_type": "!pyobject QuantumGrav.models.Sequential",
        "encoder_kwargs": {
            "layers": [
                [
                    "!pyobject torch_geometric.nn.SAGEConv",
                    [12, 64],
                    {"aggr": "mean"},
                    "x, edge_index",
                ],
                ["!pyobject torch.nn.ReLU", [], {}, "x"],
                [
                    "!pyobject torch_geometric.nn.SAGEConv",
                    [64, 64],
                    {"aggr": "mean"},
                    "x, edge_index",
                ],
            ],
            "forward_signature": "x, edge_index, batch",
            "with_skip": False,
        },
        "pooling_layers": [["!pyobject torch_geometric.nn.global_mean_pool", [], {}]],
        "aggregate_pooling_type": "!pyobject torch.cat",
        "graph_features_net_type": "!pyobject QuantumGrav.models.LinearSequential",
        "graph_features_net_kwargs": {
            "dims": [[4, 32]],
            "activations": ["!pyobject torch.nn.ReLU"],
        },
        "aggregate_graph_features_type": "!pyobject torch.cat",
        "downstream_tasks": [
            [
                "!pyobject QuantumGrav.models.LinearSequential",
                None,
                {
                    "dims": [[96, 128], [128, 3]],
                    "activations": ["!pyobject torch.nn.ReLU", "!pyobject torch.nn.Identity"],
                },
            ]
        ],
    }


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a module of the user's where the configuration finds it."""

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setenv(SEARCH_PATH_VARIABLE, os.environ.get(SEARCH_PATH_VARIABLE, ""))
        monkeypatch.syspath_prepend(tmp_path)
        add_search_path(tmp_path)

    return write
