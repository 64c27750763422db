from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_one_process_and_two_are_timed(tmp_path):
    output = tmp_path / "distributed.md"
    command = [sys.executable, BENCHMARKS / "distributed.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, _, *rows = [line for line in output.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["1", "2"]
    assert all(float(row[1].replace(",", "")) > 0 for row in cells)
