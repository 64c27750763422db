import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.batch import to_batch
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.message_passing.edge_batch import BitEdgeBatch, NeighborListBatch
from qgpipe.message_passing.edge_format import EdgeFormat

Check = Callable[[Batch, Batch], None]
FORMS: list[EdgeFormat] = ["csr", "dense"]

pytestmark = pytest.mark.parametrize("edge_format", FORMS)


def drop_a_node(data: Data) -> Data:
    return data.subgraph(torch.arange(1, data.num_nodes))


@pytest.fixture(scope="module")
def graphs(make_graphs: Callable[..., list[Data]]) -> list[Data]:
    return make_graphs([9, 17, 1, 6, 12, 40], density=0.6)


@pytest.fixture(scope="module")
def packed(graphs: list[Data]) -> Packed:
    return pack(graphs)


@pytest.fixture(scope="module")
def path(
    graphs: list[Data],
    write_dataset_of: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    return write_dataset_of(tmp_path_factory.mktemp("data"), [graphs[:4], graphs[4:]])


def batch_of(packed: Packed, edge_format: EdgeFormat) -> Batch:
    return to_batch(packed, np.arange(packed.num_graphs), edge_format)


def test_edges_come_as_the_form_needs_them(packed: Packed, edge_format: EdgeFormat) -> None:
    kinds = {"csr": NeighborListBatch, "dense": BitEdgeBatch}
    batch = batch_of(packed, edge_format)
    assert type(batch.edge_batch) is kinds[edge_format]
    assert "edge_index" not in batch.to_dict()


@pytest.mark.parametrize("residency", ["memory", "mmap", "device"])
def test_once_edge_index_is_asked_for_a_batch_equals_pygs(
    path: Path,
    graphs: list[Data],
    assert_same_batch: Check,
    residency: str,
    edge_format: EdgeFormat,
) -> None:
    loader = GraphLoader(PackedDataset(path, residency=residency), 4)
    loader.edge_format = edge_format
    for found, start in zip(loader, (0, 4), strict=True):
        expected = Batch.from_data_list(graphs[start : start + 4])
        assert found.num_edges == expected.num_edges
        assert found.edge_index is found["edge_index"]
        del found.edge_batch
        assert_same_batch(found, expected)


@pytest.mark.parametrize("residency", ["memory", "mmap", "device"])
def test_edges_in_any_order_keep_it(
    make_graphs: Callable[..., list[Data]],
    write_dataset_of: Callable[..., Path],
    tmp_path: Path,
    assert_same_batch: Check,
    residency: str,
    edge_format: EdgeFormat,
) -> None:
    graphs = make_graphs([9, 8, 12], 2, 0.9, duplicate=True)
    dataset = PackedDataset(write_dataset_of(tmp_path, [graphs]), residency=residency)
    batch = dataset.batch(np.arange(3), edge_format)
    x = torch.rand(batch.num_nodes, 2, dtype=torch.float64)
    expected = torch.zeros_like(x).index_add(0, batch.edge_index[1], x[batch.edge_index[0]])
    adjacency = batch.edge_batch.expand(torch.float64, batch.edge_index)
    torch.testing.assert_close(adjacency.sum(x), expected)
    del batch.edge_batch
    assert_same_batch(batch, Batch.from_data_list(graphs))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_transformed_graphs_have_both_their_edges_and_the_form(
    path: Path, graphs: list[Data], num_workers: int, edge_format: EdgeFormat
) -> None:
    dataset = PackedDataset(path, transform=drop_a_node)[[0, 1, 4]]
    loader = GraphLoader(dataset, 3, num_workers=num_workers)
    loader.edge_format = edge_format
    (batch,) = loader
    expected = Batch.from_data_list([drop_a_node(copy.copy(graphs[i])) for i in (0, 1, 4)])
    assert torch.equal(batch.edge_index, expected.edge_index)
    adjacency = batch.edge_batch.expand(torch.float32, batch.edge_index)
    assert adjacency.in_degree.tolist() == torch.bincount(batch.edge_index[1]).tolist()


def test_the_edges_move_with_the_batch(packed: Packed, edge_format: EdgeFormat) -> None:
    batch = batch_of(packed, edge_format).to("meta")
    tensors = [part for part in batch.edge_batch if isinstance(part, torch.Tensor)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_a_batch_can_be_taken_apart_and_sent_to_another_process(
    packed: Packed, graphs: list[Data], edge_format: EdgeFormat
) -> None:
    single = batch_of(packed, edge_format)[1]
    assert torch.equal(single.edge_index, graphs[1].edge_index)
    assert len(batch_of(packed, edge_format).to_data_list()) == len(graphs)
    again = pickle.loads(pickle.dumps(batch_of(packed, edge_format)))
    assert torch.equal(again.edge_index, Batch.from_data_list(graphs).edge_index)


def test_edge_index_can_be_set_and_copies_do_not_share_it(
    packed: Packed, edge_format: EdgeFormat
) -> None:
    batch = batch_of(packed, edge_format)
    other = copy.copy(batch)
    other.edge_index = torch.zeros(2, 1, dtype=torch.long)
    assert "edge_index" in batch
    assert other.edge_index.shape == (2, 1)
    assert batch.edge_index.shape[1] == batch.num_edges
