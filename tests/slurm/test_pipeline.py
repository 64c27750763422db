"""The pipeline on a cluster makes what it makes on one machine."""

import pandas as pd
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


def test_artifacts_of_a_cluster_are_those_of_a_local_run(project, reference):
    said = project.on_slurm().finish()
    assert project.checksums(*EXACT) == reference.checksums(*EXACT)
    timed = ["seconds", "graphs_per_second"]
    histories = [
        pd.read_csv(made.folder / "results/runs/tiny/history.csv").drop(columns=timed)
        for made in (project, reference)
    ]
    assert_frame_equal(*histories, check_exact=True)
    assert said.count("Group job parts") == 1
    assert "submitted with SLURM jobid" in said
