"""A part of the mutants that ``make fuzz`` makes, of each kind."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "part"), [("configurations", 0.03), ("stores", 0.2), ("artifacts", 0.1)]
)
def test_no_mutant_is_met_with_a_traceback_a_hang_or_silence(kind, part):
    script = Path(__file__).with_name("run.py")
    command = [sys.executable, str(script), "--only", kind, "--part", str(part), "--jobs", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
