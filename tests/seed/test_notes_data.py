"""Notes 7 to 12 of what the seed document has to mean: readers, filters, splits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from torch_geometric.data import Batch, Data

from qgpipe import PackedDataset, Trainer
from qgpipe.errors import ConfigError, DataError


def prepare(config):
    """The three loaders of a configuration."""
    return Trainer.from_config(config).prepare_dataloaders()


def whole(loaders):
    """All graphs of the data set, in its order."""
    return PackedDataset(loaders.train.dataset.path)


def sizes(loaders) -> list[int]:
    return [len(loader.dataset) for loader in loaders]


def split_file() -> dict:
    return json.loads(Path("results/data/split.json").read_text())


class Recorder:
    """A reader that keeps what it is called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, store, idx, float_dtype, int_dtype, validate):
        self.calls.append((store, idx, float_dtype, int_dtype, validate))
        group = zarr.open_group(store.root)
        np.testing.assert_array_equal(
            group["max_pathlens_future"][idx], store["max_pathlens_future"][idx]
        )
        n = int(store["cset_size"][idx])
        return Data(
            x=torch.tensor(group["max_pathlens_future"][idx, :n], dtype=float_dtype).unsqueeze(1),
            edge_index=torch.tensor(store["adjacency_matrix"][idx].T[:n, :n]).nonzero().T,
            y=torch.tensor(int(store["cset_type"][idx]), dtype=int_dtype),
        )


def test_note_07_a_reader_gets_store_index_types_and_whether_to_check(folder, configured):
    reader = Recorder()
    loaders = prepare(configured(data={"reader": reader}))
    assert [call[1] for call in reader.calls] == list(range(36))
    assert {call[2:] for call in reader.calls} == {(torch.float32, torch.int64, True)}
    batch = next(iter(loaders.train))
    assert (batch.x.dtype, batch.y.dtype) == (torch.float32, torch.int64)


def test_note_07_both_types_can_be_set(folder, configured):
    reader = Recorder()
    data = {"reader": reader, "float_type": torch.float64, "int_type": "torch.int32"}
    batch = next(iter(prepare(configured(data={**data, "validate_data": False})).train))
    assert reader.calls[0][2:] == (torch.float64, torch.int32, False)
    assert (batch.x.dtype, batch.y.dtype) == (torch.float64, torch.int32)


def test_note_07_the_built_in_reader_gives_the_same_graphs(folder, configured):
    own = whole(prepare(configured(data={"reader": Recorder()})))
    kwargs = {"node_features": ["max_pathlens_future"], "target": "cset_type"}
    built_in = {"type": "qgpipe.CausalSetReader", "kwargs": kwargs}
    ours = whole(prepare(configured(data={"reader": built_in})))
    for one, other in zip(own, ours, strict=True):
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.edge_index, other.edge_index)
        assert one.y == other.y


def test_note_08_several_stores_are_one_range_in_the_order_given(folder, make_store, configured):
    make_store(folder.path / "a.zarr", samples=5, seed=1)
    files = ["data.zarr", "a.zarr"]
    dataset = whole(prepare(configured(data={"files": files})))
    assert len(dataset) == 41
    ids = dataset.sample_ids(range(41))
    assert ids[:2] + ids[35:37] + ids[40:] == ["data/0", "data/1", "data/35", "a/0", "a/4"]
    first_of_a = whole(prepare(configured(data={"files": ["a.zarr"], "split": [0.6, 0.2, 0.2]})))[0]
    assert torch.equal(dataset[36].edge_index, first_of_a.edge_index)


SEEN = []


def keep_small(sample):
    SEEN.append(("filter", type(sample)))
    return len(sample["relations"]) < 8


def make_data(sample):
    SEEN.append(("transform", type(sample)))
    n = len(sample["relations"])
    return Data(
        x=torch.full((n, 12), float(n)), edge_index=torch.empty(2, 0).long(), y=sample["kind"]
    )


def double(data):
    data.x = 2 * data.x
    return data


def test_note_09_the_filter_sees_what_the_reader_returned_and_then_counts_are_known(
    folder, configured
):
    SEEN.clear()
    data = {"reader": "mymodule.reader", "pre_filter": keep_small, "pre_transform": make_data}
    loaders = prepare(configured(data=data))
    kept = int((zarr.open_group("data.zarr")["cset_size"][:] < 8).sum())
    assert 0 < kept < 36
    assert [name for name, _ in SEEN].count("filter") == 36
    assert [name for name, _ in SEEN].count("transform") == kept
    assert {kind for _, kind in SEEN} == {dict}
    assert sum(sizes(loaders)) == kept
    description = whole(loaders).description
    assert (description["num_graphs"], description["num_filtered"]) == (kept, 36 - kept)


