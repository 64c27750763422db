import itertools
import logging
import os
from pathlib import Path

import pytest
import torch

from qgpipe.errors import DataError, DiskFullError, TrainingError
from qgpipe.stages.fingerprint import Trajectory
from qgpipe.system import files
from qgpipe.system.tensor_files import CodeInFile
from qgpipe.training.checkpoints import checkpoint
from qgpipe.training.checkpoints.checkpoint import CheckpointFolder

OURS = Trajectory(config="c" * 64, data="d" * 64, split="s" * 64)


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "abc", OURS)


def state(epoch, step=0):
    return {"epoch": epoch, "step": step, "parts": {"model": {"w": torch.ones(epoch + 1)}}}


def position(loaded):
    return loaded["epoch"], loaded["step"]


def names(folder):
    return sorted(file.name for file in folder.folder.iterdir())


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


# moments at which a process may be killed


class Killed(BaseException):
    """The process ends here: nothing after it is done, not even cleaning up."""


class Count:
    """Kills at the call number ``last`` of the functions it stands for."""

    def __init__(self, last):
        self.left = last

    def of(self, function):
        def counted(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return function(*args, **kwargs)

        return counted


def test_killed_at_any_call_to_the_system_the_newest_whole_state_is_found(folder, monkeypatch):
    folder.save(state(1))
    folder.save(state(2))
    found = []
    for last in itertools.count():
        count = Count(last)
        with monkeypatch.context() as patch:
            patch.setattr(files, "_remove", lambda path: None)  # a killed process cleans nothing
            for name in ("open", "rename", "replace"):
                patch.setattr(Path, name, count.of(getattr(Path, name)))
            for name in ("fsync", "open"):
                patch.setattr(os, name, count.of(getattr(os, name)))
            try:
                folder.save(state(3), keep=True)
                break
            except Killed:
                pass
        again = CheckpointFolder(folder.folder, OURS)
        found.append(position(again.load(5))[0])
        assert torch.load(folder.previous, weights_only=True)["epoch"] in (1, 2)
        folder.save(state(1))
        folder.save(state(2))
        (folder.folder / "epoch_0003.pt").unlink(missing_ok=True)
    assert len(found) > 8
    assert found == sorted(found)  # the old one up to some moment, the new one from then on
    assert set(found) == {2, 3}


def test_killed_between_two_names_the_last_one_is_the_previous(folder):
    folder.save(state(1))
    folder.last.rename(folder.previous)
    assert position(folder.load(5)) == (1, 0)


def test_remains_of_a_killed_process_are_removed_by_the_next_save(folder):
    folder.save(state(1))
    remains = folder.folder / f".last.pt.{files.HOST}.{2**22 + 1}.tmp"
    remains.write_bytes(b"half")
    folder.save(state(2))
    assert names(folder) == ["last.pt", "previous.pt"]


def test_on_a_full_disk_the_checkpoints_stay_as_they_were(full_disk):
    folder = CheckpointFolder(full_disk(1_000_000) / "abc", OURS)
    for epoch in (1, 2):
        folder.save(state(epoch))
    big = {**state(3), "parts": {"model": {"w": torch.zeros(300_000)}}}
    with pytest.raises(DiskFullError, match=r"last\.pt: .*no space is left"):
        folder.save(big)
    assert names(folder) == ["last.pt", "previous.pt"]
    assert position(folder.load(5)) == (2, 0)
    assert torch.load(folder.previous, weights_only=True)["epoch"] == 1


# files that are damaged or not ours


def test_a_damaged_one_is_passed_over_with_a_warning(folder, caplog):
    folder.save(state(1))
    folder.save(state(2))
    folder.last.write_bytes(folder.last.read_bytes()[:200])
    with caplog.at_level(logging.WARNING):
        assert position(folder.load(5)) == (1, 0)
    assert "last.pt is damaged" in caplog.text
    assert "going back to the checkpoint before it" in caplog.text


def test_a_damaged_one_never_takes_the_place_of_an_intact_one(folder, monkeypatch):
    folder.save(state(1))
    folder.save(state(2))
    folder.last.write_bytes(b"")
    folder.load(5)
    assert names(folder) == ["last.damaged", "previous.pt"]
    monkeypatch.setattr(Path, "rename", Count(0).of(Path.rename))  # killed in the next save
    with pytest.raises(Killed):
        folder.save(state(2))
    assert position(CheckpointFolder(folder.folder, OURS).load(5)) == (1, 0)


def test_with_all_damaged_there_is_none(folder):
    folder.save(state(1))
    folder.last.write_bytes(b"")
    assert folder.load(5) is None


def test_one_that_holds_code_is_refused_and_not_run(folder, tmp_path):
    class Planted:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trap"),)

    folder.save(state(1))
    folder.save(state(2))
    torch.save({"format": 2, "parts": Planted()}, folder.last)
    with pytest.raises(CodeInFile, match=r"last\.pt holds code, which is never run; find out"):
        folder.load(5)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"config": "x"}, "config"), ({"data": "x"}, "data"), ({"split": "x"}, "split"),
     ({"data": "x", "split": "y"}, "data and split")],
    ids=str,
)  # fmt: skip
def test_those_of_another_training_are_refused_and_the_difference_is_named(folder, change, named):
    folder.save(state(1))
    other = Trajectory(**{**vars(OURS), **change})
    message = f"belongs to another training, with another {named}; move it away"
    with pytest.raises(TrainingError, match=message):
        CheckpointFolder(folder.folder, other).load(5)


