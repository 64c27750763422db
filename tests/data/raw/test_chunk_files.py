from __future__ import annotations

import json
import os
import shutil
import stat

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from qgpipe.data.raw.chunk_files import chunk_format
from qgpipe.data.raw.store_files import read_file

ZARR_V3 = [
    zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle"),
    zarr.codecs.ZstdCodec(),
    zarr.codecs.GzipCodec(),
]


def create(path, values, zarr_format=2, **options):
    options = {"chunks": values.shape, **options}
    array = zarr.create_array(
        path, shape=values.shape, dtype=values.dtype, zarr_format=zarr_format, **options
    )
    array[...] = values
    return path


def format_of(path, zarr_format=2):
    name = ".zarray" if zarr_format == 2 else "zarr.json"
    return chunk_format((path / name).read_bytes(), zarr_format)


def rows(path, first=0, last=None, zarr_format=2):
    edge_format = format_of(path, zarr_format)
    return edge_format.read_rows(str(path), first, edge_format.shape[0] if last is None else last)


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 9, (11, 7, 5)).astype("f4")


@pytest.mark.parametrize(
    "compressor",
    [None, numcodecs.Blosc(cname="lz4", shuffle=2), numcodecs.Zlib(1), numcodecs.Zstd(3),
     numcodecs.LZ4()],
)  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_the_second_format_are_read(tmp_path, values, compressor, order):
    options = {"chunks": (4, 3, 5), "order": order, "compressors": compressor}
    path = create(tmp_path / "a", values, **options)
    np.testing.assert_array_equal(rows(path), values)


@pytest.mark.parametrize("codec", [None, *ZARR_V3])
@pytest.mark.parametrize("separator", ["/", "."])
def test_arrays_of_the_third_format_are_read(tmp_path, values, codec, separator):
    keys = {"name": "default", "separator": separator}
    options = {"chunks": (4, 3, 5), "compressors": codec, "chunk_key_encoding": keys}
    path = create(tmp_path / "a", values, 3, **options)
    np.testing.assert_array_equal(rows(path, zarr_format=3), values)


@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f2", "f4", "f8", ">f4", ">i2"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_values_come_in_the_byte_order_of_the_machine(tmp_path, values, dtype, zarr_format):
    path = create(tmp_path / "a", values.astype(dtype), zarr_format)
    found = rows(path, zarr_format=zarr_format)
    np.testing.assert_array_equal(found, values.astype(dtype))
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


@settings(max_examples=25, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    chunk=st.lists(st.integers(1, 12), min_size=3, max_size=3),
    window=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_any_window_of_rows_is_read(tmp_path_factory, shape, chunk, window):
    folder = tmp_path_factory.mktemp("arrays") / "a"
    values = np.arange(np.prod(shape)).reshape(shape)
    create(folder, values, chunks=tuple(map(min, chunk, shape)))
    first, last = sorted(min(end, shape[0]) for end in window)
    np.testing.assert_array_equal(rows(folder, first, last), values[first:last])


@pytest.mark.parametrize(("fill", "expected"), [(0, 0), (None, 0), (2.5, 2.5), (np.nan, np.nan)])
def test_a_missing_chunk_holds_the_fill_value(tmp_path, values, fill, expected):
    path = create(tmp_path / "a", values, chunks=(4, 7, 5), fill_value=fill)
    (path / "1.0.0").unlink()
    found = rows(path)
    np.testing.assert_array_equal(found[4:8], np.full((4, 7, 5), expected))
    np.testing.assert_array_equal(found[:4], values[:4])


def test_a_single_chunk_may_be_larger_than_the_array(tmp_path):
    path = create(tmp_path / "a", np.arange(4), chunks=(100,))
    edge_format = format_of(path)
    assert edge_format.is_single
    assert edge_format.only_key == "0"
    assert rows(path).tolist() == [0, 1, 2, 3]


def test_a_number_is_a_single_chunk(tmp_path):
    for zarr_format, key in ((2, "0"), (3, "c")):
        path = create(tmp_path / str(zarr_format), np.array(7.0), zarr_format)
        edge_format = format_of(path, zarr_format)
        assert (edge_format.is_single, edge_format.only_key) == (True, key)
        assert edge_format.decode(read_file(f"{path}/{key}")) == 7


@pytest.mark.parametrize(
    ("zarr_format", "options"),
    [
        (3, {"chunks": (2, 7, 5), "shards": (4, 7, 5)}),
        (3, {"filters": [zarr.codecs.TransposeCodec(order=(2, 1, 0))]}),
        (2, {"filters": [numcodecs.Delta("f4")]}),
    ],
)
def test_unusual_ways_to_store_are_left_to_others(tmp_path, values, zarr_format, options):
    path = create(tmp_path / "a", values, zarr_format, **options)
    assert format_of(path, zarr_format) is None


def test_an_unknown_codec_is_left_to_others(tmp_path, values):
    path = create(tmp_path / "a", values)
    node = json.loads((path / ".zarray").read_bytes())
    node["compressor"] = {"id": "secret"}
    assert chunk_format(json.dumps(node).encode(), 2) is None


@pytest.mark.parametrize(
    "compressor", [None, numcodecs.Blosc(), numcodecs.Zlib(), numcodecs.Zstd()]
)
@pytest.mark.parametrize("kept", [0, 5, 17, -1])
def test_a_chunk_that_is_cut_off_is_named(tmp_path, values, compressor, kept):
    path = create(tmp_path / "a", values, compressors=compressor)
    chunk = path / "0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r'Error decoding chunk ".*0\.0\.0": '):
        rows(path)


@pytest.mark.parametrize("metadata", [b"", b"{", b"[]", b"{}", b'{"shape": 3}'])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_damaged_metadata_is_an_error(metadata, zarr_format):
    with pytest.raises(ValueError):
        chunk_format(metadata, zarr_format)


def test_a_file_that_is_not_there_has_no_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_file(f"{tmp_path}/a") == b"abc"
    assert read_file(f"{tmp_path}/b") is None
    assert read_file(f"{tmp_path}/a/b") is None
    shutil.rmtree(tmp_path)
    assert read_file(f"{tmp_path}/a") is None


def test_a_file_that_comes_in_pieces_is_read_to_its_end(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(range(10)))
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, count: read(descriptor, min(count, 4)))
    assert read_file(f"{tmp_path}/a") == bytes(range(10))


def test_a_file_that_ends_early_has_the_bytes_that_are_there(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"abc")
    longer = os.stat_result((stat.S_IFREG, *(0,) * 5, 9, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda descriptor: longer)
    assert read_file(f"{tmp_path}/a") == b"abc"
