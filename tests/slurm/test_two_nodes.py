"""One training on two nodes: a task of Slurm for each of its processes."""

import pytest
from pandas.testing import assert_frame_equal

pytestmark = pytest.mark.slow

TWO = {"world_size": 2, "master_addr": "localhost"}  # no host is called as these nodes are


def scenario(project, reference):
    """Told to stop once; meanwhile the same on this machine, where elastic launch starts both."""
    project.take(reference, "data")
    project.config = {**project.config, "parallel": {**TWO, "nodes": 2}}
    run = project.on_slurm(
        "train", "--default-resources", "slurm_partition=pair", PAUSE_OF_A_STEP="0.05"
    )
    run.wait_until(lambda: project.epochs_so_far() >= 3, "three epochs")
    [job] = run.jobs("rule_train_run")
    nodes = run.job(job)["NumNodes"]
    steps = run.tell("squeue", "--steps", "--noheader", f"--jobs={job}", "--format=%i %N")
    run.tell("scancel", "--signal=TERM", job)
    here = project.beside("here")
    here.take(reference, "data")
    here.config = {**here.config, "parallel": TWO}
    here.run_locally("train")
    run.finish()
    return {
        "nodes": nodes,
        "steps": steps,
        "attempts": run.jobs("rule_train_run"),
        "stopped": run.logs("rule_train_run"),
    }


def test_it_runs_in_a_step_on_both_nodes(seen):
    assert seen["nodes"] == "2"
    assert ".0 n[1,3]" in seen["steps"]


def test_sigterm_ends_all_tasks_and_snakemake_makes_another_attempt(seen):
    [text] = seen["stopped"].values()
    assert "stopped by SIGTERM: the state after epoch" in text
    assert len(seen["attempts"]) == 2


def test_it_ends_in_the_bytes_of_two_processes_on_one_machine(seen, project):
    here = project.beside("here")
    assert project.checksums("runs/tiny/model.pt") == here.checksums("runs/tiny/model.pt")
    assert_frame_equal(project.history(), here.history(), check_exact=True)
    assert project.leftovers() == []
