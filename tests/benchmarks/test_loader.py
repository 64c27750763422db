from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_contender_of_loading_gives_the_same_batches(tmp_path):
    output = tmp_path / "loader.md"
    command = [sys.executable, BENCHMARKS / "loader.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    for name in ("PyG, in memory", "mmap, edges", "memory, dense, expanded", "copying alone"):
        assert name in text
