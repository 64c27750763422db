from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.quantumgrav import sample_array
from qgpipe.data.quantumgrav.sample_store import SampleStore
from qgpipe.errors import DataError

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


@pytest.fixture
def stacked(write_stacked, causal_sets, request):
    zarr_format = getattr(request, "param", 2)
    path = write_stacked(causal_sets, zarr_format=zarr_format, attributes={"note": "x"})
    return SampleStore(open_store(path))


BOTH = pytest.mark.parametrize("stacked", [2, 3], indirect=True)


@BOTH
def test_arrays_are_read_by_name_and_sample(stacked, causal_sets):
    expected = causal_sets.stored_adjacency()
    np.testing.assert_array_equal(stacked["adjacency_matrix"][4, :, :], expected[4])
    np.testing.assert_array_equal(stacked["adjacency_matrix"][-1], expected[-1])
    np.testing.assert_array_equal(stacked["adjacency_matrix"][2, 1:3, 0], expected[2, 1:3, 0])
    assert int(stacked["cset_size"][3]) == 8
    assert stacked["max_pathlens_past"][np.int64(1)].dtype == np.float32


@BOTH
def test_the_root_opens_with_zarr(stacked, causal_sets):
    for options in ({}, {"mode": "r"}):
        group = zarr.open_group(stacked.root, **options)
        for i in (0, 6, 2):
            np.testing.assert_array_equal(
                group["adjacency_matrix"][i, :, :], causal_sets.stored_adjacency()[i]
            )
            assert int(group["cset_size"][i]) == causal_sets.sizes[i]
            assert bool(group["manifold_like"][i]) == causal_sets.manifold_like[i]
        assert group.attrs["note"] == "x"
        assert "cset_type" in group
        assert set(group.array_keys()) >= {"adjacency_matrix", "cset_size"}


@BOTH
def test_a_window_of_samples_reads_through_the_root(stacked, causal_sets):
    group = zarr.open_group(stacked.root)
    np.testing.assert_array_equal(group["cset_size"][1:5], causal_sets.sizes[1:5])
    np.testing.assert_array_equal(group["adjacency_matrix"][:], causal_sets.stored_adjacency())


@FORMATS
def test_consolidated_metadata_does_not_hide_the_samples(write_stacked, causal_sets, zarr_format):
    path = write_stacked(causal_sets, zarr_format=zarr_format)
    zarr.consolidate_metadata(path)
    group = zarr.open_group(SampleStore(open_store(path)).root)
    np.testing.assert_array_equal(group["cset_size"][...], causal_sets.sizes)


def test_the_root_is_a_path(stacked):
    path = os.fspath(stacked.root)
    assert Path(stacked.root) == Path(path)
    assert str(stacked.root) == path
    assert zarr.open_array(stacked.root / "cset_size", mode="r").shape == (7,)


def test_a_sample_beyond_the_end_is_an_index_error(stacked):
    with pytest.raises(IndexError, match="'cset_size' has 7 samples, there is no 7"):
        stacked["cset_size"][7]


def test_what_is_not_one_sample_is_read_as_zarr_does(stacked, causal_sets):
    array = stacked["cset_size"]
    assert (len(array), array.shape, array.ndim) == (7, (7,), 1)
    np.testing.assert_array_equal(array[2:4], causal_sets.sizes[2:4])
    np.testing.assert_array_equal(np.asarray(array), causal_sets.sizes)


def test_what_a_reader_does_to_its_sample_changes_nothing(stacked, causal_sets):
    stacked["adjacency_matrix"][2][:] = 5
    np.testing.assert_array_equal(stacked["adjacency_matrix"][2], causal_sets.stored_adjacency()[2])


def test_nothing_can_be_written(stacked, causal_sets):
    group = zarr.open_group(stacked.root)
    with pytest.raises(ValueError, match="read-only"):
        group["cset_size"][0] = 1
    with pytest.raises(ValueError, match="read-only"):
        group.create_array("new", shape=(1,), dtype="u1")


def test_names_are_looked_up_on_disk(stacked):
    assert "cset_size" in stacked
    assert "nothing" not in stacked
    with pytest.raises(KeyError):
        stacked["nothing"]


