"""A workflow that includes this one: its own rules are what they are without it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HOST = """
module training:
    snakefile: "{root}/Snakefile"
    config: config

use rule * from training as training_*

rule several:
    output: "several.txt"
    shell: "echo 1 > {{output}} && cd . && x=2; echo $x >> {{output}}; for i in 3 4; do echo $i >> {{output}}; done"

rule lines:
    output: "lines.txt"
    shell:
        '''
        echo 1 > {{output}}
        (cd / && echo $PWD) >> {{output}}
        '''

rule fails:
    output: touch("fails.txt")
    shell: "false; true"

rule pipe:
    output: touch("pipe.txt")
    shell: "false | cat"
"""  # noqa: E501


def test_commands_of_a_host_are_run_whole_and_their_failures_are_failures(project):
    (project.folder / "Snakefile").write_text(HOST.format(root=ROOT))
    command = [
        sys.executable, "-m", "snakemake", "several", "lines", "fails", "pipe", "training_generate",
        "--cores", "1", "--keep-going", "--directory", str(project.folder),
        "--snakefile", str(project.folder / "Snakefile"),
        "--configfile", str(project.folder / "run.yaml"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert (project.folder / "several.txt").read_text() == "1\n2\n3\n4\n", done.stderr
    assert (project.folder / "lines.txt").read_text() == "1\n/\n"
    assert not (project.folder / "fails.txt").exists()
    assert not (project.folder / "pipe.txt").exists()
    assert (project.folder / "results/data/raw/causets.zarr/.zattrs").exists(), done.stderr
