from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_way_to_take_a_step_gives_the_same_gradients(tmp_path):
    output = tmp_path / "step.md"
    command = [sys.executable, BENCHMARKS / "step.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    for name in ("PyG COO", "PyG EdgeIndex", "csr", "dense", "floor"):
        assert name in text