@FORMATS
def test_groups_are_read_by_name(write_groups, causal_sets, zarr_format):
    store = SampleStore(open_store(write_groups(causal_sets, zarr_format=zarr_format)))
    expected = causal_sets.relations[1].T
    np.testing.assert_array_equal(store["cset_2"]["adj"][:], expected)
    np.testing.assert_array_equal(store["cset_2/adj"][:], expected)
    root = zarr.open_group(store.root)
    np.testing.assert_array_equal(root["cset_2"]["adj"][...], expected)
    assert len(list(root.group_keys())) == 7


def test_a_block_is_decoded_once(write_stacked, causal_sets, monkeypatch):
    monkeypatch.setattr(sample_array, "BLOCK_BYTES", 1)
    path = write_stacked(causal_sets)
    store = SampleStore(open_store(path))
    group = zarr.open_group(store.root)
    assert group["adjacency_matrix"][3].any()
    for file in (path / "adjacency_matrix").glob("1.*"):
        file.unlink()
    expected = causal_sets.stored_adjacency()
    np.testing.assert_array_equal(store["adjacency_matrix"][4], expected[4])
    np.testing.assert_array_equal(group["adjacency_matrix"][5], expected[5])
    assert group["adjacency_matrix"][6].any()
    assert not group["adjacency_matrix"][4].any()


@BOTH
def test_a_group_that_is_kept_open_gives_the_same(stacked, causal_sets):
    with stacked.kept_open():
        for options in ({}, {"mode": "r"}, {"mode": "r+"}):
            group = zarr.open_group(stacked.root, **options)
            assert group is zarr.open_group(stacked.root)
            for i in (0, 6, 2):
                np.testing.assert_array_equal(
                    group["adjacency_matrix"][i, :, :], causal_sets.stored_adjacency()[i]
                )
                assert int(group["cset_size"][i]) == causal_sets.sizes[i]
                assert bool(group["manifold_like"][i]) == causal_sets.manifold_like[i]
        np.testing.assert_array_equal(group["cset_size"][...], causal_sets.sizes)
        assert group.attrs["note"] == "x"
        assert "cset_type" in group
        assert "nothing" not in group
        assert set(group) == set(group.array_keys()) == set(stacked._arrays)
        assert len(group) == 6
        with pytest.raises(KeyError):
            group["nothing"]


def test_zarr_is_as_before_when_nothing_is_kept_open(stacked, write_groups, causal_sets):
    other = write_groups(causal_sets)
    before = zarr.open_group
    with stacked.kept_open():
        assert isinstance(zarr.open_group(other), zarr.Group)
        assert isinstance(zarr.open_group(stacked.root, path=""), zarr.Group)
        assert not isinstance(zarr.open_group(stacked.root), zarr.Group)
    assert zarr.open_group is before
    with pytest.raises(RuntimeError), stacked.kept_open():
        raise RuntimeError
    assert zarr.open_group is before


def test_groups_are_read_from_a_store_that_is_kept_open(write_groups, causal_sets):
    store = SampleStore(open_store(write_groups(causal_sets)))
    with store.kept_open():
        adjacency = zarr.open_group(store.root)["cset_3"]["adj"][:]
    np.testing.assert_array_equal(adjacency, causal_sets.relations[2].T)


def test_arrays_that_only_zarr_can_read_are_read(tmp_path, causal_sets):
    group = zarr.open_group(tmp_path / "a", mode="w", zarr_format=3)
    expected = causal_sets.stored_adjacency()
    array = group.create_array(
        "adj", shape=expected.shape, dtype="f4", chunks=(1, 12, 12), shards=(4, 12, 12)
    )
    array[...] = expected
    store = SampleStore(open_store(tmp_path / "a"))
    through_zarr = zarr.open_group(store.root)["adj"]
    for i in (0, 5, 3):
        np.testing.assert_array_equal(store["adj"][i], expected[i])
        np.testing.assert_array_equal(through_zarr[i], expected[i])


def test_a_damaged_chunk_is_named_and_spoils_only_its_own_samples(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    (path / "adjacency_matrix" / "1.0.0").write_bytes(b"damaged")
    store = SampleStore(open_store(path))
    expected = causal_sets.stored_adjacency()
    for i in (0, 1, 2, 6):
        np.testing.assert_array_equal(store["adjacency_matrix"][i], expected[i])
    for i in (3, 4, 5):
        with pytest.raises(DataError, match=rf"sample {i}, array 'adjacency_matrix': .*1\.0\.0"):
            store["adjacency_matrix"][i]
