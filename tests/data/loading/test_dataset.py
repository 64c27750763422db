import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Subset
from torch_geometric.data import Batch, Data

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.storage.manifest import FORMAT
from qgpipe.errors import ConfigError, DataError
from qgpipe.message_passing.edge_format import EdgeFormat

Write = Callable[..., Path]
MakeGraphs = Callable[..., list[Data]]


@pytest.fixture
def graphs(make_graphs: MakeGraphs) -> list[Data]:
    return make_graphs([9, 17, 6, 12, 8], density=0.8)


@pytest.fixture
def path(graphs: list[Data], write_dataset_of: Write, tmp_path: Path) -> Path:
    """Five graphs in three parts, the second of them empty."""
    return write_dataset_of(tmp_path, [graphs[:2], [], graphs[2:]])


def same(found: Data, expected: Data) -> bool:
    return all(
        torch.equal(torch.as_tensor(found[name]), torch.as_tensor(expected[name]))
        for name in expected.keys()  # noqa: SIM118  PyG's data are no mappings
    )


@pytest.mark.parametrize("residency", ["auto", "memory", "mmap", "device"])
def test_graphs_come_back_as_they_were_packed(
    path: Path, graphs: list[Data], residency: str
) -> None:
    dataset = PackedDataset(path, residency=residency)
    assert len(dataset) == 5
    assert all(same(found, expected) for found, expected in zip(dataset, graphs, strict=True))


@pytest.mark.parametrize("residency", ["memory", "mmap", "device"])
def test_a_batch_of_any_positions_equals_that_of_pyg(
    path: Path,
    graphs: list[Data],
    residency: str,
    assert_same_batch: Callable[[Batch, Batch], None],
) -> None:
    order = np.array([4, 0, 2, 1])
    batch = PackedDataset(path, residency=residency).batch(order)
    assert_same_batch(batch, Batch.from_data_list([graphs[i] for i in order]))


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, -2), [4, 2, 0]),
        (slice(0.4), [0, 1]),
        ([3, 0], [3, 0]),
        (np.array([2, -1]), [2, 4]),
        (torch.tensor([4, 1]), [4, 1]),
        (torch.tensor([True, False, False, True, False]), [0, 3]),
        (range(2), [0, 1]),
    ],
)
def test_views_are_taken_by_slices_and_indices_of_any_kind(
    path: Path, index: object, expected: list[int]
) -> None:
    view = PackedDataset(path)[index]
    assert isinstance(view, PackedDataset)
    assert view.positions.tolist() == expected


def test_a_view_of_a_view_counts_in_the_first_view(path: Path, graphs: list[Data]) -> None:
    view = PackedDataset(path, indices=[4, 2, 0])[1:]
    assert view.positions.tolist() == [2, 0]
    assert same(view[1], graphs[0])
    assert same(view[-2], graphs[2])


@pytest.mark.parametrize("edge_format", ["edges", "csr", "dense"])
def test_views_hold_the_same_graphs_in_memory(path: Path, edge_format: EdgeFormat) -> None:
    dataset = PackedDataset(path, residency="memory")
    views = dataset[:2], dataset[[4, 3]]
    for view in views:
        view.prepare(edge_format)
    assert dataset._held[edge_format] is views[0]._held[edge_format] is views[1]._held[edge_format]


def test_batches_without_edges_have_all_the_rest(path: Path, graphs: list[Data]) -> None:
    batches = list(PackedDataset(path)[[4, 0, 2]].batches_without_edges(2))
    expected = [Batch.from_data_list([graphs[i] for i in some]) for some in ([4, 0], [2])]
    for found, wanted in zip(batches, expected, strict=True):
        assert found.num_edges == 0
        assert torch.equal(found.x, wanted.x)
        assert torch.equal(found.y, wanted.y)
        assert torch.equal(found.batch, wanted.batch)


def test_a_position_that_does_not_exist_is_an_index_error(path: Path) -> None:
    with pytest.raises(IndexError):
        PackedDataset(path)[[5]]
    with pytest.raises(IndexError):
        PackedDataset(path, indices=[9])
    with pytest.raises(IndexError):
        PackedDataset(path)[5]


def test_a_subset_of_torch_can_be_taken(path: Path, graphs: list[Data]) -> None:
    assert same(Subset(PackedDataset(path), [3])[0], graphs[3])


def test_shuffling_as_pyg_does_gives_a_view(path: Path) -> None:
    torch.manual_seed(0)
    assert sorted(PackedDataset(path).shuffle().positions.tolist()) == [0, 1, 2, 3, 4]


