"""A header that is valid JSON, but not the one that was written, is refused."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from torch_geometric.data import Data

from qgpipe.config.resolve import resolve_config
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.splits.split_file import read_split, write_split
from qgpipe.data.storage.part_file import open_part, read_part_info, write_part
from qgpipe.data.storage.part_header import METADATA_KEY
from qgpipe.errors import DataError

INFO = {
    "store": "a", "start": 10, "stop": 13, "num_filtered": 1, "num_skipped": 0, "skipped": [],
    "node_features": ["k", "l"], "graph_features": None, "target": None, "class_names": None,
}  # fmt: skip
CONFIG = {
    "data": {"files": ["s0", "s1"], "reader": "r"},
    "model": {"encoder_type": "torch.nn.Identity", "downstream_tasks": ["torch.nn.Identity"]},
    "training": {"seed": 1, "num_epochs": 2, "batch_size": 4},
    "criterion": "mymodule.loss",
}
WRONG = [None, "text", -1, 10**30, 1.5, True, [], {}, [-1], [[1]], {"a": 1}]
FREE = {  # what the description says of the samples, which nothing in the part can contradict
    "store", "start", "stop", "num_filtered", "num_skipped", "skipped", "node_features",
    "graph_features", "target", "class_names", "class_counts", "sizes", "bytes", "checksum",
    "constants", "explicit_num_nodes", "cat_dim", "increment", "scalar",
}  # fmt: skip


@pytest.fixture(params=[0.9, 0.1], ids=["bits", "pairs"])
def part(request, make_graphs: Callable[..., list[Data]], tmp_path: Path) -> Path:
    graphs = make_graphs([9, 17, 6], density=request.param)
    write_part(tmp_path / "a", pack(graphs, [10, 11, 12]), INFO)
    return tmp_path / "a"


def read(path: Path) -> tuple[dict, dict, bytes]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return header, json.loads(header["__metadata__"][METADATA_KEY]), content[8 + length :]


def rewrite(path: Path, header: dict, info: dict, data: bytes) -> None:
    text = json.dumps({**header, "__metadata__": {METADATA_KEY: json.dumps(info)}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def places(value, path=()):
    """Every place in a nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def set_at(value, path, new) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def test_the_header_that_was_written_is_read(part: Path) -> None:
    header, info, data = read(part)
    rewrite(part, header, info, data)
    assert read_part_info(part) == info


def test_a_changed_value_is_refused_or_changes_no_array(part: Path) -> None:
    header, info, data = read(part)
    expected = open_part(part, mapped=False)
    refused = 0
    for which, path in [("header", p) for p in places(header) if p[0] != "__metadata__"] + [
        ("info", p) for p in places(info)
    ]:
        for new in WRONG:
            changed = {"header": json.loads(json.dumps(header)), "info": dict(info)}
            changed["info"] = json.loads(json.dumps(info))
            set_at(changed[which], path, new)
            if changed == {"header": header, "info": info}:
                continue
            rewrite(part, changed["header"], changed["info"], data)
            try:
                found = open_part(part)
            except DataError as error:
                refused += 1
                assert "\n" not in str(error)
                continue
            assert which == "info", (path, new)
            assert FREE & set(path), (path, new)
            assert (found.sample_index == expected.sample_index).all()
    assert refused > 300


def test_arrays_that_have_changed_places_are_refused(part: Path) -> None:
    header, info, data = read(part)
    names = [name for name in header if name != "__metadata__"]
    for one, other in itertools.combinations(names, 2):
        changed = {**header, one: header[other], other: header[one]}
        if changed == header:
            continue
        rewrite(part, changed, info, data)
        with pytest.raises(DataError, match="is damaged: in its header"):
            read_part_info(part)


@pytest.mark.parametrize("name", ["sample_index", "attribute/x", "node_ptr"])
def test_missing_and_superfluous_arrays_are_refused(part: Path, name: str) -> None:
    header, info, data = read(part)
    rewrite(part, {k: v for k, v in header.items() if k != name}, info, data)
    with pytest.raises(DataError, match="arrays are missing or superfluous"):
        read_part_info(part)
    rewrite(part, {**header, "more": header[name]}, info, data)
    with pytest.raises(DataError, match="arrays are missing or superfluous: more"):
        read_part_info(part)


def test_a_folder_in_place_of_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_part_info(tmp_path)


@pytest.fixture
def dataset(write_dataset_of, make_graphs, tmp_path: Path) -> Path:
    return write_dataset_of(tmp_path, [make_graphs([5, 6, 7]), make_graphs([7, 6, 5])])


def test_parts_that_were_exchanged_on_disk_are_refused(dataset: Path) -> None:
    one, other = sorted((dataset.parent / "parts").iterdir())
    shutil.move(one, dataset.parent / "kept")
    shutil.move(other, one)
    shutil.move(dataset.parent / "kept", other)
    with pytest.raises(DataError, match="is not the part that dataset"):
        PackedDataset(dataset)
    with pytest.raises(DataError, match="is not the part that dataset"):
        write_split(resolve_config(CONFIG), dataset, dataset.parent / "split.json")
    assert not (dataset.parent / "split.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": [4, 5, 0]}, "graph 0 is in 'train' and in 'test'"),
        ({"train": [0, 1, 1]}, "'train' has graph 1 more than once"),
        ({"train": [0, -1]}, "'train' has graph -1 of 6"),
        ({"train": [0, 6]}, "'train' has graph 6 of 6"),
        ({"train": [0, 10**30]}, "'train' has graph 10"),
        ({"train": [0, 1.5]}, "'train' is not a list of whole numbers"),
        ({"train": [0, 1.0]}, "'train' is not a list of whole numbers"),
        ({"train": [0, "3"]}, "'train' is not a list of whole numbers"),
        ({"train": [0, True]}, "'train' is not a list of whole numbers"),
        ({"train": [0, None]}, "'train' is not a list of whole numbers"),
        ({"train": [[0]]}, "'train' is not a list of whole numbers"),
        ({"train": {"0": 1}}, "'train' is not a list of whole numbers"),
        ({"test": None}, "'test' is not a list of whole numbers"),
        ({"num_graphs": "6"}, "splits 6 graphs, but there are 6"),
    ],
)
def test_a_split_is_not_believed(tmp_path: Path, changes: dict, message: str) -> None:
    split = {"format": 1, "num_graphs": 6, "train": [0, 1, 2], "validation": [3], "test": [4, 5]}
    path = tmp_path / "split.json"
    path.write_text(json.dumps(split))
    assert {name: found.tolist() for name, found in read_split(path, 6).items()} == {
        name: split[name] for name in ("train", "validation", "test")
    }
    path.write_text(json.dumps({**split, **changes}))
    with pytest.raises(DataError) as error:
        read_split(path, 6)
    assert message in str(error.value)
