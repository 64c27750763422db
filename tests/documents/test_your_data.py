"""The readers on the page about one's own data, on stores whose graphs are known."""

import numpy as np
import pytest
import torch
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.quantumgrav.sample_store import SampleStore

RELATIONS = np.triu(np.ones((4, 4)), 1)
EDGES = [[0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3]]


@pytest.fixture
def readers(blocks) -> dict:
    """What the blocks of the page define."""
    found: dict = {}
    for block in blocks:
        if block.page.name == "your-data.md" and block.language == "python":
            exec(block.text, found)
    return found


def stacked(group: zarr.Group) -> None:
    group.create_array("adjacency_matrix", data=np.stack([RELATIONS.T, np.zeros((4, 4))]))
    group.create_array("cset_size", data=np.array([4, 2]))
    group.create_array("manifold_like", data=np.array([True, False]))


def grouped(group: zarr.Group) -> None:
    for i, relations in enumerate([RELATIONS.T, np.zeros((2, 2))]):
        causet = group.create_group(f"cset_{i + 1}")
        causet.create_array("adj", data=relations)
        causet.create_array("manifold_like", data=np.array([i == 0]))


@pytest.mark.parametrize(("name", "layout"), [("read", stacked), ("read_group", grouped)])
def test_a_reader_reads_its_layout(tmp_path, readers, name, layout):
    group = zarr.create_group(tmp_path / "data.zarr", zarr_format=2)
    layout(group)
    for store in (group, SampleStore(open_store(tmp_path / "data.zarr"))):
        first, second = (readers[name](store, i, torch.float32, torch.int64, True) for i in (0, 1))
        assert first.edge_index.tolist() == EDGES
        assert first.x.flatten().tolist() == [0, 1, 2, 3]
        assert (first.y.item(), second.y.item()) == (1, 0)
        assert second.num_nodes == 2
