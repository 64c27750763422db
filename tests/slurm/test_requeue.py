"""A training that is told to stop, and then put back in the queue."""

import re

import pytest
from pandas.testing import assert_frame_equal

from qgpipe.system.logs import TRY_AGAIN

pytestmark = pytest.mark.slow


def scenario(project, reference):
    project.take(reference, "data")
    config = project.config
    config["training"]["device"] = "auto"
    project.config = config
    run = project.on_slurm("train", PAUSE_OF_A_STEP="0.05")
    run.wait_until(lambda: project.epochs_so_far() >= 3, "three epochs")
    [job] = run.jobs("rule_train_run")
    run.tell("scancel", "--signal=TERM", job)
    run.wait_until(lambda: len(run.jobs("rule_train_run")) == 2, "another attempt")
    first = project.epochs_so_far()
    job = run.jobs("rule_train_run")[1]
    run.wait_until(lambda: project.epochs_so_far() >= first + 5, "five more epochs")
    run.tell("scontrol", "requeue", job)
    run.wait_until(lambda: run.job(job)["Restarts"] == "1", "back in the queue")
    second = project.epochs_so_far()
    run.finish()
    return {
        "jobs": run.jobs("rule_train_run"),
        "epochs": [first, second],
        "exit codes": [run.job(job)["ExitCode"] for job in run.jobs("rule_train_run")],
        "stopped": run.logs("rule_train_run"),
        "asked for": run.job(job).get("TresPerJob", ""),
    }


def test_sigterm_ends_the_attempt_and_snakemake_makes_another(seen):
    first, _ = seen["jobs"]
    assert "stopped by SIGTERM" in seen["stopped"][first]
    assert f"exit status {TRY_AGAIN}" in seen["stopped"][first]


def test_a_gpu_is_asked_for_though_none_is_here_where_the_job_is_submitted(seen):
    assert re.fullmatch("gres.gpu:1", seen["asked for"])


def test_slurm_starts_a_requeued_job_again_by_itself(seen):
    assert len(seen["jobs"]) == 2  # Snakemake did not give Slurm a third
    assert seen["exit codes"] == ["1:0", "0:0"]


def test_each_attempt_goes_on_where_the_one_before_was(seen, project):
    first, second = seen["epochs"]
    assert 3 <= first < first + 5 <= second < 40
    log = (project.folder / "results/runs/tiny/logs/history.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in log[1:]] == list(range(1, 41))


def test_it_ends_in_the_bytes_of_an_undisturbed_run(seen, project, reference):
    assert project.checksums("runs/tiny/model.pt") == reference.checksums("runs/tiny/model.pt")
    assert_frame_equal(project.history(), reference.history(), check_exact=True)
    assert project.leftovers() == []
