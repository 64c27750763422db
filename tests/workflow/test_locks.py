"""Two runs of the workflow at once, in the same folders; and nothing to unlock afterwards."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from qgpipe.system.lock import FolderLock, writing
from qgpipe.system.process import HOST

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WHO = f"in use by process {os.getpid()} on host {HOST} (since "
REMEDY = f"wait until it ends, or stop it with: kill {os.getpid()}"


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished project."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return replace(finished, folder=tmp_path / "copy")


def is_refused(result, folder):
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in said
    line, *in_the_end = [line for line in said.splitlines() if WHO in line]
    assert all(again.strip() in line for again in in_the_end)
    assert line.strip().startswith(f"{folder}: {WHO}")
    assert line.endswith(REMEDY)
    assert "unlock" not in said


def test_data_that_another_process_makes_is_left_alone(copy):
    with writing(copy.folder / "results/data/.lock"):
        is_refused(copy.snakemake("split", "--forcerun", "split_samples"), "results/data")


def test_a_run_that_another_process_works_on_is_left_alone(copy):
    before = (copy.folder / "results/runs/tiny/model.pt").read_bytes()
    with writing(copy.folder / "results/runs/tiny/.lock"):
        is_refused(copy.snakemake("train", "--forcerun", "train_run"), "results/runs/tiny")
    assert (copy.folder / "results/runs/tiny/model.pt").read_bytes() == before


def test_a_training_from_python_keeps_that_of_the_workflow_out(copy):
    with writing(copy.folder / "results/runs/tiny/.training.lock"):
        is_refused(copy.snakemake("train", "--forcerun", "train_run"), "train: results/runs/tiny")


def test_what_another_run_only_reads_may_be_read_but_not_made_anew(copy):
    with FolderLock(copy.folder / "results/data/.lock") as lock:
        lock.read()
        result = copy.snakemake("report", "--forcerun", "plot_run")
        assert result.returncode == 0, result.stdout + result.stderr
        is_refused(copy.snakemake("split", "--forcerun", "split_samples"), "results/data")


def test_looking_what_would_run_locks_nothing(copy):
    with (
        writing(copy.folder / "results/data/.lock"),
        writing(copy.folder / "results/runs/tiny/.lock"),
    ):
        assert copy.rules_to_run("--forcerun", "train_run")["train_run"] == 1
        assert copy.rules_to_run() == {}


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*/*.yaml")), ids=str)
def test_no_profile_lets_snakemake_lock_what_would_have_to_be_unlocked(profile):
    settings = yaml.safe_load(profile.read_text())
    assert settings["nolock"] is True
    assert settings["rerun-incomplete"] is True
