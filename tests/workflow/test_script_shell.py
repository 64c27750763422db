"""The shell in which Snakemake starts scripts: Python takes its place."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from qgpipe.workflow.resources import SCRIPT_SHELL

SAYS = "import json, os, sys; print(json.dumps([os.getppid(), os.environ.get('SET')]))"
FOLDERS = ("plain", "mit Ümlaut", "it's a;b 'c' \"d\" $e")


@pytest.fixture(params=FOLDERS)
def folder(tmp_path, request):
    """A folder with ``python`` and ``script.py`` in it."""
    made = tmp_path / request.param
    made.mkdir()
    (made / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (made / "python").chmod(0o755)
    (made / "script.py").write_text(SAYS)
    return made


def start(command, **options):
    return subprocess.run(
        [SCRIPT_SHELL, "-c", command], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize("before", ["", "set -euo pipefail;  "])
def test_python_takes_the_place_of_the_shell_wherever_it_lies(folder, before):
    done = start(f"{before}{folder / 'python'} {shlex.quote(str(folder / 'script.py'))}")
    assert json.loads(done.stdout) == [os.getpid(), None], done.stderr


def test_so_it_does_after_an_environment_was_activated(folder):
    activate = folder / "activate it"
    activate.write_text("export SET=$1")
    before = f"source {shlex.quote(str(activate))} '/an environment';"
    script = shlex.quote(str(folder / "script.py"))
    path = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = start(f"{before} python {script}", env=path)
    assert json.loads(done.stdout) == [os.getpid(), "/an environment"], done.stderr


@pytest.mark.parametrize(
    ("command", "said", "code"),
    [
        ("echo a && echo b", "a\nb\n", 0),
        ("echo a; false; echo b", "a\nb\n", 0),
        ("set -e; echo a; false; echo b", "a\n", 1),
        ("for x in 1 2; do echo $x; done", "1\n2\n", 0),
        (f"nice {shlex.quote(sys.executable)} -c 'print(5)'", "5\n", 0),
        ("exec false", "", 1),
        ("cat <(echo a)", "a\n", 0),  # it is bash
    ],
)
def test_any_other_command_is_what_it_is_to_bash(command, said, code):
    done = start(command)
    assert (done.stdout, done.returncode) == (said, code), done.stderr


def test_every_rule_with_a_script_starts_it_so():
    files = (Path(__file__).parents[2] / "rules").glob("*.smk")
    rules = [rule for file in files for rule in file.read_text().split("\n\n\n")]
    scripts = [rule for rule in rules if "    script:\n" in rule]
    assert len(scripts) > 10
    assert [rule for rule in scripts if "shell_exec=resources.SCRIPT_SHELL" not in rule] == []
