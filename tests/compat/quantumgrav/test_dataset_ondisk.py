import pytest
import torch
import zarr
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

import qgpipe.compat.quantumgrav as QG


def test_without_preprocessing_the_reader_is_called_at_each_access(stores, mymodule, tmp_path):
    dataset = QG.QGDataset(stores, tmp_path / "data", mymodule.read)
    assert len(dataset) == 48 and not dataset.stores
    first = dataset[30]
    assert isinstance(first, dict) and len(dataset.stores) == 1
    sizes = zarr.open_group(stores[1])["size"]
    assert first["size"] == sizes[6] and dataset.map_index(30) == (stores[1], 6)
    dataset.close()
    assert not dataset.stores
    with pytest.raises(RuntimeError, match="no sample 48 of 48"):
        dataset.map_index(48)


def test_preprocessed_graphs_are_those_of_reader_filter_and_transform(stores, mymodule, tmp_path):
    calls = []

    def transform(graph):
        calls.append(graph)
        return graph

    dataset = QG.QGDataset(
        stores, tmp_path / "data", mymodule.read, chunksize=10, n_processes=2,
        pre_filter=lambda raw: raw["label"] == 1, pre_transform=mymodule.collect,
        transform=transform,
    )  # fmt: skip
    assert len(dataset) == 24 and dataset.metadata["num_samples"] == 48
    graph = dataset[0]
    assert isinstance(graph, Data) and graph.y.item() == 1 and calls == [graph]
    groups = zarr.open_group(stores[0])
    number = int(groups["label"][:].argmax())
    raw = {name: groups[name][number] for name in ("size", "relations", "height", "label")}
    expected = mymodule.collect(raw)
    assert torch.equal(graph.x, expected.x) and torch.equal(graph.edge_index, expected.edge_index)
    assert sum(batch.num_graphs for batch in DataLoader(dataset, batch_size=5)) == 24


def test_a_chunk_is_read_filtered_and_transformed(stores, mymodule, tmp_path):
    base = QG.dataset_base.QGDatasetBase(stores, tmp_path, mymodule.read, chunksize=5)
    store = zarr.storage.LocalStore(stores[0], read_only=True)
    graphs = base.process_chunk(store, 20, mymodule.collect, lambda raw: True)
    assert len(graphs) == 4 and all(isinstance(graph, Data) for graph in graphs)
    assert base.raw_file_names == ["csets0.zarr", "csets1.zarr"]


def test_what_is_missing_is_said(stores, mymodule, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        QG.QGDataset([*stores, "absent"], tmp_path, mymodule.read)
    with pytest.raises(ValueError, match="no function to read"):
        QG.QGDataset(stores, tmp_path)
