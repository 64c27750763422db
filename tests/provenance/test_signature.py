"""Records that this user has written count as made here, and no others."""

import json
import shutil
import stat

import pytest

from qgpipe.provenance.record import Job, made_here, recorded
from qgpipe.provenance.signature import key_file


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def artifact(tmp_path):
    made = [tmp_path / "run" / "model.pt", tmp_path / "run" / "config.yaml"]
    made[0].parent.mkdir()
    with recorded(Job("train", made, [], {"lr": float("inf"), 1: "number"})):
        for file in made:
            file.write_text(file.name)
    return made[0]


def record_of(artifact):
    return artifact.with_name("train.provenance.json")


def change(artifact, **values):
    content = json.loads(record_of(artifact).read_text())
    record_of(artifact).write_text(json.dumps({**content, **values}))


def test_what_a_job_has_made_was_made_here(artifact):
    assert made_here(artifact)


def test_the_key_is_for_its_user_alone(artifact):
    assert key_file().stat().st_size == 32
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert [file.name for file in key_file().parent.iterdir()] == ["key"]


def test_the_key_stays_the_same(artifact, tmp_path):
    key = key_file().read_bytes()
    with recorded(Job("split", [tmp_path / "other"], [], {})):
        (tmp_path / "other").touch()
    assert key_file().read_bytes() == key
    assert made_here(artifact)


def test_a_changed_artifact_was_not(artifact):
    artifact.write_text("other")
    assert not made_here(artifact)


@pytest.mark.parametrize(
    "values",
    [
        {"config_file": "elsewhere/run.yaml"},
        {"outputs": {"model.pt": "sha256:0"}},
        {"signature": None},
        {"signature": "0" * 64},
        {"signature": "ü"},
        {"extra": 1},
    ],
)
def test_a_changed_record_counts_for_nothing(artifact, values):
    change(artifact, **values)
    assert not made_here(artifact)


def test_a_fitting_record_of_someone_else_counts_for_nothing(artifact, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    assert not made_here(artifact)  # there is no key
    with recorded(Job("split", [tmp_path / "other"], [], {})):
        (tmp_path / "other").touch()
    assert not made_here(artifact)  # there is another


def test_a_copy_in_another_place_was_not_made_here(artifact, tmp_path):
    shutil.copytree(artifact.parent, tmp_path / "copy")
    assert not made_here(tmp_path / "copy" / "model.pt")


def test_without_a_place_for_a_key_records_are_unsigned(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with recorded(Job("split", [tmp_path / "a"], [], {})):
        (tmp_path / "a").touch()
    assert "signature" not in json.loads((tmp_path / "a.provenance.json").read_text())
    assert not made_here(tmp_path / "a")
