import pytest
import torch
from torch_geometric.data import Batch, Data


def graphs(count: int, seed: int = 0) -> list[Data]:
    """Graphs of 3 to 8 nodes in a chain, with 4 features of nodes and 3 of the graph."""
    rng = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        n = int(torch.randint(3, 9, (), generator=rng))
        made.append(
            Data(
                x=torch.randn(n, 4, generator=rng),
                edge_index=torch.stack([torch.arange(n - 1), torch.arange(1, n)]),
                graph_features=torch.randn(1, 3, generator=rng),
            )
        )
    return made


@pytest.fixture
def batches():
    """A function of a target: batches of 25 of 200 graphs, with that of each graph as ``y``."""

    def make(target, size: int = 25) -> list[Batch]:
        data = graphs(200)
        for graph in data:
            graph.y = target(graph)
        return [Batch.from_data_list(data[k : k + size]) for k in range(0, len(data), size)]

    return make
