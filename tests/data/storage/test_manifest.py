from __future__ import annotations

import json

import numpy as np
import pytest

from qgpipe.data.graphs.adjacency import bit_offsets
from qgpipe.data.graphs.packed import Attribute, BitAdjacency, ConstantEdges, Packed, offsets
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part
from qgpipe.errors import DataError


def edgeless(sizes, classes, width=1):
    """Graphs without edges."""
    sizes = np.array(sizes, np.int64)
    ptr = bit_offsets(sizes)
    return Packed(
        sample_index=np.arange(len(sizes)),
        node_ptr=offsets(sizes),
        edges=BitAdjacency(np.zeros(ptr[-1], np.uint8), ptr, np.zeros(len(sizes), np.int64)),
        attributes={
            "x": Attribute(np.zeros((sizes.sum(), width), np.float32), "node"),
            "y": Attribute(np.array(classes), "graph", scalar=True),
        },
    )


@pytest.fixture
def part(tmp_path):
    """Write a part of ``store`` and give its path."""

    def write(store, start, packed, num_filtered=0, **names):
        path = tmp_path / "parts" / f"{store}-{start:09d}.safetensors"
        known = {
            "node_features": ["a"],
            "graph_features": [],
            "target": "kind",
            "class_names": ["one", "two"],
        }
        stop = start + packed.num_graphs + num_filtered
        info = {"store": store, "start": start, "stop": stop, "num_filtered": num_filtered}
        info |= {"num_skipped": 0, "skipped": []}
        write_part(path, packed, {**info, **known, **names})
        return path

    return write


def store(name, role="all"):
    return {
        "name": name,
        "path": f"{name}.zarr",
        "layout": "stacked",
        "num_samples": 1000,
        "role": role,
    }


def gather(parts, stores, tmp_path):
    write_dataset(parts, stores, tmp_path / "dataset.json")
    return json.loads((tmp_path / "dataset.json").read_text())


def test_counts_and_names_are_gathered(part, tmp_path):
    parts = [
        part("a", 0, edgeless([3, 5], [0, 1]), num_filtered=1),
        part("a", 3, edgeless([4], [1])),
        part("b", 0, edgeless([9], [1])),
    ]
    found = gather(parts, [store("a"), store("b", "test")], tmp_path)
    assert found["format"] == 1
    assert (found["num_graphs"], found["num_filtered"]) == (4, 1)
    assert [(s["name"], s["num_samples"], s["role"]) for s in found["stores"]] == [
        ("a", 4, "all"),
        ("b", 1, "test"),
    ]
    assert found["class_counts"] == {"0": 1, "1": 3}
    assert found["node_features"] == ["a"]
    assert found["class_names"] == ["one", "two"]
    assert found["target"] == "kind"
    assert found["attributes"] == {
        "x": {"kind": "node", "dtype": "float32", "shape": [1]},
        "y": {"kind": "graph", "dtype": "int64", "shape": []},
    }


def test_parts_are_listed_in_order_with_relative_paths(part, tmp_path):
    parts = [part("b", 0, edgeless([9], [1])), part("a", 5, edgeless([3, 5], [0, 1]))]
    found = gather(parts, [store("b"), store("a", "validation")], tmp_path)["parts"]
    assert [p["file"] for p in found] == [
        "parts/b-000000000.safetensors",
        "parts/a-000000005.safetensors",
    ]
    entry = found[1]
    assert entry.pop("checksum").startswith("sha256:")
    assert entry.pop("bytes") == entry.pop("stored_bytes") > 0
    assert entry == {
        "file": "parts/a-000000005.safetensors",
        "store": "a",
        "role": "validation",
        "start": 5,
        "stop": 7,
        "num_graphs": 2,
        "num_filtered": 0,
        "num_skipped": 0,
        "num_nodes": 8,
        "num_edges": 0,
    }


def test_sizes_are_summed_up(part, tmp_path):
    parts = [part("a", 0, edgeless([3, 5, 3], [0, 0, 0])), part("a", 3, edgeless([7], [0]))]
    assert gather(parts, [store("a")], tmp_path)["sizes"] == {
        "min": 3,
        "max": 7,
        "mean": 4.5,
        "histogram": {"edges": [3, 4, 5, 6, 7, 8], "counts": [2, 0, 1, 0, 1]},
    }


def test_a_wide_range_of_sizes_has_few_bins_that_hold_all_graphs(part, tmp_path):
    sizes = [10, 500, 505, 1000]
    histogram = gather([part("a", 0, edgeless(sizes, [0] * 4))], [store("a")], tmp_path)["sizes"][
        "histogram"
    ]
    assert len(histogram["edges"]) - 1 == len(histogram["counts"]) <= 31
    assert sum(histogram["counts"]) == 4
    assert len(set(np.diff(histogram["edges"]))) == 1


def test_real_targets_have_no_class_counts(part, tmp_path):
    path = part("a", 0, edgeless([3, 4], [0.5, 1.5]), class_names=None)
    assert gather([path], [store("a")], tmp_path)["class_counts"] is None


def test_empty_parts_are_listed_but_not_compared(part, tmp_path):
    empty = edgeless([], np.empty(0, np.int64))
    empty.attributes.clear()
    parts = [
        part("a", 0, empty, num_filtered=2, node_features=None),
        part("a", 2, edgeless([3], [1])),
    ]
    found = gather(parts, [store("a")], tmp_path)
    assert [p["num_graphs"] for p in found["parts"]] == [0, 1]
    assert found["node_features"] == ["a"]


def test_constant_edge_attributes_are_listed(part, tmp_path):
    packed = edgeless([3], [1])
    packed.constants["edge_attr"] = ConstantEdges(1, "float32", ())
    found = gather([part("a", 0, packed)], [store("a")], tmp_path)
    assert found["attributes"]["edge_attr"] == {"kind": "edge", "dtype": "float32", "shape": []}


def test_other_features_in_another_store_name_both(part, tmp_path):
    parts = [
        part("a", 0, edgeless([3], [1])),
        part("b", 0, edgeless([3], [1], width=2), node_features=["a", "b"]),
    ]
    with pytest.raises(
        DataError,
        match=r"node_features is \['a'\] in store 'a', from sample 0 on, but \['a', 'b'\] in "
        r"store 'b', from sample 0 on; read the same features",
    ):
        gather(parts, [store("a"), store("b")], tmp_path)
    assert not (tmp_path / "dataset.json").exists()


def test_another_type_in_another_store_names_both(part, tmp_path):
    parts = [part("a", 0, edgeless([3], [1])), part("b", 7, edgeless([3], [1.5]))]
    with pytest.raises(
        DataError, match=r"'y' is int64 \[\] in store 'a'.* but float64 \[\] in store 'b', from s"
    ):
        gather(parts, [store("a"), store("b")], tmp_path)


def test_a_missing_attribute_is_named(part, tmp_path):
    bare = edgeless([3], [1])
    del bare.attributes["x"]
    with pytest.raises(DataError, match=r"'x' is float32 \[1\] in store 'a'.* but missing in"):
        gather(
            [part("a", 0, edgeless([3], [1])), part("a", 1, bare)],
            [store("a")],
            tmp_path,
        )


def test_a_dataset_without_graphs_is_an_error(part, tmp_path):
    path = part("a", 0, edgeless([], np.empty(0, np.int64)), num_filtered=6)
    with pytest.raises(
        DataError, match=r"a\.zarr: no graph is left; 6 were filtered out; check data\.pre_filter"
    ):
        gather([path], [store("a")], tmp_path)
