"""A whole run whose training is shared by two processes."""

import csv
import json

import pytest

pytestmark = pytest.mark.slow


def test_two_processes_train_in_the_workflow(project):
    project.config["parallel"] = {"world_size": 2}
    project.save()
    result = project.snakemake("test")
    assert result.returncode == 0, result.stdout + result.stderr
    run = project.folder / "results" / "runs" / "tiny"
    with (run / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    split = json.loads((project.folder / "results" / "data" / "split.json").read_text())
    metrics = json.loads((run / "test" / "metrics.json").read_text())
    assert metrics["num_graphs"] == len(split["test"])
    # Progress of the processes reaches whoever watches, once.
    assert (result.stdout + result.stderr).count("epoch 3/3") == 1
    project.config["parallel"] = {"world_size": 1}
    project.save()
    assert project.rules_to_run("test") == {}
