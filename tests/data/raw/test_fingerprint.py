"""When a raw store counts as the one that was read, and when as another."""

import os
import shutil

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import continues, identity, observe


def state(path, known=None):
    return observe(open_store(path), known)


def grow(path, sets):
    """Append ``sets`` to the stacked store at ``path``."""
    group = zarr.open_group(path, mode="r+")
    new = {
        "adjacency_matrix": sets.stored_adjacency(),
        "cset_size": sets.sizes,
        "max_pathlens_future": sets.padded(sets.future),
        "max_pathlens_past": sets.padded(sets.past),
        "cset_type": sets.types,
        "manifold_like": sets.manifold_like,
    }
    for name, array in group.arrays():
        old, values = array.shape[0], new[name]
        array.resize((old + len(sets), *array.shape[1:]))
        corner = tuple(slice(0, n) for n in values.shape[1:])
        array[(slice(old, None), *corner)] = values


@pytest.fixture(params=["stacked 2", "stacked 3", "groups 2", "groups 3"])
def path(request, write_stacked, write_groups, causal_sets):
    layout, zarr_format = request.param.split()
    write = write_stacked if layout == "stacked" else write_groups
    return write(causal_sets, zarr_format=int(zarr_format))


def test_a_store_that_nothing_happened_to_is_the_same(path):
    before = state(path)
    assert state(path) == before
    assert continues(state(path), before)


def test_a_copy_with_new_dates_is_the_same(path, tmp_path):
    copy = tmp_path / "copy.zarr"
    shutil.copytree(path, copy, copy_function=shutil.copy)
    assert continues(state(copy), state(path))
    assert identity(state(copy)) == identity(state(path))


def test_a_digest_is_taken_over_while_size_and_date_stay(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    known = state(path)
    known["files"]["cset_size"]["digest"] = "kept"
    assert state(path, known)["files"]["cset_size"]["digest"] == "kept"
    os.utime(path / "cset_size" / "0")
    assert state(path, known)["files"]["cset_size"]["digest"] != "kept"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_that_was_replaced_is_another_with_the_same_metadata(
    write_stacked, make_sets, zarr_format
):
    sizes = [5, 12, 3, 8, 11, 4, 9]
    before = state(write_stacked(make_sets(sizes), zarr_format=zarr_format))
    after = state(write_stacked(make_sets(sizes, seed=1), zarr_format=zarr_format))
    assert after["metadata"] == before["metadata"]
    assert not continues(after, before)
    assert identity(after) != identity(before)


def test_a_replaced_group_is_another_store(write_groups, make_sets):
    before = state(write_groups(make_sets([5, 12, 3])))
    assert not continues(state(write_groups(make_sets([5, 12, 3], seed=1))), before)


def test_labels_written_anew_make_it_another_store(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    before = state(path)
    group = zarr.open_group(path, mode="r+")
    group["manifold_like"][:] = ~group["manifold_like"][:]
    assert not continues(state(path), before)


def test_another_attribute_makes_it_another_store(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    before = state(path)
    zarr.open_group(path, mode="r+").attrs["class_names"] = ["a", "b", "c"]
    assert not continues(state(path), before)


@pytest.mark.parametrize("chunks", [(1, 12, 12), (3, 5, 5), (100, 12, 12)])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_that_has_grown_is_the_same(write_stacked, make_sets, chunks, zarr_format):
    path = write_stacked(make_sets([5, 12, 3, 8]), chunks=chunks, zarr_format=zarr_format)
    before = state(path)
    grow(path, make_sets([7, 12, 4], seed=1))
    assert state(path)["num_samples"] == 7
    assert continues(state(path), before)


def test_a_shard_with_room_may_be_filled(write_stacked, make_sets):
    path = write_stacked(make_sets([5, 12, 3, 8]), zarr_format=3)
    shutil.rmtree(path / "adjacency_matrix")
    zarr.open_group(path, mode="r+").create_array(
        "adjacency_matrix", data=make_sets([5, 12, 3, 8]).stored_adjacency(),
        chunks=(1, 12, 12), shards=(50, 12, 12),
    )  # fmt: skip
    before = state(path)
    grow(path, make_sets([7, 12], seed=1))
    assert continues(state(path), before)


def test_groups_that_were_added_leave_it_the_same(write_groups, make_sets):
    sets = make_sets([5, 12, 3, 8])
    path = write_groups(sets)
    before = state(path)
    shutil.copytree(path / "cset_1", path / "cset_5")
    assert state(path)["num_samples"] == 5
    assert continues(state(path), before)


def test_a_store_that_grew_and_changed_is_another(write_stacked, make_sets):
    path = write_stacked(make_sets([5, 12, 3, 8]), chunks=(2, 12, 12))
    before = state(path)
    grow(path, make_sets([7, 12, 4], seed=1))
    group = zarr.open_group(path, mode="r+")
    group["manifold_like"][:] = ~group["manifold_like"][:]
    assert not continues(state(path), before)


def test_a_count_of_samples_may_change_only_as_the_store_grows(write_stacked, make_sets):
    path = write_stacked(make_sets([5, 12, 3, 8]), changes={"num_samples": np.array([4])})
    before = state(path)
    zarr.open_group(path, mode="r+")["num_samples"][:] = 3
    assert not continues(state(path), before)


def test_a_store_goes_by_the_name_that_it_first_had(write_stacked, make_sets):
    path = write_stacked(make_sets([5, 12, 3, 8]), chunks=(100, 12, 12))
    before = {**state(path), "identity": "first"}
    grow(path, make_sets([7, 12, 4], seed=1))
    assert identity(state(path), [before]) == "first"
    other = {**before, "metadata": "another", "identity": "other"}
    assert identity(state(path), [other, before]) == "first"


def test_an_array_that_is_all_fill_value_has_no_chunk(write_stacked, make_sets):
    path = write_stacked(make_sets([1, 1, 1]), changes={"adjacency_matrix": np.zeros((3, 1, 1))})
    chunk = next((path / "adjacency_matrix").glob("0*"), None)
    if chunk is not None:
        chunk.unlink()
    assert state(path)["files"]["adjacency_matrix"]["digest"] is None
    assert continues(state(path), state(path))
