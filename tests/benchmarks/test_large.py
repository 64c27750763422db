from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_step_of_large_causal_sets_is_measured(tmp_path):
    output = tmp_path / "large.md"
    command = [sys.executable, BENCHMARKS / "large.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    for name in (
        "default observables",
        "train, csr",
        "PyG / auto",
        "dense products",
        "training job",
    ):
        assert name in text
