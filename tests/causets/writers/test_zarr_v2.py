from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from qgpipe.causets.writers.zarr_v2 import create_array, create_group, write_array, write_chunks

ARRAYS = [
    np.arange(35, dtype=np.float32).reshape(5, 7),
    np.arange(-3, 9, dtype=np.int64),
    np.array([True, False, True]),
    (np.arange(60, dtype=np.uint8) % 3).reshape(3, 4, 5),
    np.array([np.nan, 0.0, np.inf], np.float32),
]


@pytest.mark.parametrize("values", ARRAYS, ids=lambda a: f"{a.dtype}-{a.ndim}d")
def test_zarr_reads_back_what_was_written(values, tmp_path):
    write_array(tmp_path / "a", values, (2, 3, 4)[: values.ndim])
    array = zarr.open_array(tmp_path / "a", mode="r")
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array[...], values)


def test_the_metadata_is_that_of_the_julia_package(tmp_path):
    write_array(tmp_path / "a", np.ones((3, 2), np.uint8), (2, 2))
    assert json.loads((tmp_path / "a/.zarray").read_text()) == {
        "zarr_format": 2,
        "shape": [3, 2],
        "chunks": [2, 2],
        "dtype": "|u1",
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 9, "shuffle": 2, "blocksize": 0},
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": ".",
    }
    assert (tmp_path / "a/.zattrs").read_text() == "{}"


def test_a_chunk_of_zeros_is_left_out(tmp_path):
    values = np.zeros((4, 4), np.float32)
    values[3, 0] = 1
    write_array(tmp_path / "a", values, (2, 2))
    chunks = {p.name for p in (tmp_path / "a").iterdir() if not p.name.startswith(".")}
    assert chunks == {"1.0"}
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a", mode="r")[...], values)


def test_chunks_can_be_written_in_any_order(tmp_path):
    values = np.arange(1, 11, dtype=np.int64)
    create_array(tmp_path / "a", (10,), (4,), values.dtype)
    for first in (2, 0, 1):
        write_chunks(tmp_path / "a", values[4 * first : 4 * first + 4], (4,), first)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a", mode="r")[...], values)


def test_a_group_keeps_its_attributes(tmp_path):
    create_group(tmp_path / "g", {"class_names": ["a", "b"]})
    create_group(tmp_path / "g/inner")
    group = zarr.open_group(tmp_path / "g", mode="r")
    assert dict(group.attrs) == {"class_names": ["a", "b"]}
    assert dict(group["inner"].attrs) == {}
