"""Runs of the real workflow, through the command line that a user types."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml
from qgpipe.stages.registry import BY_RULE

ROOT = Path(__file__).parents[2]


@dataclass
class Project:
    """A working directory with a configuration in it."""

    folder: Path
    config: dict

    def save(self, name: str = "run.yaml") -> Path:
        path = self.folder / name
        path.write_text(to_yaml(self.config))
        return path

    def arguments(
        self, *chosen: str, config: str = "run.yaml", over: Sequence[str] = ()
    ) -> list[str]:
        return [
            *chosen,
            "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(self.folder),
            "--cores", "2", "--nocolor",
            "--configfile", str(self.folder / config), *over,
        ]  # fmt: skip

    def snakemake(self, *arguments: str, config: str = "run.yaml"):
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *self.arguments(*arguments, config=config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            env=environment(),
            check=False,
        )

    def rules_to_run(
        self, *arguments: str, config: str = "run.yaml", over: Sequence[str] = ()
    ) -> dict[str, int]:
        """The working rules that a dry run would run, with the number of jobs."""
        code, said = self.forked_snakemake("--dry-run", *arguments, config=config, over=over)
        assert code == 0, said
        return job_counts(said)

    def forked_snakemake(
        self, *arguments: str, config: str = "run.yaml", over: Sequence[str] = ()
    ) -> tuple[int, str]:
        """The exit code of the same command, and what it says, without its seconds of imports."""
        with tempfile.NamedTemporaryFile() as file:
            given = self.arguments(*arguments, config=config, over=over)
            call = {"arguments": given, "file": file.name}
            print(json.dumps(call), file=server().stdin, flush=True)
            code = int(server().stdout.readline())
            return code, Path(file.name).read_text()


def environment() -> dict[str, str]:
    """That of the tests, without the folders in which tests before had modules of their own."""
    return {k: v for k, v in os.environ.items() if k != "QGPIPE_PATH"}


@functools.cache
def server() -> subprocess.Popen:
    """The process that dry runs are forked from: they need not import Snakemake each."""
    return subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forked_snakemake.py")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def job_counts(text: str) -> dict[str, int]:
    """How many jobs of each rule Snakemake's table of jobs lists, targets left out."""
    table = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)^total", text, re.M | re.S)
    if table is None:
        return {}
    counts = dict(line.split() for line in table[1].splitlines())
    return {rule: int(n) for rule, n in counts.items() if rule in BY_RULE}


def tiny() -> dict:
    """The default run with few small causal sets, a smaller model and three epochs."""
    config = load_config(ROOT / "config" / "run.yaml")
    config["name"] = "tiny"
    del config["evaluate"]  # tests/workflow/test_evaluate.py has sets of its own
    config["generate"].update(num_samples=60, size=[8, 16])
    config["data"].update(chunksize=20, n_processes=1, split=[0.8, 0.1, 0.1], seed=None)
    config["training"].update(num_epochs=3, batch_size=8, device="cpu")
    return config


@pytest.fixture(scope="session")
def new_project():
    """A function of a folder: the tiny configuration there, not yet written."""
    return lambda folder: Project(folder, tiny())


@pytest.fixture
def project(tmp_path) -> Project:
    """A fresh folder with the tiny configuration, written to run.yaml."""
    made = Project(tmp_path, tiny())
    made.save()
    return made


@pytest.fixture(scope="session")
def finished(made_once, tmp_path_factory) -> Project:
    """A folder in which the tiny run has finished. Tests must leave it as it is."""

    def run(folder: Path) -> None:
        made = Project(folder, tiny())
        made.save()
        result = made.snakemake()
        assert result.returncode == 0, result.stdout + result.stderr

    own = tmp_path_factory.mktemp("finished") / "copy"  # of this worker
    return Project(shutil.copytree(made_once("finished", run), own, symlinks=True), tiny())


@pytest.fixture(scope="session")
def profile() -> dict:
    """The default profile."""
    return yaml.safe_load((ROOT / "profiles" / "default" / "profile.v9+.yaml").read_text())
