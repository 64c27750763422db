"""The leaderboard on a cluster: jobs of the pipeline are handed over to Slurm."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

QUICK = """
generate: { num_samples: 60, size: [8, 16] }
training: { num_epochs: 1, seed: !sweep { values: [1] } }
evaluate:
  sets:
    larger: { generate: { num_samples: 8, size: [16, 20] } }
    flat: { generate: { num_samples: 8, size: [8, 16] } }
"""
FOR_TESTS = """
slurm-no-account: true
slurm-init-seconds-before-status-checks: 5
"""


def test_jobs_of_the_pipeline_run_on_slurm(tmp_path):
    (tmp_path / "quick.yaml").write_text(QUICK)
    shutil.copytree(ROOT / "profiles" / "slurm", tmp_path / "slurm")
    profile = tmp_path / "slurm" / "profile.v9+.yaml"
    text = profile.read_text().replace("slurm-init-seconds-before-status-checks: 20\n", "")
    profile.write_text(text + FOR_TESTS)
    model = ROOT / "config" / "models" / "seed.yaml"
    command = [
        sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile",
        str(ROOT / "benchmarks/leaderboard/Snakefile"), "--config", "over=[quick.yaml]",
        "tasks=[detection_threshold]", f"models=[{model}]", "profile=slurm",
        "kept=kept", "page=page.md",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    log = tmp_path / "results/leaderboard/small/logs/detection_threshold/seed.log"
    said = log.read_text() if log.exists() else done.stdout
    assert done.returncode == 0, done.stderr + said
    assert said.count("submitted with SLURM jobid") >= 3  # train, test, evaluate
    kept = json.loads((tmp_path / "kept/small/detection_threshold/seed.json").read_text())
    assert {"test", "larger", "flat"} == kept["num_graphs"].keys()
    assert "`seed`" in (tmp_path / "page.md").read_text()
