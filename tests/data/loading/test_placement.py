import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import BitAdjacency, NeighborLists
from qgpipe.data.loading import placement
from qgpipe.data.loading.placement import (
    available_memory,
    choose_residency,
    memory_bytes,
    open_blocks,
    read_blocks,
)
from qgpipe.data.storage.part_file import read_part_info, write_part

CPU = torch.device("cpu")
INFO = {
    "store": "a", "start": 0, "stop": 3, "num_filtered": 0, "num_skipped": 0, "skipped": [],
    "node_features": None, "graph_features": None, "target": None, "class_names": None,
}  # fmt: skip


@pytest.fixture
def paths(make_graphs: Callable[..., list[Data]], tmp_path: Path) -> list[Path]:
    graphs = make_graphs([30, 25, 40], density=0.9)
    paths = [tmp_path / "a", tmp_path / "b"]
    write_part(paths[0], pack(graphs[:2]), INFO)
    write_part(paths[1], pack(graphs[2:]), INFO)
    return paths


def test_in_memory_all_parts_are_one_block_with_decoded_edges(paths: list[Path]) -> None:
    blocks = read_blocks(paths, "csr", 40).blocks
    assert len(blocks) == 1
    assert isinstance(blocks[0].edges, NeighborLists)
    assert blocks[0].edges.lists.itemsize == 1
    assert blocks[0].mapping is None


def test_a_single_part_in_memory_does_not_hang_on_its_file(paths: list[Path]) -> None:
    block = read_blocks(paths[:1], "edges", 30).blocks[0]
    paths[0].write_bytes(b"")
    assert block.attributes["x"].values.sum() > 0


def test_mapped_parts_stay_as_they_are_on_disk(paths: list[Path]) -> None:
    blocks = open_blocks(paths).blocks
    assert len(blocks) == 2
    assert all(isinstance(block.edges, BitAdjacency) and block.mapping for block in blocks)


@pytest.mark.parametrize(("share", "mapped"), [(1.9, True), (2.1, False)])
def test_auto_uses_memory_if_the_graphs_take_less_than_half_of_it(
    paths: list[Path], share: float, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = [read_part_info(path) for path in paths]
    needed = sum(memory_bytes(info, 40) for info in infos)
    monkeypatch.setattr(placement, "available_memory", lambda: share * needed)
    assert choose_residency("auto", infos, CPU) == ("mmap" if mapped else "memory")


@pytest.mark.parametrize(
    ("share", "memory", "expected"),
    [(4.1, 3, "device"), (3.9, 3, "memory"), (100, 1.9, "mmap")],
)
def test_auto_uses_a_gpu_if_the_graphs_take_less_than_a_quarter_of_it(
    paths: list[Path],
    share: float,
    memory: float,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    infos = [read_part_info(path) for path in paths]
    needed = sum(memory_bytes(info, 40) for info in infos)
    monkeypatch.setattr(placement, "available_memory", lambda: memory * needed)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (share * needed, 0))
    assert choose_residency("auto", infos, torch.device("cuda")) == expected


def test_the_memory_that_is_needed_is_not_underestimated(paths: list[Path]) -> None:
    block = read_blocks(paths, "csr", 40).blocks[0]
    arrays = [block.edges.lists, block.edges.degrees, block.edges.ptr, block.node_ptr]
    arrays += [attribute.values for attribute in block.attributes.values()]
    needed = sum(memory_bytes(read_part_info(path), 40) for path in paths)
    assert sum(array.nbytes for array in arrays) <= needed


def test_the_limit_of_a_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    monkeypatch.setattr(placement, "_control_group", lambda: tmp_path)
    assert available_memory() == 2000


def test_a_control_group_without_a_limit_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(placement, "_control_group", lambda: tmp_path)
    assert available_memory() > 0


def test_many_parts_raise_the_limit_of_open_files(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 300))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    open_blocks(paths)
    assert asked == [(258, 300)]
