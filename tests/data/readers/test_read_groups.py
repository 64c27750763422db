from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.readers import group_files, read_groups
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import DataError


def read(path, start=0, stop=None, threads=1, validate=True, **names):
    store = open_store(path)
    stop = store.num_samples if stop is None else stop
    return CausalSetReader(**names).read(store, start, stop, validate=validate, threads=threads)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["bool", "u1", "f4"])
def test_edges_point_from_past_to_future(write_groups, causal_sets, adjacency, zarr_format, dtype):
    packed = read(write_groups(causal_sets, zarr_format=zarr_format, dtype=dtype))
    np.testing.assert_array_equal(packed.sizes, causal_sets.sizes)
    for i, relations in enumerate(causal_sets.relations):
        np.testing.assert_array_equal(adjacency(packed, i), relations)


def test_features_and_targets_follow_their_graphs(write_groups, causal_sets):
    packed = read(write_groups(causal_sets), graph_features="manifold_like")
    x = np.stack([np.concatenate(causal_sets.future), np.concatenate(causal_sets.past)], axis=1)
    np.testing.assert_array_equal(packed.attributes["x"].values, x)
    y = packed.attributes["y"]
    assert (y.scalar, y.values.dtype) == (True, np.int64)
    np.testing.assert_array_equal(y.values, causal_sets.types)
    features = packed.attributes["graph_features"].values
    np.testing.assert_array_equal(features[:, 0], causal_sets.manifold_like)


def test_both_layouts_give_the_same_graphs(write_groups, write_stacked, causal_sets):
    grouped, stacked = read(write_groups(causal_sets)), read(write_stacked(causal_sets))
    np.testing.assert_array_equal(grouped.edges.bits, stacked.edges.bits)
    for name, attribute in stacked.attributes.items():
        np.testing.assert_array_equal(grouped.attributes[name].values, attribute.values)


def test_groups_come_in_the_order_of_their_numbers(write_groups, causal_sets):
    numbers = [100, 2, 10, 1, 30, 3, 20]
    packed = read(write_groups(causal_sets, numbers=numbers))
    assert packed.sample_index.tolist() == [0, 1, 2, 3, 4, 5, 6]
    order = np.argsort(numbers)
    np.testing.assert_array_equal(packed.sizes, causal_sets.sizes[order])
    np.testing.assert_array_equal(packed.attributes["y"].values, causal_sets.types[order])


def test_a_part_is_a_range_of_groups(write_groups, causal_sets, adjacency):
    packed = read(write_groups(causal_sets), 2, 5)
    assert packed.sample_index.tolist() == [2, 3, 4]
    for i in range(3):
        np.testing.assert_array_equal(adjacency(packed, i), causal_sets.relations[2 + i])


def test_an_empty_part_has_its_attributes(write_groups, causal_sets):
    packed = read(write_groups(causal_sets), 3, 3, graph_features="manifold_like")
    assert packed.num_graphs == 0
    assert packed.attributes["x"].values.shape == (0, 2)
    assert packed.attributes["y"].values.shape == (0,)
    assert packed.attributes["graph_features"].values.shape == (0, 1)


def test_many_groups_are_read_in_batches(write_groups, causal_sets, adjacency, monkeypatch):
    path = write_groups(causal_sets)
    whole = read(path)
    monkeypatch.setattr(group_files, "AT_ONCE", 3)
    monkeypatch.setattr(group_files, "IN_TASK", 2)
    monkeypatch.setattr(read_groups, "BLOCK_BYTES", 2 * 64 * 64)
    batched = read(path, threads=2)
    np.testing.assert_array_equal(batched.edges.bits, whole.edges.bits)
    np.testing.assert_array_equal(batched.edges.ptr, whole.edges.ptr)
    for name, attribute in whole.attributes.items():
        np.testing.assert_array_equal(batched.attributes[name].values, attribute.values)


@pytest.mark.parametrize("fill_value", [0, None])
def test_an_absent_chunk_holds_the_fill_value(write_groups, causal_sets, fill_value):
    path = write_groups(causal_sets, fill_value=fill_value)
    (path / "cset_2" / "adj" / "0.0").unlink()
    (path / "cset_3" / "max_pathlens_past" / "0").unlink()
    packed = read(path)
    assert packed.edges.num_edges[1] == 0
    assert packed.sizes[1] == 12
    assert not packed.attributes["x"].values[17:20, 1].any()