def test_note_09_the_transform_is_applied_at_each_loading(folder, configured):
    data = {"reader": "mymodule.reader", "pre_transform": make_data}
    plain = prepare(configured(data=data))
    stored = whole(plain)[0].x
    loaders = prepare(configured(data={**data, "transform": double}))
    for _ in range(2):
        batch = next(iter(loaders.validation))
        first = int(batch.sample_position[0])
        expected = 2 * whole(plain)[first].x
        assert torch.equal(batch.x[: len(expected)], expected)
    assert torch.equal(whole(prepare(configured(data=data)))[0].x, stored)


@pytest.mark.parametrize("given", ["pre_filter", "pre_transform", "transform"])
def test_note_09_any_of_the_three_may_be_given_alone(folder, configured, given):
    functions = {
        "pre_filter": lambda data: data.num_nodes < 8,
        "pre_transform": double,
        "transform": double,
    }
    loaders = prepare(configured(data={given: functions[given]}))
    assert (sum(sizes(loaders)) < 36) == (given == "pre_filter")
    assert next(iter(loaders.train)).x.shape[1] == 12


@pytest.mark.parametrize(
    ("fractions", "expected"),
    [
        ([0.8, 0.1, 0.1], [29, 3, 4]),  # ceil(28.8), floor(3.6), the rest
        ([0.5, 0.25, 0.25], [18, 9, 9]),
        ([0.7, 0.2, 0.1], [26, 7, 3]),
    ],
)
def test_note_10_fractions_give_ceil_floor_and_the_rest(folder, configured, fractions, expected):
    loaders = prepare(configured(data={"split": fractions}))
    assert sizes(loaders) == expected
    ids = [i for loader in loaders for i in loader.dataset.positions.tolist()]
    assert sorted(ids) == list(range(36))


def test_note_10_an_empty_part_is_an_error_with_the_counts(folder, configured):
    with pytest.raises(ConfigError, match=r"data\.split: .*36 train, 0 validation, 0 test"):
        prepare(configured(data={"split": [1.0, 0.0, 0.0]}))


def test_note_10_two_fractions_go_with_a_test_set_of_its_own(folder, make_store, configured):
    make_store(folder.path / "test.zarr", samples=7, seed=2)
    config = configured(data={"split": [0.75, 0.25]}, testing={"data": {"files": ["test.zarr"]}})
    loaders = prepare(config)
    assert sizes(loaders) == [27, 9, 7]
    positions = loaders.test.dataset.positions
    assert loaders.test.dataset.sample_ids(positions) == [f"test/{i}" for i in range(7)]


def test_note_10_each_stage_may_have_data_of_its_own(folder, make_store, configured):
    stores = {"training": 8, "validation": 6, "testing": 5}
    config = configured(data={"files": None})
    for seed, (stage, samples) in enumerate(stores.items()):
        make_store(folder.path / f"{stage}.zarr", samples=samples, seed=seed)
        config.setdefault(stage, {})["data"] = {"files": [f"{stage}.zarr"]}
    loaders = prepare(config)
    assert sizes(loaders) == [8, 6, 5]
    for loader, stage in zip(loaders, stores, strict=True):
        dataset = loader.dataset
        assert {i.split("/")[0] for i in dataset.sample_ids(dataset.positions)} == {stage}


def test_note_10_the_split_depends_on_data_and_seed_alone(folder, configured):
    def split(**changes):
        prepare(configured(**changes))
        return {stage: split_file()[stage] for stage in ("train", "validation", "test")}

    first = split()
    wider = {"downstream_tasks": [["torch.nn.Linear", [8, 5]]]}
    other = {"num_epochs": 7, "batch_size": 3, "optimizer_kwargs": {"lr": 1}}
    assert split(model=wider, training=other, name="other") == first
    assert split(training={"seed": 4}) != first


def test_note_11_a_subset_is_drawn_without_replacement_by_the_seed(folder, configured):
    def positions(seed):
        loaders = prepare(configured(data={"subset": 0.4}, training={"seed": seed}))
        return [i for loader in loaders for i in loader.dataset.positions.tolist()]

    drawn = positions(3)
    assert len(drawn) == len(set(drawn)) == math.ceil(0.4 * 36)
    assert positions(3) == drawn
    assert sorted(positions(4)) != sorted(drawn)


