"""A training that Slurm's time limit ends again and again."""

import pytest
from pandas.testing import assert_frame_equal

pytestmark = pytest.mark.slow

SLOW = 2  # attempts with a second's pause in each of 280 steps, which no limit of a minute allows


def scenario(project, reference):
    """Slurm looks at the limits of its jobs twice a minute: `TERM@1` comes half a minute early."""
    project.take(reference, "data")
    run = project.on_slurm(
        "test",
        "--retries", "12",  # on a busy machine the limit may be over before training begins
        "--set-resources", "train_run:runtime=1", "train_run:slurm_extra='--signal=TERM@1'",
        PAUSE_OF_A_STEP="1", SLOW_ATTEMPTS=str(SLOW),
    )  # fmt: skip
    run.finish()
    return {"attempts": run.jobs("rule_train_run"), "ended": run.logs("rule_train_run")}


def test_several_attempts_were_needed(seen, project):
    trained = (project.folder / "attempts.log").read_text().split()
    trained = [job for job in trained if job in seen["attempts"]]
    assert len(trained) > SLOW
    for job in trained[:SLOW]:
        assert "stopped by SIGTERM: the state after epoch" in seen["ended"][job]


def test_they_end_in_the_bytes_of_an_undisturbed_run(seen, project, reference):
    exact = ("runs/tiny/model.pt", "runs/tiny/test/predictions.csv", "runs/tiny/test/metrics.json")
    assert project.checksums(*exact) == reference.checksums(*exact)
    assert_frame_equal(project.history(), reference.history(), check_exact=True)
    assert project.leftovers() == []
