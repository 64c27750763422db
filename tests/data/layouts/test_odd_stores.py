"""Stores as other programs write them: no root group, subgroups, unusual spellings of types."""

import json

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.data.readers.sample_reader import SampleStore
from qgpipe.errors import DataError

LAYOUTS = pytest.mark.parametrize("layout", ["stacked", "groups"])
FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


@pytest.fixture
def write(layout, zarr_format, causal_sets, write_stacked, write_groups):
    chosen = write_stacked if layout == "stacked" else write_groups
    return lambda **options: chosen(causal_sets, zarr_format=zarr_format, **options)


def read(path, **kwargs):
    store = open_store(path)
    return CausalSetReader(**kwargs).read(store, 0, store.num_samples)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.edges.bits, expected.edges.bits)
    for name, attribute in expected.attributes.items():
        np.testing.assert_array_equal(found.attributes[name].values, attribute.values)


@LAYOUTS
@FORMATS
def test_a_store_needs_no_root_group(write):
    path = write()
    expected = read(path)
    for name in (".zgroup", "zarr.json", ".zattrs"):
        (path / name).unlink(missing_ok=True)
    assert_same(read(path), expected)


@FORMATS
@pytest.mark.parametrize("layout", ["groups"])
def test_the_groups_need_no_metadata_either(write):
    path = write()
    expected = read(path)
    for file in [*path.glob("*.*"), *path.glob("cset_*/*.*"), *path.rglob(".zgroup")]:
        if file.is_file():
            file.unlink()
    assert_same(read(path), expected)


@FORMATS
@pytest.mark.parametrize("layout", ["stacked"])
def test_a_reader_of_ones_own_reads_a_store_without_a_root_group(write):
    path = write()
    for name in (".zgroup", "zarr.json", ".zattrs"):
        (path / name).unlink(missing_ok=True)
    store = SampleStore(open_store(path))
    assert store["cset_size"][1] == 12
    assert zarr.open_group(store.root, mode="r")["cset_size"][1] == 12


def test_a_folder_without_arrays_is_no_store(tmp_path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    with pytest.raises(DataError, match="not a zarr store"):
        open_store(tmp_path)


@LAYOUTS
@FORMATS
def test_arrays_in_subgroups_are_named_with_a_slash(write, layout, zarr_format):
    path = write()
    expected = read(path)
    group = zarr.open_group(path, mode="r+")
    inside = [group] if layout == "stacked" else [each for _, each in group.groups()]
    for each in inside:
        features = each.create_group("features").create_group("paths")
        for name in ("max_pathlens_future", "max_pathlens_past"):
            values = each[name][...]
            features.create_array(name, data=values, chunks=values.shape)
            del each[name]
    names = [f"features/paths/max_pathlens_{which}" for which in ("future", "past")]
    assert_same(read(path, node_features=names), expected)
    store = open_store(path)
    assert CausalSetReader(node_features=names).describe(store)["node_features"] == names
    with pytest.raises(DataError, match="did you mean 'features/paths/max_pathlens_past'"):
        read(path, node_features=["feature/paths/max_pathlens_past"])


@LAYOUTS
@pytest.mark.parametrize("zarr_format", [2])
@pytest.mark.parametrize("order", ["<", "|"])
def test_types_of_one_byte_may_be_spelt_with_a_byte_order(write, order):
    path = write(dtype="u1")
    expected = read(path, target="manifold_like")
    for file in path.rglob(".zarray"):
        node = json.loads(file.read_text())
        if node["dtype"] in ("|u1", "|b1"):
            node["dtype"] = order + node["dtype"][1:]
            file.write_text(json.dumps(node))
    assert_same(read(path, target="manifold_like"), expected)
    assert bool(zarr.open_group(SampleStore(open_store(path)).root, mode="r"))


@FORMATS
@pytest.mark.parametrize("layout", ["groups"])
def test_a_reader_of_ones_own_reads_groups_without_metadata(write, causal_sets):
    path = write()
    for file in [*path.glob("*.*"), *path.glob("cset_*/*.*"), *path.rglob(".zgroup")]:
        if file.is_file():
            file.unlink()
    store = SampleStore(open_store(path))
    for root in (store, zarr.open_group(store.root, mode="r")):
        assert root["cset_2"]["adj"].shape == (12, 12)
