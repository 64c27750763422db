import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numcodecs import Zstd
from safetensors import safe_open
from torch_geometric.data import Data

from qgpipe.data.graphs.edge_formats import as_neighbor_lists
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.storage.part_file import (
    integer_targets,
    open_part,
    read_part_info,
    read_targets,
    verify_part,
    write_part,
)
from qgpipe.errors import ConfigError, DataError

INFO = {
    "store": "a", "start": 10, "stop": 13, "num_filtered": 1, "num_skipped": 0, "skipped": [],
    "node_features": None, "graph_features": None, "target": None, "class_names": ["k", "l"],
}  # fmt: skip


@pytest.fixture
def packed(make_graphs: Callable[..., list[Data]]) -> Packed:
    return pack(make_graphs([9, 17, 6], density=0.9), [10, 11, 12])


@pytest.fixture
def part(packed: Packed, tmp_path: Path) -> Path:
    path = tmp_path / "parts" / "a-000000010.safetensors"
    write_part(path, packed, INFO)
    return path


def test_what_was_written_is_read_back(packed: Packed, part: Path) -> None:
    found = open_part(part)
    assert found.mapping is not None
    found.mapping = None
    np.testing.assert_equal(asdict(found), asdict(packed))


def test_pairs_are_read_back(tmp_path: Path) -> None:
    edges = torch.tensor([[4, 0], [5, 90]])
    write_part(tmp_path / "p", pack([Data(edge_index=edges, num_nodes=100)]), INFO)
    found = open_part(tmp_path / "p")
    assert found.edges.edge_index.tolist() == edges.tolist()  # type: ignore[union-attr]
    assert found.explicit_num_nodes


def test_a_part_without_graphs_is_read_back(tmp_path: Path) -> None:
    write_part(tmp_path / "p", pack([]), INFO)
    assert open_part(tmp_path / "p").num_graphs == 0
    assert read_part_info(tmp_path / "p")["class_counts"] is None


def test_arrays_are_mapped_and_aligned_and_not_to_be_written(part: Path) -> None:
    found = open_part(part)
    arrays = [found.node_ptr, found.edges.bits.view(np.uint64)]  # type: ignore[union-attr]
    arrays += [attribute.values for attribute in found.attributes.values()]
    assert all(array.flags.aligned and not array.flags.owndata for array in arrays)
    assert not any(array.flags.writeable for array in arrays)


def test_a_part_can_be_read_at_once(packed: Packed, part: Path) -> None:
    found = open_part(part, mapped=False)
    np.testing.assert_equal(asdict(found), asdict(packed))


def test_any_reader_of_safetensors_opens_a_part(packed: Packed, part: Path) -> None:
    with safe_open(part, "numpy") as file:
        assert np.array_equal(file.get_tensor("node_ptr"), packed.node_ptr)
        assert np.array_equal(file.get_tensor("attribute/x"), packed.attributes["x"].values)
        assert json.loads(file.metadata()["qgpipe"])["store"] == "a"


def test_the_header_tells_counts_sizes_and_classes(packed: Packed, part: Path) -> None:
    info = read_part_info(part)
    assert info | INFO == info
    assert (info["num_graphs"], info["num_nodes"]) == (3, 32)
    assert info["num_edges"] == packed.num_edges.sum()
    assert info["sizes"] == {"values": [6, 9, 17], "counts": [1, 1, 1]}
    classes = packed.attributes["y"].values.tolist()
    assert info["class_counts"] == {str(c): classes.count(c) for c in sorted(set(classes))}
    assert info["attributes"]["x"]["shape"] == [2]
    assert info["constants"]["edge_attr"] == {"value": 1, "dtype": "float32", "shape": []}


def test_writing_returns_what_the_header_says(packed: Packed, tmp_path: Path) -> None:
    assert write_part(tmp_path / "p", packed, INFO) == read_part_info(tmp_path / "p")


def test_the_same_graphs_give_the_same_bytes(packed: Packed, part: Path, tmp_path: Path) -> None:
    write_part(tmp_path / "again", packed, INFO)
    assert (tmp_path / "again").read_bytes() == part.read_bytes()


def test_the_checksum_is_that_of_the_data_section(part: Path) -> None:
    info = read_part_info(part)
    data = part.read_bytes()[-info["bytes"] :]
    assert info["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    verify_part(part)


def test_targets_are_integers_only_if_there_is_one_for_each_graph() -> None:
    def targets(y: torch.Tensor) -> Any:
        graph = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=3, y=y)
        found = integer_targets(pack([graph, graph]))
        return None if found is None else found.tolist()

    assert targets(torch.tensor(2)) == [2, 2]
    assert targets(torch.tensor([True])) == [1, 1]
    assert targets(torch.tensor(2.0)) is None
    assert targets(torch.tensor([[1, 2]])) is None


