"""The crash test as it is run by hand, with few kills; it takes a minute or two."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_killed_or_stopped_in_any_stage_the_same_command_ends_in_the_same_bytes():
    script = Path(__file__).with_name("kill_and_compare.py")
    command = [sys.executable, str(script), "--kills", "4", "--stops", "3", "--seed", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    *_, total = result.stdout.splitlines()
    assert total.split() == ["all", "4", "4", "3", "3"]
