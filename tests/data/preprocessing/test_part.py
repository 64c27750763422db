from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import zarr
from torch_geometric.data import Data

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.preprocessing.part import preprocess_part, write_dataset
from qgpipe.data.preprocessing.plan import plan_parts
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.data.storage.part_file import open_part, read_part_info, verify_part
from qgpipe.errors import ConfigError, DataError
from qgpipe.system.files import read_json


def edgeless(store, idx, float_dtype, int_dtype, validate, scale=1.0):
    n = int(store["cset_size"][idx])
    return Data(
        x=torch.full((n, 1), scale * idx, dtype=float_dtype),
        edge_index=torch.empty(2, 0, dtype=torch.int64),
        y=torch.tensor(int(store["cset_type"][idx])),
    )


class Scaled:
    """A reader with a state."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, *arguments):
        return edgeless(*arguments, scale=self.scale)


def is_large(graph):
    return graph.num_nodes > 5


def without_edges(graph):
    return Data(x=graph.x[:, :1], edge_index=graph.edge_index[:, :0], y=graph.y)


def config(*files, chunksize=4, reader=CausalSetReader, **changes):
    data = {
        "files": [str(file) for file in files],
        "output": "data",
        "chunksize": chunksize,
        "reader": reader,
        "float_type": "torch.float32",
        "int_type": "torch.int64",
        "validate_data": True,
        "validate_order": False,
        "on_bad_sample": "error",
        "compress": False,
        "pre_filter": None,
        "pre_transform": None,
    }
    return {"data": {**data, **changes}}


@pytest.fixture
def path(write_stacked, causal_sets):
    return write_stacked(causal_sets)


@pytest.fixture
def part(tmp_path):
    return tmp_path / "parts" / "a-000000000.safetensors"


def run(settings, path, part, start=0, stop=7, **options):
    return preprocess_part(settings, path, "a", start, stop, part, **options)


def test_a_part_holds_its_samples_and_says_what_they_are(path, part, causal_sets):
    info = run(config(path, class_names=None), path, part, 2, 6)
    assert info == read_part_info(part)
    verify_part(part)
    expected = {
        "store": "a",
        "start": 2,
        "stop": 6,
        "num_graphs": 4,
        "num_filtered": 0,
        "num_skipped": 0,
        "skipped": [],
        "node_features": ["max_pathlens_future", "max_pathlens_past"],
        "graph_features": [],
        "target": "cset_type",
        "class_names": None,
    }
    assert {name: info[name] for name in expected} == expected
    packed = open_part(part)
    assert packed.sample_index.tolist() == [2, 3, 4, 5]
    np.testing.assert_array_equal(packed.sizes, causal_sets.sizes[2:6])


def test_names_of_classes_and_targets_are_kept(path, part):
    reader = {
        "type": "!pyobject qgpipe.CausalSetReader",
        "kwargs": {"target": ["cset_type", "manifold_like"], "graph_features": "manifold_like"},
    }
    info = run(config(path, reader=reader), path, part)
    assert info["target"] == ["cset_type", "manifold_like"]
    assert info["graph_features"] == ["manifold_like"]
    reader = {"type": CausalSetReader, "kwargs": {"class_names": ["a", "b", "c"]}}
    assert run(config(path, reader=reader), path, part)["class_names"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pre_filter": is_large},
        {"reader": edgeless},
        {"reader": edgeless, "pre_filter": is_large, "pre_transform": without_edges},
    ],
)
def test_the_bytes_do_not_depend_on_the_number_of_processes(
    write_stacked, make_sets, part, changes
):
    sets = make_sets(np.random.default_rng(2).integers(3, 9, 70).tolist())
    path = write_stacked(sets, chunks=(16, 9, 9))
    settings = config(path, **changes)
    contents = []
    for processes in (1, 2, 3):
        run(settings, path, part, 0, 70, processes=processes)
        contents.append(part.read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_the_built_in_reader_needs_no_torch(path, part):
    settings = config(path, reader="!pyobject qgpipe.CausalSetReader")
    program = (
        "import sys; from qgpipe.data.preprocessing.part import preprocess_part;"
        f"preprocess_part({settings!r}, {str(path)!r}, 'a', 0, 7, {str(part)!r}, processes=2);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_a_filter_keeps_the_names_and_counts_what_it_left_out(path, part):
    info = run(config(path, pre_filter=is_large), path, part)
    assert (info["num_graphs"], info["num_filtered"]) == (4, 3)
    assert info["node_features"] == ["max_pathlens_future", "max_pathlens_past"]


def test_a_transform_leaves_only_the_names_that_the_user_gave(path, part):
    reader = {"type": CausalSetReader, "kwargs": {"class_names": ["a", "b", "c"]}}
    info = run(config(path, reader=reader, pre_transform=without_edges), path, part)
    assert (info["node_features"], info["target"]) == (None, None)
    assert info["class_names"] == ["a", "b", "c"]
    assert info["attributes"]["x"]["shape"] == [1]


def test_a_part_may_have_all_its_graphs_filtered_out(path, part):
    info = run(config(path, pre_filter=lambda graph: False), path, part)
    assert (info["num_graphs"], info["num_filtered"]) == (0, 7)
    assert open_part(part).num_graphs == 0


@pytest.mark.parametrize(
    ("reader", "scale"),
    [
        (edgeless, 1),
        ({"type": edgeless, "kwargs": {"scale": 3.0}}, 3),
        ([Scaled, [2.0]], 2),
    ],
)
def test_a_reader_is_a_function_or_an_object(path, part, reader, scale):
    info = run(config(path, reader=reader), path, part)
    assert (info["node_features"], info["class_names"]) == (None, None)
    assert open_part(part).attributes["x"].values[5, 0] == scale


def test_leading_arguments_of_a_function_are_refused(path, part):
    with pytest.raises(
        ConfigError, match=r"data\.reader: the first arguments of the function 'edgeless' are given"
    ):
        run(config(path, reader=[edgeless, [1]]), path, part)


def test_a_role_has_its_own_reader(path, part):
    settings = config(path)
    settings["testing"] = {"data": {"files": [str(path)], "reader": edgeless}}
    assert run(settings, path, part)["attributes"]["x"]["shape"] == [2]
    assert run(settings, path, part, role="test")["attributes"]["x"]["shape"] == [1]


@pytest.mark.parametrize("reader", [CausalSetReader, edgeless])
def test_a_store_that_is_only_partly_filled_gives_shorter_parts(
    write_stacked, causal_sets, part, reader
):
    path = write_stacked(causal_sets, changes={"num_samples": np.array([5])})
    ranges = [(p.start, p.stop) for p in plan_parts(config(path, chunksize=3))]
    infos = [run(config(path, reader=reader), path, part, *bounds) for bounds in ranges]
    assert [(i["start"], i["stop"], i["num_graphs"]) for i in infos] == [
        (0, 3, 3),
        (3, 5, 2),
        (5, 5, 0),
    ]


def test_a_store_that_claims_more_samples_than_it_has_is_refused(write_stacked, causal_sets, part):
    path = write_stacked(causal_sets, changes={"num_causal_sets": np.array([8])})
    with pytest.raises(
        DataError, match="array 'num_causal_sets': says 8 samples, but there are 7; write the"
    ):
        run(config(path), path, part)


def test_a_store_that_has_shrunk_since_planning_is_refused(path, part):
    with pytest.raises(DataError, match=r"there are 7 samples, but 9 were planned; .* run the"):
        run(config(path), path, part, 4, 9)


def test_a_damaged_store_leaves_what_was_there(path, part):
    run(config(path), path, part)
    before = part.read_bytes()
    (path / "adjacency_matrix" / "2.0.0").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"2\.0\.0"):
        run(config(path), path, part)
    assert part.read_bytes() == before
    assert [file.name for file in part.parent.iterdir()] == [part.name]


def test_parts_of_all_layouts_become_one_dataset(write_stacked, write_groups, make_sets, tmp_path):
    some, others = make_sets([5, 12, 3], seed=1), make_sets([8, 4], seed=2)
    settings = config(write_stacked(some), write_groups(others), chunksize=2)
    plans = plan_parts(settings)
    files = [tmp_path / "parts" / f"{p.name}.safetensors" for p in plans]
    for p, file in zip(plans, files, strict=True):
        preprocess_part(settings, p.path, p.store, p.start, p.stop, file, p.role)
    stores = {p.store: p.describe_store() for p in plans}
    write_dataset(files, list(stores.values()), tmp_path / "dataset.json")
    dataset = PackedDataset(tmp_path / "dataset.json")
    assert dataset.sample_ids(range(5)) == [
        "stacked/0",
        "stacked/1",
        "stacked/2",
        "groups/0",
        "groups/1",
    ]
    for graph, relations in zip(dataset, some.relations + others.relations, strict=True):
        np.testing.assert_array_equal(graph.edge_index.numpy(), np.stack(np.nonzero(relations)))
    np.testing.assert_array_equal(dataset.targets(), np.concatenate([some.types, others.types]))
    assert dataset[4].x[:, 1].tolist() == others.past[1].tolist()


def test_every_error_leaves_no_file(path, part):
    zarr.open_group(path, mode="r+")["cset_size"][3] = 99
    with pytest.raises(DataError, match="sample 3"):
        run(config(path), path, part)
    assert not part.exists()


def spoil(path):
    group = zarr.open_group(path, mode="r+")
    group["cset_size"][1] = 0
    group["adjacency_matrix"][5, 2, 2] = 1
    return path


def fussy(store, idx, *arguments):
    if idx == 3:
        raise ValueError("3 will not do")
    return edgeless(store, idx, *arguments)


def test_bad_samples_are_left_out_and_listed(path, part, tmp_path, caplog):
    settings = config(spoil(path), on_bad_sample="skip")
    info = run(settings, path, part)
    assert (info["num_graphs"], info["num_skipped"], info["num_filtered"]) == (5, 2, 0)
    assert [skipped["sample"] for skipped in info["skipped"]] == [1, 5]
    assert "a: left out sample 5: array 'adjacency_matrix': this is no partial" in caplog.text
    (plan, *_) = plan_parts(config(path, chunksize=7))
    write_dataset([part], [{**plan.describe_store(), "name": "a"}], tmp_path / "dataset.json")
    dataset = read_json(tmp_path / "dataset.json")
    assert (dataset["num_graphs"], dataset["num_skipped"]) == (5, 2)
    assert dataset["skipped"] == [
        {
            "id": "a/1",
            "reason": "array 'cset_size': a size of 0 does not fit an adjacency of 12 x 12",
        },
        {
            "id": "a/5",
            "reason": "array 'adjacency_matrix': this is no partial order: element 2 precedes "
            "itself",
        },
    ]
    assert PackedDataset(tmp_path / "dataset.json").sample_ids(range(5)) == [
        "a/0", "a/2", "a/3", "a/4", "a/6",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{}, {"pre_filter": is_large}, {"reader": fussy}, {"reader": fussy, "pre_filter": is_large}],
)
def test_what_is_left_out_does_not_depend_on_the_number_of_processes(
    write_stacked, make_sets, part, changes
):
    sets = make_sets(np.random.default_rng(2).integers(3, 9, 70).tolist())
    path = spoil(write_stacked(sets, chunks=(16, 9, 9)))
    settings = config(path, on_bad_sample="skip", **changes)
    contents = []
    for processes in (1, 2, 3):
        info = run(settings, path, part, 0, 70, processes=processes)
        assert [s["sample"] for s in info["skipped"]] == ([3] if "reader" in changes else [1, 5])
        contents.append(part.read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_a_store_without_a_good_sample_gives_the_first_reason(path, part, tmp_path):
    zarr.open_group(path, mode="r+")["cset_size"][:] = 99
    run(config(path, on_bad_sample="skip"), path, part)
    store = {"name": "a", "path": str(path), "layout": "stacked", "role": "all"}
    with pytest.raises(
        DataError, match=r"no graph is left; 0 .*, 7 skipped as bad, the first because .*of 99 does"
    ):
        write_dataset([part], [store], tmp_path / "dataset.json")


def test_parts_can_be_compressed(path, part, tmp_path):
    run(config(path), path, part)
    plain = open_part(part)
    info = run(config(path, compress=True), path, part)
    assert info["stored_bytes"] != info["bytes"]
    np.testing.assert_array_equal(
        open_part(part, mapped=False).attributes["x"].values, plain.attributes["x"].values
    )
