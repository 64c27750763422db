"""The pipeline on a cluster makes what it makes on one machine."""

import pytest
from pandas.testing import assert_frame_equal

pytestmark = pytest.mark.slow

EXACT = (
    "data/parts/*.safetensors",
    "data/dataset.json",
    "data/split.json",
    "runs/tiny/model.pt",
    "runs/tiny/config.yaml",
    "runs/tiny/test/metrics.json",
    "runs/tiny/test/predictions.csv",
)


def scenario(project, reference):
    run = project.on_slurm()
    return {"said": run.finish(), "jobs of parts": run.jobs("group_parts")}


def test_artifacts_of_a_cluster_are_those_of_a_local_run(seen, project, reference):
    assert project.checksums(*EXACT) == reference.checksums(*EXACT)
    assert_frame_equal(project.history(), reference.history(), check_exact=True)
    assert "submitted with SLURM jobid" in seen["said"]


def test_parts_are_one_job_of_slurm(seen):
    assert len(seen["jobs of parts"]) == 1
