"""Preprocessing that is put back in the queue, and whose node then goes down and comes back."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STARTS = [0, 20, 40]  # the first sample of each part


def scenario(project, reference):
    project.take(reference, "data/raw")
    run = project.on_slurm(
        "split", "--default-resources", "slurm_partition=frail", PAUSE_OF_A_PART="4"
    )
    parts = project.folder / "results/data/parts"
    run.wait_until(lambda: run.jobs("group_parts"), "submitted")
    [job] = run.jobs("group_parts")
    run.wait_until(lambda: list(parts.glob("*.safetensors")), "one part")
    run.tell("scontrol", "requeue", job)
    run.wait_until(lambda: run.job(job)["JobState"] == "RUNNING", "running again")
    run.wait_until(lambda: list(parts.glob("*.safetensors")), "one part again")
    run.tell("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test")
    try:
        run.wait_until(lambda: run.job(job)["Restarts"] == "2", "back in the queue")
    finally:
        run.tell("scontrol", "update", "NodeName=n2", "State=RESUME")
    run.finish()
    return {"jobs": run.jobs("group_parts"), "said": run.text}


def test_slurm_starts_the_job_again_by_itself(seen):
    assert len(seen["jobs"]) == 1  # Snakemake did not give Slurm another one
    assert "Trying to restart" not in seen["said"]


def test_the_job_was_stopped_amid_its_parts(seen, project):
    reads = (project.folder / "reads.log").read_text().split()
    assert sorted(set(map(int, reads))) == STARTS
    assert 5 <= len(reads) <= 7  # one or two parts before each stop, and then all three


def test_no_sample_is_lost_and_none_there_twice(seen, project, reference):
    exact = ("data/parts/*.safetensors", "data/dataset.json", "data/split.json")
    assert project.checksums(*exact) == reference.checksums(*exact)
    content = json.loads((project.folder / "results/data/dataset.json").read_text())
    ranges = [range(part["start"], part["stop"]) for part in content["parts"]]
    assert [sample for part in ranges for sample in part] == list(range(60))
    split = json.loads((project.folder / "results/data/split.json").read_text())
    assert sorted(split["train"] + split["validation"] + split["test"]) == list(range(60))


def test_each_part_has_one_record_and_nothing_else_is_left(seen, project):
    folder = project.folder / "results/data"
    parts = json.loads((folder / "dataset.json").read_text())["parts"]
    assert [part["start"] for part in parts] == STARTS
    names = {Path(part["file"]).name: part["checksum"] for part in parts}
    for name, checksum in names.items():
        record = json.loads((folder / "parts" / f"{name}.provenance.json").read_text())
        assert record["outputs"] == {name: checksum}
    assert len(list((folder / "parts").iterdir())) == 2 * len(names)
    assert project.leftovers() == []
