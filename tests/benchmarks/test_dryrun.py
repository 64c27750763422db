from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_dry_run_after_a_finished_run_is_timed(tmp_path):
    output = tmp_path / "dryrun.md"
    command = [sys.executable, BENCHMARKS / "dryrun.py", "--quick", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header, _, *rows = [line for line in output.read_text().splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in header.strip("|").split("|")]
    for parts, row in zip((3,), rows, strict=True):
        cells = dict(zip(names, (cell.strip() for cell in row.strip("|").split("|")), strict=True))
        assert int(cells["parts"]) == parts
        assert float(cells["import s"]) > 0
        assert float(cells["qgpipe s"]) > 0  # which is longer, a busy machine may not tell
