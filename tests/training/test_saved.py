from collections import OrderedDict

import numpy as np
import pytest
import torch

from qgpipe.errors import TrainingError
from qgpipe.training import saved


def content(**more):
    return {"format": 1, "weights": torch.arange(1000.0), **more}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.pt"
    saved.save(path, content(score=np.float64(0.5), names=["a"], nothing=None))
    read = saved.load(path, 1, "checkpoint")
    assert torch.equal(read.pop("weights"), torch.arange(1000.0))
    assert read == {"format": 1, "score": 0.5, "names": ["a"], "nothing": None}
    assert type(read["score"]) is float


def test_equal_content_gives_equal_bytes(tmp_path):
    name = "weight"
    twins = ({"a": name, "b": name}, {"a": name, "b": "".join(["wei", "ght"])})
    for i, twin in enumerate(twins):
        saved.save(tmp_path / f"{i}.pt", content(**twin))
    assert (tmp_path / "0.pt").read_bytes() == (tmp_path / "1.pt").read_bytes()


def test_what_runs_code_when_loaded_is_refused_with_its_place(tmp_path):
    with pytest.raises(TrainingError) as caught:
        saved.save(tmp_path / "a.pt", content(parts={"early_stopping": [1, object()]}))
    assert str(caught.value) == (
        "parts.early_stopping[1] is a object, which a checkpoint cannot hold; "
        "return tensors and plain values from state_dict"
    )
    assert list(tmp_path.iterdir()) == []


def test_mappings_keep_their_kind():
    plain = saved.as_plain({"a": OrderedDict(b=np.arange(2)), "c": (1, np.int64(2))}, "")
    assert plain == {"a": OrderedDict(b=[0, 1]), "c": (1, 2)}
    assert type(plain["a"]) is OrderedDict


@pytest.mark.parametrize("cut", [0, 100, -1000])
def test_a_file_that_is_cut_short_is_damaged(tmp_path, cut):
    path = tmp_path / "a.pt"
    saved.save(path, content())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(saved.DamagedFile, match=r"a\.pt is damaged"):
        saved.load(path, 1, "checkpoint")


def test_a_single_changed_byte_of_a_tensor_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    saved.save(path, content())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(saved.DamagedFile):
        saved.load(path, 1, "checkpoint")


def test_another_format_version_is_not_read(tmp_path):
    saved.save(tmp_path / "a.pt", content())
    message = r"a\.pt is not a checkpoint of format 2 \(found 1\); delete it and train again"
    with pytest.raises(TrainingError, match=message):
        saved.load(tmp_path / "a.pt", 2, "checkpoint")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrainingError, match="no such file"):
        saved.load(tmp_path / "a.pt", 1, "checkpoint")
