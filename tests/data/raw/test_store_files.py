"""Stores that hang, lie or may not be read: one line says what is wrong with which file."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.preprocessing.plan import MOST_PARTS, _ranges, built_in_arguments
from qgpipe.data.quantumgrav.sample_store import SampleStore
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.raw.fingerprint import observe
from qgpipe.data.raw.store_files import read_file, require_plain
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import ConfigError, DataError, ReadingError


@contextmanager
def no_hang(seconds=60):
    """End with an error what waits for ever."""

    def fail(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def replace_by(kind, path):
    path.unlink(missing_ok=True)
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path.name)


KINDS = ["a FIFO", "a folder", "a device", "a link to itself"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path, kind):
    replace_by(kind, tmp_path / "0")
    for read in (read_file, require_plain):
        with no_hang(), pytest.raises(ValueError, match=f"0 is no file but {kind}"):
            read(tmp_path / "0")


def chunk_of(array):
    metadata = {".zarray", ".zattrs", "zarr.json"}
    return next(p for p in sorted(array.rglob("*")) if p.is_file() and p.name not in metadata)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("layout", ["stacked", "groups"])
@pytest.mark.parametrize("where", ["metadata", "chunk"])
def test_a_store_with_one_is_refused_with_its_file(
    write_stacked, write_groups, causal_sets, layout, zarr_format, kind, where
):
    write = write_stacked if layout == "stacked" else write_groups
    path = write(causal_sets, zarr_format=zarr_format)
    array = open_store(path).adjacency()
    file = array.metadata_file if where == "metadata" else chunk_of(array.path)
    replace_by(kind, file)
    with no_hang(), pytest.raises(DataError, match=f"{file.name} is no file but {kind}"):
        CausalSetReader().read(open_store(path), 0, 7)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_state_of_a_store_does_not_wait_for_a_fifo(write_stacked, causal_sets, zarr_format):
    path = write_stacked(causal_sets, zarr_format=zarr_format)
    store = open_store(path)
    replace_by("a FIFO", chunk_of(path / "cset_size"))
    with no_hang(), pytest.raises(DataError, match=r"array 'cset_size': .* is no file but a FIFO"):
        observe(store)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_reader_of_ones_own_does_not_wait_for_a_fifo(write_groups, causal_sets, zarr_format):
    path = write_groups(causal_sets, zarr_format=zarr_format)
    store = SampleStore(open_store(path))
    replace_by("a FIFO", chunk_of(path / "cset_2" / "adj"))
    for group in (zarr.open_group(store.root, mode="r"), store):
        with no_hang(), pytest.raises(DataError, match="is no file but a FIFO"):
            group["cset_2"]["adj"][...]


def change_metadata(path, shape=None, chunks=None, **fields):
    file = path / ".zarray" if (path / ".zarray").exists() else path / "zarr.json"
    node = json.loads(file.read_text())
    if shape is not None:
        node["shape"] = shape
    if chunks is not None and "chunks" in node:
        node["chunks"] = chunks
    elif chunks is not None:
        node["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    file.write_text(json.dumps(node | fields))


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        (None, [10**18, 5, 5]), (None, [1, 10**9, 10**9]), (None, [3, 5, 0]), (None, [3, 5, -5]),
        (None, [3, 5]), (None, "text"), (None, [3, 5, 2.5]), (None, [3, True, 5]),
        ([7, 12, 10**30], None), ([-7, 12, 12], None), ([7, 12], None), ({}, None),
        ([7, 12, float("nan")], None), ([1] * 40, [1] * 40),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layout", ["stacked", "groups"])
def test_a_shape_that_cannot_be_is_refused_with_its_file(
    write_stacked, write_groups, causal_sets, layout, zarr_format, shape, chunks
):
    write = write_stacked if layout == "stacked" else write_groups
    path = write(causal_sets, zarr_format=zarr_format)
    array = path / "adjacency_matrix" if layout == "stacked" else path / "cset_2" / "adj"
    if layout == "groups":
        shape, chunks = (v[1:] if isinstance(v, list) else v for v in (shape, chunks))
        if chunks in ([5, 5], [5]) or shape == [12, 12]:
            pytest.skip("the odd axis is that of the samples")
    change_metadata(array, shape, chunks)
    with no_hang(), pytest.raises(DataError, match=r"write the store again|fix the store") as said:
        CausalSetReader().read(open_store(path), 0, 7)
    assert array.name in str(said.value)


def test_metadata_nested_without_end_is_damaged(write_stacked, causal_sets):
    path = write_stacked(causal_sets, zarr_format=2)
    (path / "cset_size" / ".zarray").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"cset_size/\.zarray is damaged"):
        open_store(path)


def test_more_parts_than_can_be_meant_are_refused():
    assert len(_ranges(MOST_PARTS, 1, "a.zarr")) == MOST_PARTS
    with pytest.raises(ConfigError, match=r"data\.chunksize: a\.zarr has 1,000,000,000 samples"):
        _ranges(10**9, 1000, "a.zarr")


def test_more_samples_than_memory_holds_are_refused(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    for name, shape in {"adjacency_matrix": (6, 6), "in_degree": (6,), "out_degree": (6,),
                        "cset_type": ()}.items():  # fmt: skip
        group.create_array(name, shape=(10**12, *shape), chunks=(10**6, *shape), dtype="i4")
    store = open_store(tmp_path / "a.zarr")
    with no_hang(), pytest.raises(DataError, match=r"more than the memory .*lower data\.chunksize"):
        CausalSetReader().read(store, 0, 10**12)


@pytest.mark.parametrize("count", [-1, 8, 10**9, np.nan, np.inf])
def test_a_number_of_samples_that_cannot_be_is_refused(write_stacked, causal_sets, count):
    from qgpipe.data.raw.arrays import count_samples

    path = write_stacked(causal_sets, changes={"num_samples": np.array([count])})
    with pytest.raises(DataError, match=r"array 'num_samples': says .* samples, but there are 7"):
        count_samples(open_store(path))


def test_no_samples_so_far_give_no_graphs(write_stacked, causal_sets):
    path = write_stacked(causal_sets, attributes={"class_names": ["a", "b", "c"]})
    assert CausalSetReader().read(open_store(path), 0, 0).num_graphs == 0


def test_a_value_that_the_type_of_features_does_not_hold_is_refused(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    values = np.ones((7, 12))
    values[2, 0] = 1e300
    group = zarr.open_group(path, mode="r+")
    del group["max_pathlens_past"]
    group.create_array("max_pathlens_past", data=values)
    with pytest.raises(DataError, match=r"sample 2.*1e\+300 is not finite as float32"):
        CausalSetReader().read(open_store(path), 0, 7)


def test_groups_may_be_numbered_with_zeros_in_front(write_groups, causal_sets):
    path = write_groups(causal_sets)
    expected = CausalSetReader().read(open_store(path), 0, 7)
    for number in range(1, 8):
        (path / f"cset_{number}").rename(path / f"cset_{number:03d}")
    store = open_store(path)
    packed = CausalSetReader().read(store, 0, 7)
    assert np.array_equal(packed.attributes["x"].values, expected.attributes["x"].values)
    assert store.sample_name(1) == "1 (cset_002)"


def test_groups_named_in_two_ways_are_refused(write_groups, causal_sets):
    path = write_groups(causal_sets)
    (path / "cset_7").rename(path / "cset_01")
    with pytest.raises(DataError, match=r"'cset_1' and 'cset_01' are named in different ways"):
        open_store(path)


@pytest.mark.parametrize("number", [1, 3])
def test_a_file_in_place_of_a_group_is_refused(write_groups, causal_sets, number):
    path = write_groups(causal_sets)
    (path / f"cset_{number}").rename(path / "other")
    (path / f"cset_{number}").write_text("text")
    with pytest.raises(DataError, match=f"'cset_{number}' is not a group but a file"):
        open_store(path)


@contextmanager
def ordinary_user():
    """Without the rights of root."""
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("layout", ["stacked", "groups"])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("what", ["store", "array", "metadata", "chunk"])
@pytest.mark.parametrize("skip", [False, True])
def test_what_a_user_may_not_read_is_named_and_never_skipped(
    write_stacked, write_groups, causal_sets, tmp_path, layout, zarr_format, what, skip
):
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name:
            folder.chmod(folder.stat().st_mode | 0o055)
    write = write_stacked if layout == "stacked" else write_groups
    path = write(causal_sets, zarr_format=zarr_format)
    array = path / "adjacency_matrix" if layout == "stacked" else path / "cset_3" / "adj"
    metadata = array / (".zarray" if zarr_format == 2 else "zarr.json")
    file = {"store": path, "array": array, "metadata": metadata, "chunk": chunk_of(array)}[what]
    file.chmod(0)

    with ordinary_user(), pytest.raises(ReadingError) as caught:
        store = open_store(path)
        CausalSetReader().read(store, 0, 7, bad=BadSamples(store, skip))
    said = str(caught.value)
    file.chmod(0o755)
    assert str(file) in said
    assert "ermission" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("target", 5, "the name of an array, or a list of names, got 5"),
        ("node_features", [1], "the name of an array, or a list of names, got [1]"),
        ("graph_features", {"a": 1}, "the name of an array, or a list of names, got {'a': 1}"),
        ("keep", [None], "the name of an array, or a list of names, got [None]"),
        ("adjacency", ["adj"], "the name of an array, or a list of two, got ['adj']"),
        ("size", 2.5, "the name of an array, got 2.5"),
        ("class_names", "abc", "a list of names, got 'abc'"),
        ("class_names", [["a"]], "a list of names, got [['a']]"),
    ],
)
def test_an_argument_of_the_reader_that_is_no_name_is_refused(key, value, expected):
    reader = {"type": "!pyobject qgpipe.CausalSetReader", "kwargs": {key: value}}
    for make in (lambda: CausalSetReader(**{key: value}), lambda: built_in_arguments(reader)):
        with pytest.raises(ConfigError) as said:
            make()
        assert str(said.value).startswith(f"data.reader.kwargs.{key}: expected {expected}; ")


@pytest.mark.parametrize("stored", ["abc", 5, {"a": 1}])
def test_class_names_of_a_store_that_are_no_list_are_refused(write_stacked, causal_sets, stored):
    path = write_stacked(causal_sets, attributes={"class_names": stored})
    with pytest.raises(DataError, match="the attribute class_names is no list of names"):
        CausalSetReader().columns(open_store(path))
