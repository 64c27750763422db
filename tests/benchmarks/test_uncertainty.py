from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_models_and_the_ensemble_are_in_one_table(tmp_path):
    output = tmp_path / "uncertainty.md"
    command = [sys.executable, BENCHMARKS / "uncertainty.py", "--quick", "--members", "2"]
    done = subprocess.run([*command, "--output", output], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = output.read_text()
    for name in ("one model", "one model, temperature, energy", "few sets: ensemble"):
        assert f"| {name} " in text
    assert "Share of outliers" in text
