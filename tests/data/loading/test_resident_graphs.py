import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.blocks import Blocks
from qgpipe.data.graphs.edge_formats import in_edge_format
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.loading.dataset import AT_ONCE, BYTES_AT_ONCE, PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.data.loading.resident_graphs import ALIGNED, HostGraphs
from qgpipe.message_passing.edge_format import EdgeFormat

FORMS: list[EdgeFormat] = ["csr", "dense"]
MakeGraphs = Callable[..., list[Data]]
Check = Callable[[Batch, Batch], None]


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=7),
    count=st.integers(1, 5),
    batch_size=st.integers(1, 4),
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.0, 0.3, 1.0]),
    edge_format=st.sampled_from(FORMS),
)
def test_batches_put_together_at_once_equal_those_of_pyg(
    make_graphs: MakeGraphs,
    assert_same_batch: Check,
    sizes: list[int],
    count: int,
    batch_size: int,
    seed: int,
    density: float,
    edge_format: EdgeFormat,
) -> None:
    graphs = make_graphs(sizes, seed, density)
    rng = np.random.default_rng(seed)
    positions = rng.integers(0, len(graphs), (count, batch_size))
    batches = HostGraphs(in_edge_format(pack(graphs), edge_format), edge_format).batches(positions)
    assert len(batches) == count
    for batch, row in zip(batches, positions.tolist(), strict=True):
        assert batch.sample_position.tolist() == row
        expected = Batch.from_data_list([graphs[i] for i in row])
        assert torch.equal(batch.edge_index, expected.edge_index)
        del batch.edge_batch
        assert_same_batch(batch, expected)
        for found, graph in zip(batch.to_data_list(), row, strict=True):
            assert torch.equal(found.edge_index, graphs[graph].edge_index)


@pytest.mark.parametrize("edge_format", FORMS)
def test_numbers_of_each_batch_are_aligned_alike(
    make_graphs: MakeGraphs, edge_format: EdgeFormat
) -> None:
    graphs = make_graphs([5, 9, 1, 33, 70, 2], density=0.5)
    host = HostGraphs(in_edge_format(pack(graphs), edge_format), edge_format)
    for batch in host.batches(np.array([[0, 1, 2], [3, 4, 5], [5, 0, 3]])):
        numbers = [v for v in batch.to_dict().values() if isinstance(v, torch.Tensor)]
        floats = [v for v in numbers if v.is_floating_point()]
        assert len(floats) >= 2
        assert all(v.data_ptr() % ALIGNED == 0 and v.is_contiguous() for v in floats)


@pytest.mark.parametrize("edge_format", FORMS)
@pytest.mark.parametrize("residency", ["memory", "mmap"])
def test_batches_do_not_depend_on_how_many_come_at_once(
    make_graphs: MakeGraphs,
    write_dataset_of: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    residency: str,
    edge_format: EdgeFormat,
) -> None:
    graphs = make_graphs([5, 9, 3, 12, 7, 2, 8], density=0.5)
    dataset = PackedDataset(
        write_dataset_of(tmp_path, [graphs[:3], graphs[3:]]), residency=residency
    )
    loader = GraphLoader(dataset, 2, shuffle=True)
    loader.edge_format = edge_format
    assert dataset.worth_at_once(2, edge_format) > 1
    together = list(loader.iterate(1))
    monkeypatch.setattr(PackedDataset, "worth_at_once", lambda *_: 1)
    alone = list(loader.iterate(1))
    assert [batch.num_graphs for batch in together] == [2, 2, 2, 1]
    for found, expected in zip(together, alone, strict=True):
        assert pickle.dumps(found.x.numpy()) == pickle.dumps(expected.x.numpy())
        assert torch.equal(found.edge_index, expected.edge_index)
        assert found.sample_position.tolist() == expected.sample_position.tolist()


@pytest.mark.parametrize("edge_format", FORMS)
@pytest.mark.parametrize("residency", ["memory", "mmap"])
def test_graphs_with_edges_in_any_order_are_gathered_once(
    make_graphs: MakeGraphs,
    write_dataset_of: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    residency: str,
    edge_format: EdgeFormat,
) -> None:
    graphs = [*make_graphs([9, 8, 12], 1, 0.9), *make_graphs([7, 6, 5], 2, 0.9, duplicate=True)]
    dataset = PackedDataset(
        write_dataset_of(tmp_path, [graphs[:2], graphs[2:]]), residency=residency
    )
    gathered = []
    gather = Blocks.gather
    monkeypatch.setattr(Blocks, "gather", lambda self, p: (gathered.extend(p), gather(self, p))[1])
    positions = np.array([[5, 1], [0, 3], [2, 4], [1, 0]])
    batches = dataset.batches(positions, edge_format)
    assert gathered == positions.ravel().tolist()
    for found, row in zip(batches, positions, strict=True):
        expected = Batch.from_data_list([graphs[i] for i in row])
        assert torch.equal(found.edge_index, expected.edge_index)
        assert torch.equal(found.x, expected.x)
        assert found.sample_position.tolist() == row.tolist()


def test_large_graphs_come_one_batch_at_a_time(
    make_graphs: MakeGraphs, write_dataset_of: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_dataset_of(tmp_path, [make_graphs([10, 30])])
    dataset = PackedDataset(path)
    bytes_of_two = sum(part["bytes"] for part in dataset._infos)
    three_batches = int(BYTES_AT_ONCE / 3 / (bytes_of_two / 2))
    assert dataset.worth_at_once(32, "csr") == AT_ONCE
    assert dataset.worth_at_once(three_batches, "csr") == 3
    assert dataset.worth_at_once(1_000_000, "dense") == 1
    assert dataset.worth_at_once(1, "edges") == 1  # expanded, a batch is no small copy


def test_threads_put_together_several_batches_too(
    make_graphs: MakeGraphs,
    write_dataset_of: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qgpipe.data.loading.dataset.AT_ONCE", 3)
    dataset = PackedDataset(write_dataset_of(tmp_path, [make_graphs([3] * 9)]))
    asked: list[int] = []

    class Watched(PackedDataset):
        def batches(self, positions: np.ndarray, edge_format: EdgeFormat = "edges") -> list[Batch]:
            asked.append(len(positions))
            return super().batches(positions, edge_format)

    dataset.__class__ = Watched
    loader = GraphLoader(dataset, 2, num_workers=1, prefetch_factor=1)
    loader.edge_format = "dense"
    assert [batch.num_graphs for batch in loader] == [2, 2, 2, 2, 1]
    assert asked == [3, 1, 1]
