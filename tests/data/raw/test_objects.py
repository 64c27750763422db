"""Stores on servers and in zip files, read from servers on loopback."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import identity, observe
from qgpipe.data.raw.objects import ObjectPath, store_path
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import DataError, ReadingError


@pytest.fixture(params=["stacked", "groups"])
def folder(request, causal_sets, write_stacked, write_groups) -> Path:
    write = write_stacked if request.param == "stacked" else write_groups
    return write(causal_sets, "sets.zarr")


def packed(folder: Path) -> Path:
    target = folder.with_name("sets.zarr.zip")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return target


def assert_same_samples(path: str | Path, folder: Path) -> None:
    reader = CausalSetReader()
    ours, theirs = open_store(path), open_store(folder)
    assert (ours.layout, ours.num_samples) == (theirs.layout, theirs.num_samples)
    found, expected = (reader.read(store, 0, store.num_samples) for store in (ours, theirs))
    np.testing.assert_array_equal(found.edges.bits, expected.edges.bits)
    for name, attribute in expected.attributes.items():
        np.testing.assert_array_equal(found.attributes[name].values, attribute.values)


def content(path: str) -> str:
    return identity(observe(open_store(path)))


def test_a_url_is_joined_like_a_path():
    path = store_path("s3://bucket/folder/a.zarr/")
    assert str(path / "adj" / "0.0") == "s3://bucket/folder/a.zarr/adj/0.0"
    assert (path / "adj").parent == path
    assert path.name == "a.zarr"
    assert path.is_absolute()
    assert path.resolve() == path
    assert not isinstance(store_path("data/a.zarr"), ObjectPath)


def test_a_zip_file_holds_the_same_samples(folder):
    assert_same_samples(packed(folder), folder)


def test_any_change_within_a_zip_file_is_noticed_and_a_copy_is_not(folder, tmp_path):
    archive = packed(folder)
    before = content(archive)
    copy = shutil.copy(archive, tmp_path / "copy.zip")
    assert content(copy) == before
    names = sorted(f for f in folder.rglob("*") if f.is_file() and f.name[0].isdigit())
    names[-1].write_bytes(names[-1].read_bytes()[:-1] + b"?")
    assert content(packed(folder)) != before


def test_what_is_no_zip_file_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"nothing" * 20)
    with pytest.raises(DataError, match=r"a\.zip: is no zip file.*pack the store again"):
        open_store(tmp_path / "a.zip")


def test_an_object_store_holds_the_same_samples(folder, object_store):
    assert_same_samples(object_store.upload(folder), folder)


def test_a_zip_file_in_an_object_store_holds_the_same_samples(folder, object_store):
    assert_same_samples(object_store.upload(packed(folder)), folder)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_consolidated_metadata_is_the_list_of_objects(
    zarr_format, causal_sets, write_groups, web_server
):
    folder = write_groups(causal_sets, zarr_format=zarr_format)
    zarr.consolidate_metadata(folder)
    assert_same_samples(web_server(folder), folder)


def test_a_zip_file_on_a_web_server_holds_the_same_samples(folder, web_server):
    assert_same_samples(web_server(packed(folder)), folder)


def test_a_web_server_needs_consolidated_metadata(folder, web_server):
    with pytest.raises(DataError, match="consolidate_metadata writes it"):
        open_store(web_server(folder))


def test_a_changed_object_is_noticed_and_one_that_was_written_again_is_not(folder, object_store):
    url = object_store.upload(folder)
    before = observe(open_store(url))
    object_store.upload(folder)
    assert observe(open_store(url), before) == before
    array = min(folder.rglob("*manifold_like"))
    changed = min(file for file in array.iterdir() if file.name[0].isdigit())
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    object_store.upload(folder)
    assert identity(observe(open_store(url), before)) != identity(before)


def test_an_unchanged_object_is_not_read_again(folder, object_store):
    url = object_store.upload(folder)
    before = observe(open_store(url))
    object_store.answers.clear()
    observe(open_store(url), before)
    written = [file for file in before["files"].values() if file["digest"] is not None]
    assert object_store.answers.count(304) == len(written)


def test_a_bucket_that_is_not_there_is_an_error_of_one_line(object_store):
    with pytest.raises(
        DataError, match=r"s3://nowhere/a\.zarr.*: there is no such bucket"
    ) as error:
        open_store("s3://nowhere/a.zarr")
    assert "\n" not in str(error.value)


def test_a_store_that_is_not_there_is_an_error_of_one_line(object_store, web_server, folder):
    url = object_store.upload(folder)
    with pytest.raises(DataError, match=r"no such store; check data\.files"):
        open_store(f"{url}.other")
    with pytest.raises(DataError, match=r"no zarr store"):
        open_store(f"{web_server(folder)}.other")


def test_missing_credentials_are_an_error_of_one_line(folder, object_store, monkeypatch):
    url = object_store.upload(folder)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ReadingError, match="refuses access; check the bucket, and AWS_ACCESS_KEY"):
        open_store(url)


def test_a_server_that_is_gone_is_an_error_of_one_line(folder, object_store, monkeypatch):
    url = object_store.upload(folder)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ReadingError, match=r"does not answer.*see to http://127.0.0.1:9, then"):
        open_store(url)


def test_a_server_that_goes_while_samples_are_read_leaves_none_out(
    folder, object_store, monkeypatch
):
    store = open_store(object_store.upload(folder))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ReadingError, match="does not answer"):
        CausalSetReader().read(store, 0, store.num_samples)


def test_a_server_that_never_answers_is_an_error_of_one_line(silent_server):
    with pytest.raises(ReadingError, match="does not answer"):
        open_store(f"{silent_server}/a.zarr")