def test_a_changed_byte_is_found(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[-5] ^= 1
    part.write_bytes(content)
    with pytest.raises(DataError, match=r"000010.safetensors is damaged: its checksum .*; delete"):
        verify_part(part)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_part_that_is_cut_off_is_refused(part: Path, kept: int) -> None:
    part.write_bytes(part.read_bytes()[:kept])
    for read in (read_part_info, open_part, verify_part):
        with pytest.raises(DataError, match=r"000010.safetensors is .*; delete it and run"):
            read(part)


@pytest.mark.parametrize(
    "content",
    [
        b"no part at all, but long enough",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (24).to_bytes(8, "little") + b'{"__metadata__": {"a":1}}',
        (4).to_bytes(8, "little") + b"\xff\xfe\xfd\xfc",
    ],
)
def test_a_file_that_is_no_part_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError, match=r"/p is not a part file"):
        read_part_info(tmp_path / "p")


def test_another_format_version_is_refused(part: Path) -> None:
    changed = part.read_bytes().replace(rb"\"format\": 1", rb"\"format\": 7")
    part.write_bytes(changed)
    with pytest.raises(DataError, match="has part format 7; this version of qgpipe reads format 1"):
        read_part_info(part)


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file: .*/p; run the preprocess stage"):
        open_part(tmp_path / "p")


def test_a_failed_write_leaves_the_old_part(packed: Packed, part: Path) -> None:
    before = part.read_bytes()
    packed.edges = as_neighbor_lists(packed.edges, packed.sizes, 20)
    with pytest.raises(TypeError, match="edges are stored as bits or pairs"):
        write_part(part, packed, INFO)
    assert part.read_bytes() == before
    assert list(part.parent.iterdir()) == [part]


def test_a_compressed_part_holds_the_same(packed: Packed, tmp_path: Path) -> None:
    plain = write_part(tmp_path / "plain", packed, INFO)
    info = write_part(tmp_path / "p", packed, INFO, compress=True)
    found = open_part(tmp_path / "p", mapped=False)
    np.testing.assert_equal(asdict(found), asdict(packed))
    assert info == read_part_info(tmp_path / "p")
    assert info["bytes"] == plain["bytes"] == plain["stored_bytes"]
    assert info["stored_bytes"] < info["bytes"]
    verify_part(tmp_path / "p")


def test_a_compressed_part_is_a_safetensors_file(packed: Packed, tmp_path: Path) -> None:
    write_part(tmp_path / "p", packed, INFO, compress=True)
    with safe_open(tmp_path / "p", "numpy") as file:
        content = Zstd().decode(file.get_tensor("node_ptr"))
    assert np.array_equal(np.frombuffer(content, np.int64), packed.node_ptr)


def test_a_compressed_part_without_graphs_is_read_back(tmp_path: Path) -> None:
    write_part(tmp_path / "p", pack([]), INFO, compress=True)
    assert open_part(tmp_path / "p", mapped=False).num_graphs == 0


def test_a_compressed_part_cannot_be_mapped(packed: Packed, tmp_path: Path) -> None:
    write_part(tmp_path / "p", packed, INFO, compress=True)
    with pytest.raises(ConfigError, match=r"data\.residency: the part .*p is compressed, so it"):
        open_part(tmp_path / "p")


def test_damage_to_a_compressed_part_is_noticed(packed: Packed, tmp_path: Path) -> None:
    write_part(tmp_path / "p", packed, INFO, compress=True)
    content = bytearray((tmp_path / "p").read_bytes())
    content[-9] ^= 1
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError, match="is damaged: its checksum does not match"):
        verify_part(tmp_path / "p")
    (tmp_path / "p").write_bytes(content[:-60] + bytes(60))
    with pytest.raises(DataError, match=r"p is damaged: Zstd .*; delete it and run the pipeline"):
        open_part(tmp_path / "p", mapped=False)


@pytest.mark.parametrize("compress", [False, True])
def test_targets_are_read_alone(packed: Packed, tmp_path: Path, compress: bool) -> None:
    write_part(tmp_path / "p", packed, INFO, compress)
    targets = read_targets(tmp_path / "p")
    assert targets is not None
    assert targets.dtype == np.int64
    assert np.array_equal(targets, packed.attributes["y"].values)


def test_targets_that_are_no_classes_are_none(tmp_path: Path) -> None:
    for number, y in enumerate((torch.tensor(0.5), torch.tensor([[1, 2]]), None)):
        graph = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=1)
        if y is not None:
            graph.y = y
        write_part(tmp_path / str(number), pack([graph]), INFO)
        assert read_targets(tmp_path / str(number)) is None
