"""Batches of graphs whose edges have a direction, in every form."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.batch import edge_batch
from qgpipe.data.graphs.packed import EdgePairs
from qgpipe.message_passing.adjacency import Adjacency

FORMS = ("csr", "dense")


def random_dags(sizes: Sequence[int], density: float, seed: int, features: int = 5) -> Batch:
    """Directed acyclic graphs with shuffled labels: no adjacency matrix is symmetric."""
    generator = torch.Generator().manual_seed(seed)
    graphs = []
    for n in sizes:
        relations = torch.rand(n, n, generator=generator).lt(density).triu(1)
        labels = torch.randperm(n, generator=generator)
        edges = relations[labels][:, labels].nonzero().T
        graphs.append(Data(x=torch.randn(n, features, generator=generator), edge_index=edges))
    return Batch.from_data_list(graphs)


def adjacency_of(batch: Batch, edge_format: str, dtype: torch.dtype = torch.float32) -> Adjacency:
    """The edges of a batch that PyG has put together, as a loader would hand them over."""
    edge_ptr = batch._slice_dict["edge_index"]
    start = torch.repeat_interleave(batch.ptr[:-1], edge_ptr.diff())
    pairs = EdgePairs((batch.edge_index - start).numpy(), edge_ptr.numpy())
    sizes = np.asarray(batch.ptr.diff())
    return edge_batch(pairs, sizes, edge_format).expand(dtype, batch.edge_index)


def batch_of(edges: Sequence[Sequence[int]], num_nodes: int) -> Batch:
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T.contiguous()
    graph = Data(x=torch.arange(1.0, num_nodes + 1).unsqueeze(1), edge_index=edge_index)
    return Batch.from_data_list([graph])


@pytest.fixture(scope="session")
def make_dags() -> Callable[..., Batch]:
    return random_dags


@pytest.fixture(scope="session")
def make_adjacency() -> Callable[..., Adjacency]:
    return adjacency_of


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """One graph with the given edges; the feature of node i is i + 1."""
    return batch_of


@pytest.fixture(params=FORMS)
def edge_format(request: pytest.FixtureRequest) -> str:
    return request.param
