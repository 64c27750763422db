from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs import blocks as module
from qgpipe.data.graphs.adjacency import as_pairs
from qgpipe.data.graphs.batch import to_batch
from qgpipe.data.graphs.blocks import Blocks
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.storage.part_file import open_part, write_part

MakeGraphs = Callable[..., list[Data]]
INFO = {
    "store": "a", "start": 0, "stop": 3, "num_filtered": 0, "num_skipped": 0, "skipped": [],
    "node_features": None, "graph_features": None, "target": None, "class_names": None,
}  # fmt: skip
Check = Callable[[Batch, Batch], None]


@given(
    seed=st.integers(0, 1000),
    cuts=st.sets(st.integers(1, 9)),
    positions=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    duplicate=st.booleans(),
)
def test_a_gathered_batch_does_not_depend_on_how_graphs_are_cut_into_blocks(
    make_graphs: MakeGraphs,
    assert_same_batch: Check,
    seed: int,
    cuts: set[int],
    positions: list[int],
    duplicate: bool,
) -> None:
    sizes = np.random.default_rng(seed).integers(1, 15, 10).tolist()
    graphs = make_graphs(sizes, seed, density=0.8, duplicate=duplicate)
    bounds = [0, *sorted(cuts), 10]
    blocks = Blocks([pack(graphs[a:b]) for a, b in pairwise(bounds)])
    order = np.array(positions)
    batch = to_batch(blocks.gather(order), order)
    assert_same_batch(batch, Batch.from_data_list([graphs[i] for i in positions]))


def test_blocks_of_bits_and_of_pairs_can_lie_side_by_side(
    make_graphs: MakeGraphs, assert_same_batch: Check
) -> None:
    graphs = make_graphs([20, 30, 25, 22], density=0.9)
    first, second = pack(graphs[:2]), pack(graphs[2:])
    second = replace(second, edges=as_pairs(second.edges, second.sizes))
    order = np.array([3, 0, 2, 1, 0])
    batch = to_batch(Blocks([first, second]).gather(order), order)
    assert_same_batch(batch, Batch.from_data_list([graphs[i] for i in order]))


def test_the_length_is_the_number_of_graphs(make_graphs: MakeGraphs) -> None:
    graphs = make_graphs([3, 4, 5])
    assert len(Blocks([pack(graphs[:1]), pack(graphs[1:])])) == 3


def test_sample_indices_follow_the_order_asked_for(make_graphs: MakeGraphs) -> None:
    graphs = make_graphs([3, 4, 5])
    blocks = Blocks([pack(graphs[:1], [70]), pack(graphs[1:], [80, 90])])
    assert blocks.gather(np.array([2, 0, 1])).sample_index.tolist() == [90, 70, 80]


def test_releasing_mapped_pages_changes_no_data(
    make_graphs: MakeGraphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RELEASE_AFTER", 1)
    graphs = make_graphs([30, 40])
    write_part(tmp_path / "a.safetensors", pack(graphs), INFO)
    blocks = Blocks([open_part(tmp_path / "a.safetensors")])
    order = np.array([1, 0])
    first = blocks.gather(order).attributes["x"].values
    assert np.array_equal(blocks.gather(order).attributes["x"].values, first)


def test_mapped_pages_are_released_after_so_many_bytes(
    make_graphs: MakeGraphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAPPED_AT_LEAST", 0)
    write_part(tmp_path / "a.safetensors", pack(make_graphs([30, 40])), INFO)
    blocks = Blocks([open_part(tmp_path / "a.safetensors")])
    blocks.gather(np.array([0]))
    size = blocks._since_release
    assert size > 30 * 30 / 8
    monkeypatch.setattr(module, "RELEASE_AFTER", 3 * size)
    for since in (2 * size, 0, size):
        blocks.gather(np.array([0]))
        assert blocks._since_release == since