def test_note_11_shuffling_comes_before_splitting(folder, configured):
    plain = prepare(configured()).test.dataset.positions.tolist()
    shuffled = prepare(configured(data={"shuffle": True})).test.dataset.positions.tolist()
    assert len(plain) == len(shuffled)
    assert plain != shuffled


def counted(path, **counts):
    group = zarr.open_group(path)
    for name, value in counts.items():
        group.create_array(name, data=np.array([value]))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, 36),
        ({"num_samples": 20}, 20),
        ({"num_causal_sets": 24, "num_samples": 20}, 24),
    ],
)
def test_note_12_the_number_of_samples_is_what_the_store_says_or_holds(
    folder, configured, counts, expected
):
    counted("data.zarr", **counts)
    loaders = prepare(configured(data={"reader": "mymodule.data_reader"}))
    assert sum(sizes(loaders)) == expected


def test_note_12_groups_are_counted(folder, configured):
    root = zarr.open_group("groups.zarr", mode="w", zarr_format=2)
    stacked = zarr.open_group("data.zarr")
    for i in range(12):
        n = int(stacked["cset_size"][i])
        group = root.create_group(f"cset_{i + 1}")
        group.create_array("adj", data=stacked["adjacency_matrix"][i, :n, :n].astype("u1"))
        group.create_array("in_degree", data=stacked["max_pathlens_future"][i, :n])
        group.create_array("out_degree", data=stacked["max_pathlens_future"][i, :n])
        group.create_array("cset_type", data=np.array([stacked["cset_type"][i]]))
    loaders = prepare(
        configured(data={"files": ["groups.zarr"], "reader": "qgpipe.CausalSetReader"})
    )
    assert sum(sizes(loaders)) == 12
    graph = whole(loaders)[3]
    n = int(stacked["cset_size"][3])
    edges = torch.tensor(stacked["adjacency_matrix"][3, :n, :n].T).nonzero().T
    assert torch.equal(graph.edge_index, edges)


class Faces(Data):
    """A user's own data class: ``levels`` are joined along the last axis."""

    def __cat_dim__(self, key, value, *args, **kwargs):
        return -1 if key == "levels" else super().__cat_dim__(key, value, *args, **kwargs)


def with_attributes(store, idx, float_dtype, int_dtype, validate):
    """Attributes of every kind that PyG has a rule for."""
    n = int(store["cset_size"][idx])
    edges = torch.tensor(store["adjacency_matrix"][idx].T[:n, :n]).nonzero().T
    return Faces(
        x=torch.randn(n, 12, generator=torch.Generator().manual_seed(idx)),
        edge_index=edges,
        edge_attr=torch.arange(edges.shape[1], dtype=float_dtype).unsqueeze(1),
        pos=torch.full((n, 2), float(idx)),
        root_index=torch.tensor([n - 1]),  # "index": shifted by the nodes before
        levels=torch.full((2, idx % 3 + 1), idx),
        density=idx / 36,
        names=torch.arange(idx % 4),
        y=torch.tensor(int(store["cset_type"][idx])),
    )


def test_note_07_any_attribute_of_data_is_batched_by_the_rules_of_pyg(folder, configured):
    loaders = prepare(configured(data={"reader": with_attributes}))
    store = zarr.open_group("data.zarr")
    arguments = (torch.float32, torch.int64, True)
    for batch in loaders.validation:
        originals = [with_attributes(store, i, *arguments) for i in batch.sample_position.tolist()]
        expected = Batch.from_data_list(originals)
        for name in expected.to_dict():
            assert torch.equal(batch[name], expected[name]), name


@pytest.mark.parametrize("reader", ["mymodule.data_reader", "mymodule.reader"])
def test_note_07_readers_in_several_processes_write_the_same_bytes(folder, configured, reader):
    transform = "mymodule.pre_transform" if reader == "mymodule.reader" else None
    parts = []
    for processes in (1, 2):
        data = {"reader": reader, "pre_transform": transform, "n_processes": processes}
        prepare(configured(data={**data, "output": f"out{processes}"}))
        parts.append(
            (folder.path / f"out{processes}/parts/data-000000000.safetensors").read_bytes()
        )
    assert parts[0] == parts[1]


def test_note_09_a_reader_that_returns_no_data_needs_a_pre_transform(folder, configured):
    with pytest.raises(
        DataError, match=r"sample 0: expected a torch_geometric Data, got dict; .*pre_transform"
    ):
        prepare(configured(data={"reader": "mymodule.reader"}))
