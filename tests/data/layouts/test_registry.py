from __future__ import annotations

import json
import os

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.errors import DataError


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_stacked_store_is_described_by_its_metadata(write_stacked, causal_sets, zarr_format):
    path = write_stacked(
        causal_sets, zarr_format=zarr_format, attributes={"class_names": ["a", "b", "c"]}
    )
    store = open_store(path)
    assert (store.layout, store.zarr_format, store.num_samples) == ("stacked", zarr_format, 7)
    assert store.attributes["class_names"] == ["a", "b", "c"]
    adjacency = store.adjacency()
    assert adjacency.name == "adjacency_matrix"
    assert adjacency.shape == (7, 12, 12)
    assert adjacency.chunks == (3, 5, 5)
    assert adjacency.dtype == "float32"
    assert store.arrays["cset_size"].dtype == "int64"
    assert store.arrays["manifold_like"].dtype == "bool"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_groups_are_counted_and_sorted_by_number(write_groups, causal_sets, zarr_format):
    numbers = [10, 9, 1, 2, 30, 100, 4]
    path = write_groups(causal_sets, zarr_format=zarr_format, numbers=numbers)
    store = open_store(path)
    assert (store.layout, store.num_samples) == ("groups", 7)
    assert store.groups == (1, 2, 4, 9, 10, 30, 100)
    assert store.adjacency().name == "adj"
    assert store.arrays["adj"].shape == (3, 3)
    assert store.sample_name(3) == "3 (cset_9)"


def test_no_chunk_is_read(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    for file in path.rglob("[0-9]*"):
        file.write_bytes(b"damaged")
    assert open_store(path).num_samples == 7


def test_a_sharded_array_is_decoded_by_its_inner_chunks(tmp_path):
    group = zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=3)
    group.create_array(
        "adjacency_matrix", shape=(8, 6, 6), chunks=(2, 3, 3), shards=(4, 6, 6), dtype="u1"
    )
    assert open_store(tmp_path / "s.zarr").adjacency().chunks == (2, 3, 3)


def test_an_older_consolidated_copy_of_the_metadata_does_not_count(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    zarr.consolidate_metadata(path)
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    for name in ("adjacency_matrix", "max_pathlens_future", "max_pathlens_past"):
        group[name].resize((9, *group[name].shape[1:]))
    for name in ("cset_size", "cset_type", "manifold_like"):
        group[name].resize((9,))
    assert open_store(path).num_samples == 9


@pytest.mark.parametrize("name", ["num_samples", "num_causal_sets"])
def test_the_array_with_the_number_of_samples_is_no_sample_array(write_stacked, causal_sets, name):
    store = open_store(write_stacked(causal_sets, changes={name: np.array([4])}))
    assert store.count is not None
    assert store.count.name == name
    assert name not in store.arrays
    assert store.num_samples == 7


def test_num_causal_sets_goes_before_num_samples(write_stacked, causal_sets):
    changes = {"num_samples": np.array([4]), "num_causal_sets": np.array([5])}
    assert open_store(write_stacked(causal_sets, changes=changes)).count.name == "num_causal_sets"


def test_a_store_for_a_reader_of_ones_own_needs_no_usual_name(tmp_path):
    group = zarr.open_group(tmp_path / "own.zarr", mode="w", zarr_format=2)
    for name, shape in {"edges": (6, 4, 2), "labels": (6,), "table": (3,)}.items():
        group.create_array(name, shape=shape, chunks=shape, dtype="i4")
    assert open_store(tmp_path / "own.zarr").num_samples == 6


def test_a_missing_store_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.zarr: no such store; check data\.files"):
        open_store(tmp_path / "nothing.zarr")


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "a.zarr").write_text("zip")
    with pytest.raises(DataError, match="not a zarr store but a file; name the folder"):
        open_store(tmp_path / "a.zarr")


def test_a_folder_without_metadata_is_no_store(tmp_path):
    with pytest.raises(DataError, match=r"not a zarr store; name the folder that holds \.zgroup"):
        open_store(tmp_path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_bare_array_is_refused(tmp_path, zarr_format):
    zarr.create_array(tmp_path / "a.zarr", shape=(3, 4, 4), dtype="u1", zarr_format=zarr_format)
    with pytest.raises(DataError, match="single array, not a group of arrays; name the folder"):
        open_store(tmp_path / "a.zarr")


def test_a_store_without_arrays_is_refused(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    with pytest.raises(DataError, match="holds no arrays and no groups"):
        open_store(tmp_path / "a.zarr")


def test_an_empty_store_is_refused(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("adjacency_matrix", shape=(0, 4, 4), chunks=(1, 4, 4), dtype="u1")
    with pytest.raises(DataError, match=r"the store is empty; leave it out of data\.files"):
        open_store(tmp_path / "a.zarr")


def test_arrays_with_unequal_sample_counts_are_named(write_stacked, causal_sets):
    path = write_stacked(causal_sets, changes={"cset_type": np.zeros(5, int)})
    with pytest.raises(DataError, match="'adjacency_matrix' has 7 samples, 'cset_type' has 5"):
        open_store(path)


def test_a_missing_adjacency_lists_the_arrays_and_the_nearest_name(write_stacked, causal_sets):
    renamed = {"adjacency_matrix": None, "adjacency_matrx": causal_sets.stored_adjacency()}
    store = open_store(write_stacked(causal_sets, changes=renamed))
    with pytest.raises(DataError) as error:
        store.adjacency()
    assert "there is no adjacency array" in str(error.value)
    assert "did you mean 'adjacency_matrx'?" in str(error.value)
    assert "cset_size, cset_type" in str(error.value)


def test_an_adjacency_that_is_not_square_is_refused(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("adjacency_matrix", shape=(3, 4, 5), chunks=(1, 4, 5), dtype="u1")
    with pytest.raises(
        DataError, match=r"expected shape \(samples, n, n\), got \(3, 4, 5\); name the adjacency"
    ):
        open_store(tmp_path / "a.zarr").adjacency()


def test_damaged_metadata_names_the_file(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    (path / "cset_size" / ".zarray").write_text('{"shape": [7')
    with pytest.raises(DataError, match=r"cset_size/\.zarray is damaged.*write the store again"):
        open_store(path)


def test_incomplete_metadata_names_the_file(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    file = path / "cset_size" / ".zarray"
    node = json.loads(file.read_text())
    del node["chunks"]
    file.write_text(json.dumps(node))
    with pytest.raises(DataError, match=r"\.zarray is no array metadata: KeyError\('chunks'\)"):
        open_store(path)


def test_a_relative_path_and_a_trailing_slash_are_taken(write_stacked, causal_sets, monkeypatch):
    path = write_stacked(causal_sets)
    monkeypatch.chdir(path.parent)
    assert open_store(f"{path.name}{os.sep}").num_samples == 7


def test_a_sample_decodes_to_the_bytes_of_its_arrays(write_stacked, write_groups, causal_sets):
    import zarr

    stacked, groups = write_stacked(causal_sets), write_groups(causal_sets)
    arrays = zarr.open_group(stacked, mode="r").arrays()
    expected = sum(a.nbytes // a.shape[0] for _, a in arrays if a.shape[0] == len(causal_sets))
    assert open_store(stacked).sample_bytes() == expected
    first = zarr.open_group(groups, mode="r")["cset_1"]
    assert open_store(groups).sample_bytes() == sum(a.nbytes for _, a in first.arrays())