def test_the_transform_changes_single_graphs_only(path: Path) -> None:
    dataset = PackedDataset(path, transform=lambda data: data.num_nodes)
    assert list(dataset) == [9, 17, 6, 12, 8]


def test_samples_are_named_by_store_and_index(path: Path) -> None:
    view = PackedDataset(path)[1:]
    assert view.sample_ids(view.positions) == ["s0/1", "s2/0", "s2/1", "s2/2"]
    assert view.sample_ids(torch.tensor([0])) == ["s0/0"]


def test_targets_are_those_of_the_view(path: Path, graphs: list[Data]) -> None:
    expected = [int(graphs[i].y) for i in (3, 1)]
    assert PackedDataset(path)[[3, 1]].targets().tolist() == expected


def test_missing_targets_are_a_data_error(write_dataset_of: Write, tmp_path: Path) -> None:
    graph = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    dataset = PackedDataset(write_dataset_of(tmp_path, [[graph]]))
    with pytest.raises(DataError, match="no target 'y' of one row each, or for each element; set"):
        dataset.targets()


def test_names_and_numbers_of_features_and_classes_are_known(path: Path) -> None:
    dataset = PackedDataset(path)
    assert dataset.node_features == ["a", "b"]
    assert dataset.graph_features is None
    assert dataset.class_names == ["k", "l", "m"]
    assert dataset.num_node_features == dataset.num_features == 2
    assert dataset.num_classes == int(dataset.targets().max()) + 1


def test_without_x_there_are_no_node_features(write_dataset_of: Write, tmp_path: Path) -> None:
    graph = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    assert PackedDataset(write_dataset_of(tmp_path, [[graph]])).num_node_features == 0


def test_another_process_maps_the_parts_instead_of_copying_them(
    path: Path, graphs: list[Data]
) -> None:
    view = PackedDataset(path, residency="memory")[[2, 1]]
    pickled = pickle.dumps(view)
    again = pickle.loads(pickled)
    assert len(pickled) < 10_000
    assert again.positions.tolist() == [2, 1]
    assert same(again[0], graphs[2])


def test_graphs_with_edges_in_any_order_are_kept_in_memory_too(
    make_graphs: MakeGraphs, write_dataset_of: Write, tmp_path: Path
) -> None:
    groups = [make_graphs([9, 8], 1, 0.9), make_graphs([7, 6], 2, 0.9, duplicate=True)]
    dataset = PackedDataset(write_dataset_of(tmp_path, groups), residency="memory")
    assert all(
        same(found, expected)
        for found, expected in zip(dataset, [*groups[0], *groups[1]], strict=True)
    )


def test_a_damaged_part_is_named(path: Path) -> None:
    part = path.parent / "parts" / "s2-000000000.safetensors"
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.write_bytes(content)
    with pytest.raises(DataError, match=r"s2-000000000.safetensors is damaged"):
        PackedDataset(path)


def test_a_missing_part_is_named(path: Path) -> None:
    (path.parent / "parts" / "s0-000000000.safetensors").unlink()
    with pytest.raises(DataError, match=r"no such file: .*s0-000000000.safetensors"):
        PackedDataset(path)


def test_a_part_of_another_run_is_named(
    path: Path, make_graphs: MakeGraphs, write_dataset_of: Write
) -> None:
    recorded = path.read_text()
    write_dataset_of(path.parent, [make_graphs([4, 5], seed=9)])
    path.write_text(recorded)
    with pytest.raises(DataError, match=r"s0-0.*safetensors is not the part that dataset.json"):
        PackedDataset(path)


@pytest.mark.parametrize("content", [{"format": 9}, []])
def test_another_format_of_the_description_is_refused(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"has data set format (9|None); this version of qgpipe"):
        PackedDataset(path)


def test_another_file_than_a_description_is_refused(path: Path) -> None:
    path.write_text(json.dumps({"format": FORMAT, "train": [0]}))
    with pytest.raises(DataError, match=r"dataset\.json is damaged: it has no key 'num_graphs'"):
        PackedDataset(path)


def test_a_data_set_is_found_by_its_folder(path: Path) -> None:
    assert len(PackedDataset(path.parent)) == len(PackedDataset(path))


def test_an_unknown_residency_is_a_config_error(path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"data.residency: expected auto, memory, mmap or device, got"
    ):
        PackedDataset(path, residency="disk")
