"""Runs of the workflow on the cluster of ``make slurm-up``; skipped where it is not up."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml
from qgpipe.files import sha256

ROOT = Path(__file__).parents[2]
ONE_THREAD = ["generate_store=1", "train_run=1", "test_run=1"]  # as locally: the same bytes
MODULE = '''
"""Slow where a test says so, so that there is time to disturb it."""
import os
import time

import qgpipe


class Reader(qgpipe.CausalSetReader):
    def read(self, *args):
        time.sleep(float(os.environ.get("PAUSE_OF_A_PART", "0")))
        return super().read(*args)


def loss(outputs, batch):
    time.sleep(float(os.environ.get("PAUSE_OF_A_STEP", "0")))
    from qgpipe.training.losses import cross_entropy  # imports torch, for training alone

    return cross_entropy(outputs, batch)
'''


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Skip the tests of this folder, and say why, unless the tests' own cluster is up."""
    try:
        shown = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=20
        )
        problem = "" if "ClusterName             = qgpipe" in shown.stdout else "it is not up"
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if not problem:
        return
    reason = f"no Slurm to test on ({problem}): as root, type make slurm-up"
    if os.environ.get("QGPIPE_SLURM") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def _environment() -> dict[str, str]:
    """That of the tests, without the folders in which tests before had modules of their own."""
    return {k: v for k, v in os.environ.items() if k != "QGPIPE_PATH"}


@dataclass
class Project:
    """A working directory with a configuration and a module of the user's in it."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", *arguments, "--nocolor",
            "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(self.folder),
            "--set-threads", *ONE_THREAD,
            "--configfile", str(self.folder / "run.yaml"),
        ]  # fmt: skip

    def run_locally(self) -> None:
        command = self.command("--cores", "2")
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def on_slurm(self, *arguments: str, **environment: str) -> "SlurmRun":
        """Start the workflow through the profile, with more frequent looks at the jobs."""
        command = self.command(
            *arguments,
            "--workflow-profile", str(ROOT / "profiles" / "slurm"),
            "--slurm-init-seconds-before-status-checks", "15",
            "--slurm-no-account",
        )  # fmt: skip
        log = self.folder / "slurm.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=stream, stderr=stream, env=_environment() | environment
            )
        return SlurmRun(process, log)

    def checksums(self, *patterns: str) -> dict[str, str]:
        """Checksums of the artifacts under ``results``, those left out that tell the time."""
        files = [file for pattern in patterns for file in (self.folder / "results").glob(pattern)]
        assert files
        return {str(file.relative_to(self.folder)): sha256(file) for file in files}


@dataclass
class SlurmRun:
    """A running workflow on the cluster."""

    process: subprocess.Popen
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 180) -> None:
        """Wait until ``condition`` holds, while the workflow runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"ended before {what}: {self.text}"
            assert time.monotonic() < end, f"never {what}: {self.text}"
            time.sleep(0.2)

    def job(self, rule: str) -> str:
        """The number of the newest job of ``rule`` that Slurm has been given."""
        lines = [line for line in self.text.splitlines() if f"rule_{rule}/" in line]
        return lines[-1].split("SLURM jobid ")[1].split()[0]

    def finish(self, seconds: float = 600) -> str:
        """Wait for the end, which has to be a success; what the workflow said."""
        try:
            assert self.process.wait(seconds) == 0, self.text
        finally:
            self.process.terminate()
        return self.text


def state(job: str) -> str:
    """The state of a job of Slurm, ``RUNNING`` for example."""
    shown = subprocess.run(
        ["squeue", "--noheader", "--states=all", "--jobs", job, "--format=%T"],
        capture_output=True, text=True,
    )  # fmt: skip
    return shown.stdout.strip()


def make_project(folder: Path) -> Project:
    """The default run with few small causal sets, a smaller model and forty short epochs."""
    config = load_config(ROOT / "config" / "run.yaml")
    config["name"] = "tiny"
    config["generate"].update(num_samples=60, size=[8, 16])
    config["data"].update(chunksize=20, n_processes=1)
    config["data"]["reader"]["type"] = "!pyobject mymodule.Reader"
    config["training"].update(num_epochs=40, batch_size=8, device="cpu", checkpoint_at=1)
    config["criterion"] = "!pyobject mymodule.loss"
    del config["early_stopping"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mymodule.py").write_text(MODULE)
    (folder / "run.yaml").write_text(to_yaml(config))
    return Project(folder)


@pytest.fixture
def project(tmp_path) -> Project:
    return make_project(tmp_path)


@pytest.fixture(scope="session")
def reference(tmp_path_factory) -> Project:
    """A folder in which the same run has finished locally. Tests leave it as it is."""
    made = make_project(tmp_path_factory.mktemp("reference"))
    made.run_locally()
    return made


@pytest.fixture
def prepared(project, reference) -> Project:
    """A folder in which only training and what follows is left to do."""
    shutil.copytree(reference.folder / "results/data", project.folder / "results/data")
    return project
