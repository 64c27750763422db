import logging

import pytest
import torch

from qgpipe.errors import TrainingError
from qgpipe.training import checkpoint
from qgpipe.training.checkpoint import CheckpointFolder


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "abc", "abc")


def state(epoch, step=0):
    return {"epoch": epoch, "step": step, "parts": {"model": {"w": torch.ones(epoch + 1)}}}


def position(loaded):
    return loaded["epoch"], loaded["step"]


def test_an_empty_folder_has_no_checkpoint(folder):
    assert folder.load(num_epochs=5) is None


def test_the_newest_checkpoint_is_loaded(folder):
    folder.save(state(1))
    folder.save(state(1, step=7))
    assert position(folder.load(5)) == (1, 7)
    assert folder.position == (1, 7)


def test_the_one_before_is_kept(folder):
    folder.save(state(1))
    folder.save(state(2))
    assert torch.load(folder.previous, weights_only=True)["epoch"] == 1


def test_a_damaged_one_is_passed_over_with_a_warning(folder, caplog):
    folder.save(state(1))
    folder.save(state(2))
    folder.last.write_bytes(folder.last.read_bytes()[:200])
    with caplog.at_level(logging.WARNING):
        assert position(folder.load(5)) == (1, 0)
    assert "last.pt is damaged" in caplog.text
    assert "going back to the checkpoint before it" in caplog.text


def test_with_all_damaged_there_is_none(folder):
    folder.save(state(1))
    folder.last.write_bytes(b"")
    assert folder.load(5) is None


def test_a_killed_rotation_leaves_the_one_before(folder):
    folder.save(state(1))
    folder.last.rename(folder.previous)
    assert position(folder.load(5)) == (1, 0)


def test_epochs_are_kept_when_asked_for(folder):
    folder.save(state(4))
    folder.save(state(5), keep=True)
    assert sorted(f.name for f in folder.folder.iterdir()) == [
        "epoch_0005.pt",
        "last.pt",
        "previous.pt",
    ]


def test_a_run_of_fewer_epochs_goes_back_to_one_it_reaches(folder):
    folder.save(state(2), keep=True)
    folder.save(state(4), keep=True)
    folder.save(state(6))
    folder.save(state(7))
    assert position(folder.load(7)) == (7, 0)
    assert position(folder.load(5)) == (4, 0)
    assert position(folder.load(3)) == (2, 0)
    assert folder.load(1) is None


def test_steps_beyond_the_last_epoch_do_not_count(folder):
    folder.save(state(3))
    folder.save(state(3, step=1))
    assert position(folder.load(3)) == (3, 0)
    assert position(folder.load(4)) == (3, 1)


def test_checkpoints_of_another_training_are_refused(folder, tmp_path):
    folder.save(state(1))
    (tmp_path / "abc").rename(tmp_path / "xyz")
    with pytest.raises(TrainingError, match="belongs to another training \\(abc\\)"):
        CheckpointFolder(tmp_path / "xyz", "xyz").load(5)


def test_another_format_version_is_a_clear_error(folder, monkeypatch):
    folder.save(state(1))
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    with pytest.raises(TrainingError, match="not a checkpoint of format 99"):
        folder.load(5)


def test_remains_of_a_killed_process_are_removed(folder):
    folder.save(state(1))
    remains = folder.folder / ".last.pt.4711.tmp"
    remains.write_bytes(b"half")
    CheckpointFolder(folder.folder, "abc")
    assert not remains.exists()
    assert folder.last.exists()


def test_checkpoints_take_a_small_share_of_the_time(folder, monkeypatch):
    now = 0.0
    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: now)
    assert folder.is_due()
    assert not folder.is_due(mid_epoch=True)
    writing = iter([0.0, 2.0])  # the first takes two seconds
    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: next(writing))
    folder.save(state(1))
    for now, due in ((2.0, False), (101.0, False), (103.0, True)):  # 2 % of the time: 100 s later
        monkeypatch.setattr(checkpoint.time, "perf_counter", lambda now=now: now)
        assert folder.is_due() is due
        assert folder.is_due(mid_epoch=True) is due
