import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from qgpipe.system.gpus import own_gpus, visible_gpus

HOLD = """
import os, sys
from qgpipe.system.gpus import own_gpus
with own_gpus(1, "auto"):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with two GPUs, and no job on them."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.fixture
def job():
    """Starts jobs that keep a GPU until they are killed; gives the process and what it sees."""
    with ExitStack() as stack:

        def start():
            process = subprocess.Popen(
                [sys.executable, "-c", HOLD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process, process.stdout.readline().strip()

        yield start


def test_jobs_at_the_same_time_see_a_gpu_of_their_own(job):
    assert [job()[1], job()[1]] == ["0", "1"]


def test_more_jobs_than_gpus_share_them_evenly(job):
    assert sorted(job()[1] for _ in range(4)) == ["0", "0", "1", "1"]


def test_a_killed_job_leaves_its_gpu_free(job):
    first, seen = job()
    job()
    first.kill()
    first.wait()
    assert job()[1] == seen


def test_a_job_of_several_gpus_sees_as_many(job):
    with own_gpus(2, "cuda") as gpus:
        assert gpus == ["0", "1"]
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    job()
    with own_gpus(1, "cuda") as gpus:
        assert gpus == ["1"]


def test_the_environment_is_afterwards_as_before(monkeypatch):
    with own_gpus(1, "auto"):
        assert visible_gpus() == ["0"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0, 1"


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_device_that_is_named_is_left_to_the_user(device):
    with own_gpus(1, device) as gpus:
        assert gpus == []
        assert visible_gpus() == ["0", "1"]


def test_slurm_has_chosen_already(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with own_gpus(1, "auto"):
        assert visible_gpus() == ["0", "1"]


def test_no_gpu_may_be_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with own_gpus(1, "auto") as gpus:
        assert gpus == []
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_where_no_locks_can_be_kept_all_are_seen(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with own_gpus(1, "auto") as gpus:
        assert gpus == []
        assert visible_gpus() == ["0", "1"]
    assert "jobs on this machine may take the same GPU" in caplog.text


def test_a_job_without_gpus_is_left_alone():
    with own_gpus(0, "auto") as gpus:
        assert gpus == []
        assert visible_gpus() == ["0", "1"]
