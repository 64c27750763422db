from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_contender_of_preprocessing_gives_the_same_graphs(tmp_path):
    output = tmp_path / "preprocess.md"
    command = [sys.executable, BENCHMARKS / "preprocess.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    for name in ("QuantumGravPy's way", "built-in reader", "zarr-python", "one sample a chunk"):
        assert name in text