def test_arrays_cut_into_several_chunks_are_read(tmp_path, make_sets, adjacency):
    sets = make_sets([20])
    array = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2).create_array(
        "cset_1/adj", shape=(20, 20), chunks=(7, 7), dtype="u1"
    )
    array[...] = sets.relations[0].T
    packed = read(tmp_path / "a.zarr", node_features=[], target=[])
    np.testing.assert_array_equal(adjacency(packed, 0), sets.relations[0])


def test_nan_path_lengths_are_read_as_zero(write_groups, causal_sets):
    causal_sets.future[0][1] = np.nan
    packed = read(write_groups(causal_sets))
    assert packed.attributes["x"].values[1].tolist() == [0, causal_sets.past[0][1]]


def test_a_missing_array_names_group_and_file(write_groups, causal_sets):
    path = write_groups(causal_sets)
    shutil.rmtree(path / "cset_5" / "cset_type")
    with pytest.raises(
        DataError,
        match=r"array 'cset_type': cannot be read: .*cset_5/cset_type.*; every causal",
    ):
        read(path)


def test_a_damaged_chunk_names_its_file(write_groups, causal_sets):
    path = write_groups(causal_sets)
    (path / "cset_4" / "adj" / "0.0").write_bytes(b"nonsense")
    with pytest.raises(
        DataError, match=r"sample 3 \(cset_4\), array 'adj': cannot be read: .*cset_4/adj/0\.0"
    ):
        read(path)


def replace(path, group, name, values):
    shutil.rmtree(path / group / name, ignore_errors=True)
    zarr.open_group(path, mode="r+").create_array(f"{group}/{name}", data=np.asarray(values))


def test_an_array_of_another_length_is_named(write_groups, causal_sets):
    path = write_groups(causal_sets)
    replace(path, "cset_3", "max_pathlens_past", np.zeros(4, "f4"))
    with pytest.raises(
        DataError,
        match=r"sample 2 \(cset_3\), array 'max_pathlens_past': expected shape \(3,\), got \(4,\)",
    ):
        read(path)


def test_a_matrix_that_is_not_square_is_named(write_groups, causal_sets):
    path = write_groups(causal_sets)
    replace(path, "cset_7", "adj", np.zeros((9, 8), "u1"))
    with pytest.raises(DataError, match=r"\(cset_7\), array 'adj': expected shape \(n, n\), got"):
        read(path)


def test_a_relation_that_is_neither_zero_nor_one_is_named(write_groups, causal_sets):
    path = write_groups(causal_sets)
    zarr.open_group(path, mode="r+")["cset_5/adj"][10, 4] = 3
    with pytest.raises(
        DataError, match=r"sample 4 \(cset_5\), array 'adj': .* entry \[10, 4\] is 3"
    ):
        read(path)
    assert read(path, validate=False).num_graphs == 7


def test_elements_that_precede_each_other_are_named(write_groups, causal_sets):
    path = write_groups(causal_sets)
    zarr.open_group(path, mode="r+")["cset_2/adj"].set_coordinate_selection(([1, 8], [8, 1]), 1)
    with pytest.raises(DataError, match=r"\(cset_2\), .*elements 1 and 8 precede each other"):
        read(path)


def test_integers_in_the_first_group_do_not_truncate_those_that_follow(write_groups, causal_sets):
    path = write_groups(causal_sets)
    values = [2, 3, 2.5, 4]
    for number in range(1, 8):
        replace(path, f"cset_{number}", "dimension", np.asarray(values[(number - 1) % 4]))
    with pytest.raises(DataError) as error:
        read(path, target="dimension")
    assert str(error.value).startswith(
        f"{path}, sample 2 (cset_3), array 'dimension': expected integers, as in the first causal "
        "set (int64), got float64"
    )


def test_whole_numbers_may_be_written_as_floats(write_groups, causal_sets):
    path = write_groups(causal_sets)
    for number in range(1, 8):
        replace(
            path, f"cset_{number}", "dimension", np.asarray(2 if number == 1 else float(number))
        )
    y = read(path, target="dimension").attributes["y"]
    assert y.values.tolist() == [2, 2, 3, 4, 5, 6, 7]
    assert y.values.dtype == np.int64


def test_complex_numbers_in_a_later_group_are_named(write_groups, causal_sets):
    path = write_groups(causal_sets)
    replace(path, "cset_3", "manifold_like", np.asarray([1j]))
    with pytest.raises(
        DataError, match=r"sample 2 \(cset_3\), array 'manifold_like': expected num"
    ):
        read(path, graph_features="manifold_like")
