from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_contender_of_training_has_the_same_loss(tmp_path):
    output = tmp_path / "train.md"
    command = [sys.executable, BENCHMARKS / "train.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    for name in ("QuantumGravPy's way", "PyG, in memory", "qgpipe, memory, csr", "peak memory"):
        assert name in text
