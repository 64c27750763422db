import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qgpipe.errors import DataError, DiskFullError, TrainingError
from qgpipe.system import tensor_files


def content(**more):
    return {"format": 1, "weights": torch.arange(1000.0), **more}


def load(path):
    return tensor_files.load(path, 1, "checkpoint")


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.pt"
    tensor_files.save(path, content(score=np.float64(0.5), names=["a"], nothing=None))
    read = load(path)
    assert torch.equal(read.pop("weights"), torch.arange(1000.0))
    assert read == {"format": 1, "score": 0.5, "names": ["a"], "nothing": None}
    assert type(read["score"]) is float


def test_equal_content_gives_equal_bytes(tmp_path):
    name = "weight"
    twins = ({"a": name, "b": name}, {"a": name, "b": "".join(["wei", "ght"])})
    for i, twin in enumerate(twins):
        tensor_files.save(tmp_path / f"{i}.pt", content(**twin))
    assert (tmp_path / "0.pt").read_bytes() == (tmp_path / "1.pt").read_bytes()


def test_what_runs_code_when_loaded_is_not_written(tmp_path):
    with pytest.raises(TrainingError) as caught:
        tensor_files.save(tmp_path / "a.pt", content(parts={"early_stopping": [1, object()]}))
    assert str(caught.value) == (
        "parts.early_stopping[1] is a object, which a file of ours cannot hold; "
        "return tensors and plain values from state_dict"
    )
    assert list(tmp_path.iterdir()) == []


def test_mappings_keep_their_kind():
    plain = tensor_files.as_plain({"a": OrderedDict(b=np.arange(2)), "c": (1, np.int64(2))}, "")
    assert plain == {"a": OrderedDict(b=[0, 1]), "c": (1, 2)}
    assert type(plain["a"]) is OrderedDict


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_in_the_place_of_a_file_is_refused_and_not_run(tmp_path, protocol):
    path, trap = tmp_path / "a.pt", tmp_path / "trap"
    path.write_bytes(pickle.dumps(Planted(trap), protocol=protocol))
    with pytest.raises(tensor_files.CodeInFile, match=r"a\.pt holds code, which is never run"):
        load(path)
    assert not trap.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_within_a_file_is_refused_and_not_run(tmp_path, legacy):
    path, trap = tmp_path / "a.pt", tmp_path / "trap"
    torch.save(content(more=Planted(trap)), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(tensor_files.CodeInFile) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path} holds code, which is never run; "
        "find out where it comes from: no checkpoint of ours holds any"
    )
    assert not trap.exists()


@pytest.mark.parametrize("cut", [0, 100, -1000])
def test_a_file_that_is_cut_short_is_damaged(tmp_path, cut):
    path = tmp_path / "a.pt"
    tensor_files.save(path, content())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(tensor_files.DamagedFile, match=r"a\.pt is damaged"):
        load(path)


def test_a_single_changed_byte_of_a_tensor_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    tensor_files.save(path, content())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(tensor_files.DamagedFile):
        load(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=3))
def test_changed_bytes_are_noticed_or_make_no_difference(tmp_path, changes):
    data = bytearray(tensor_files.to_bytes(content(names=["a", "b"])))
    for place, change in changes:
        data[place % len(data)] ^= change
    (tmp_path / "a.pt").write_bytes(data)
    try:
        read = load(tmp_path / "a.pt")
    except DataError:
        return
    assert torch.equal(read.pop("weights"), torch.arange(1000.0))
    assert read == {"format": 1, "names": ["a", "b"]}


def test_another_format_version_is_not_read(tmp_path):
    tensor_files.save(tmp_path / "a.pt", content())
    message = r"a\.pt is a checkpoint of format 1, this version reads 2; delete it and train again"
    with pytest.raises(DataError, match=message):
        tensor_files.load(tmp_path / "a.pt", 2, "checkpoint")


def test_a_file_of_other_content_is_none_of_ours(tmp_path):
    torch.save({"weights": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt is not a checkpoint"):
        load(tmp_path / "a.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such file: .*a\.pt"):
        load(tmp_path / "a.pt")


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_old_one(tmp_path, full_disk):
    path = full_disk(300_000) / "a.pt"
    tensor_files.save(path, content())
    before = path.read_bytes()
    with pytest.raises(DiskFullError, match=r"a\.pt: .*no space is left"):
        tensor_files.save(path, content(more=torch.zeros(100_000)))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.pt"]
