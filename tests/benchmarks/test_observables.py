from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_cost_of_every_observable_is_in_the_table(tmp_path):
    output = tmp_path / "observables.md"
    command = [sys.executable, BENCHMARKS / "observables.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    for name in ("intervals", "two_chain_density_past", "hasse_spectrum", "two_order"):
        assert f"| {name}" in text
