from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_step_at_scale_is_measured(tmp_path):
    output = tmp_path / "scale.md"
    command = [sys.executable, BENCHMARKS / "scale.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    for name in ("plan the parts", "train an epoch, memory-mapped", "larger than memory", "groups"):
        assert name in text