def test_another_format_version_is_a_clear_error(folder, monkeypatch):
    folder.save(state(1))
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    message = r"last\.pt is a checkpoint of format 2, this version reads 99; delete it and train"
    with pytest.raises(DataError, match=message):
        folder.load(5)


# which are kept, and which one a run goes on from


def test_epochs_are_kept_when_asked_for(folder):
    folder.save(state(4))
    folder.save(state(5), keep=True)
    assert names(folder) == ["epoch_0005.pt", "last.pt", "previous.pt"]


def test_only_so_many_epochs_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path, OURS, keep_epochs=2)
    for epoch in (9998, 9999, 10000, 10001):
        folder.save(state(epoch), keep=True)
    assert names(folder) == ["epoch_10000.pt", "epoch_10001.pt", "last.pt", "previous.pt"]


def test_epochs_that_an_earlier_run_has_reached_are_not_the_oldest(tmp_path):
    folder = CheckpointFolder(tmp_path, OURS, keep_epochs=1)
    (tmp_path / "epoch_0007.pt").touch()
    for epoch in (1, 2):
        folder.save(state(epoch), keep=True)
    assert names(folder) == ["epoch_0002.pt", "epoch_0007.pt", "last.pt", "previous.pt"]


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


# when


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still: ``clock.now`` sets it, ``clock.ticks`` are shown first."""

    class Clock:
        now, ticks = 0.0, ()

        def __call__(self):
            if self.ticks:
                self.now, *self.ticks = self.ticks
            return self.now

    clock = Clock()
    monkeypatch.setattr(checkpoint.time, "perf_counter", clock)
    return clock


def test_checkpoints_take_a_small_share_of_the_time(clock, tmp_path):
    folder = CheckpointFolder(tmp_path, OURS)
    assert folder.is_due()
    clock.ticks = [10.0, 12.0]  # the first takes two seconds
    with folder.at_cost():
        folder.save(state(1))
    for clock.now, due in ((12.0, False), (99.0, False), (101.0, True)):  # 2 % of 100 s
        assert folder.is_due() is due
        assert folder.is_due(step=4) is due
    clock.ticks = [101.0, 102.0]
    with folder.at_cost():
        folder.save(state(2))
    for clock.now, due in ((149.0, False), (151.0, True)):  # three seconds in all
        assert folder.is_due() is due


def test_within_an_epoch_they_are_not_written_more_often_than_every_minute(clock, tmp_path):
    folder = CheckpointFolder(tmp_path, OURS)
    clock.ticks = [3600.0, 3600.1]
    with folder.at_cost():
        folder.save(state(1))
    assert folder.is_due()
    for clock.now, due in ((3659.0, False), (3661.0, True)):
        assert folder.is_due(step=4) is due


def test_a_long_first_epoch_is_saved_after_a_minute(clock, tmp_path):
    folder = CheckpointFolder(tmp_path, OURS)
    for clock.now, due in ((59.0, False), (61.0, True)):
        assert folder.is_due(step=4) is due


def test_or_they_are_written_every_so_many_steps(tmp_path):
    folder = CheckpointFolder(tmp_path, OURS, every_steps=3)
    assert [step for step in range(1, 10) if folder.is_due(step)] == [3, 6, 9]
