"""Runs of the workflow on the cluster of ``make slurm-up``; skipped where it is not up.

They wait more than they compute, so a few run at once: each module here has a function
``scenario``, which is given a project and the reference, and returns what it saw.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml
from qgpipe.system.files import sha256

ROOT = Path(__file__).parents[2]
RESULTS = "results.json"
AT_ONCE = 2  # more keep two cores so busy that jobs reach their time limits before they train
ONE_THREAD = ["generate_store=1", "train_run=1", "test_run=1"]  # as locally: the same bytes
MODULE = '''
"""Slow where a test says so, so that there is time to disturb it."""
import os
import time

import qgpipe


class Reader(qgpipe.CausalSetReader):
    def read(self, store, start, *others):
        time.sleep(float(os.environ.get("PAUSE_OF_A_PART", "0")))
        with open("reads.log", "a") as log:
            print(start, file=log)
        return super().read(store, start, *others)


def loss(outputs, batch):
    if is_slow_attempt():
        time.sleep(float(os.environ.get("PAUSE_OF_A_STEP", "0")))
    from qgpipe.training.losses import cross_entropy  # imports torch, for training alone

    return cross_entropy(outputs, batch)


def is_slow_attempt():
    with open("attempts.log", "a+") as log:
        job = os.environ.get("SLURM_JOB_ID", "none")
        log.seek(0)
        jobs = log.read().split()
        if job not in jobs:
            jobs.append(job)
            print(job, file=log)
    return jobs.index(job) < int(os.environ.get("SLOW_ATTEMPTS", "100"))
'''


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Skip the tests of this folder, and say why, unless the tests' own cluster is up."""
    if " " in sys.executable:
        pytest.skip("jobs of a cluster cannot be started by a Python whose path has a space")
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
    started: list["SlurmRun"] = field(default_factory=list)

    @property
    def run(self) -> Path:
        return self.folder / "results" / "runs" / "tiny"

    def beside(self, name: str) -> "Project":
        """The same project once more, made if it is not there, for a run of its own."""
        folder = self.folder.with_name(f"{self.folder.name}-{name}")
        return Project(folder) if folder.exists() else make_project(folder)

    @property
    def config(self) -> dict[str, Any]:
        return load_config(self.folder / "run.yaml")

    @config.setter
    def config(self, config: dict[str, Any]) -> None:
        (self.folder / "run.yaml").write_text(to_yaml(config))

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", *arguments, "--nocolor",
            "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(self.folder),
            "--set-threads", *ONE_THREAD,
            "--configfile", str(self.folder / "run.yaml"),
        ]  # fmt: skip

    def run_locally(self, *arguments: str) -> None:
        command = self.command(*arguments, "--cores", "2")
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def on_slurm(self, *arguments: str, **environment: str) -> "SlurmRun":
        """Start the workflow through the profile, with more frequent looks at the jobs."""
        command = self.command(
            *arguments,
            "--workflow-profile", str(ROOT / "profiles" / "slurm"),
            "--slurm-init-seconds-before-status-checks", "5",
            "--slurm-no-account",
        )  # fmt: skip
        log = self.folder / "slurm.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=stream, stderr=stream, env=_environment() | environment
            )
        self.started.append(SlurmRun(process, log))
        return self.started[-1]

    def take(self, other: "Project", *folders: str) -> None:
        """Copy what ``other`` has made in ``folders``: only what follows is left to do."""
        for folder in folders:
            shutil.copytree(other.folder / "results" / folder, self.folder / "results" / folder)

    def checksums(self, *patterns: str) -> dict[str, str]:
        """Checksums of the artifacts under ``results``, those left out that tell the time."""
        files = [file for pattern in patterns for file in (self.folder / "results").glob(pattern)]
        assert files
        return {str(file.relative_to(self.folder)): sha256(file) for file in files}

    def history(self) -> pd.DataFrame:
        """The table of the epochs, without how long they took."""
        table = pd.read_csv(self.run / "history.csv")
        return table.drop(columns=["seconds", "graphs_per_second"])

    def epochs_so_far(self) -> int:
        """Completed epochs of a training that may be running."""
        log = self.run / "logs" / "history.csv"
        return max(0, log.read_text().count("\n") - 1) if log.exists() else 0

    def leftovers(self) -> list[str]:
        """Files that only a job in progress has: those written halfway."""
        return [file.name for file in (self.folder / "results").rglob("*.tmp")]


@dataclass
class SlurmRun:
    """A running workflow on the cluster."""

    process: subprocess.Popen
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 300) -> None:
        """Wait until ``condition`` holds, while the workflow runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"ended before {what}: {self.text}"
            assert time.monotonic() < end, f"never {what}: {self.text}"
            time.sleep(0.2)

    def jobs(self, name: str) -> list[str]:
        """The numbers of the jobs that Slurm has been given of ``rule_NAME`` or ``group_NAME``."""
        return re.findall(rf"SLURM jobid (\d+) \(log: .*slurm_logs/{name}", self.text)

    def logs(self, name: str) -> dict[str, str]:
        """What is left of the logs of these jobs, by number: those of jobs that failed."""
        files = (self.log.parent / ".snakemake" / "slurm_logs").glob(f"{name}*/**/*.log")
        return {file.stem: file.read_text() for file in files}

    def tell(self, *command: str) -> str:
        """What a command of Slurm says; it has to succeed."""
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job: ``JobState``, ``Restarts``, ``ExitCode``, …"""
        words = self.tell("scontrol", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def finish(self, seconds: float = 900) -> str:
        """Wait for the end, which has to be a success; what the workflow said."""
        assert self.process.wait(seconds) == 0, self.text
        return self.text


def make_project(folder: Path) -> Project:
    """The default run with few small causal sets and forty short epochs."""
    config = load_config(ROOT / "config" / "run.yaml")
    config["name"] = "tiny"
    config["generate"].update(num_samples=60, size=[8, 16])
    config["data"].update(chunksize=20, n_processes=1, split=[0.8, 0.1, 0.1], seed=None)
    config["data"]["reader"]["type"] = "!pyobject mymodule.Reader"
    config["training"].update(num_epochs=40, batch_size=8, device="cpu", checkpoint_at=1)
    config["criterion"] = "!pyobject mymodule.loss"
    del config["early_stopping"], config["evaluate"]
    config["baseline"] = False
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mymodule.py").write_text(MODULE)
    made = Project(folder)
    made.config = config
    return made


@pytest.fixture(scope="session")
def reference(made_once) -> Project:
    """A folder in which the same run has finished locally. Tests leave it as it is."""
    return Project(made_once("reference", lambda folder: make_project(folder).run_locally()))


@pytest.fixture(scope="session")
def played(request, made_once, reference) -> Path:
    """A folder for each module's scenario, and what it saw, or how it failed, in one file."""
    found = {
        item.module.__name__.rpartition(".")[2]: item.module
        for item in request.session.items
        if hasattr(item.module, "scenario")
    }

    def play(folder: Path) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            seen = pool.map(lambda name: _play(found[name], folder / name, reference), found)
            (folder / RESULTS).write_text(json.dumps(dict(zip(found, seen, strict=True))))

    return made_once("slurm", play)


def _play(module: ModuleType, folder: Path, reference: Project) -> Any:
    project = make_project(folder)
    try:
        return {"seen": module.scenario(project, reference)}
    except Exception:
        return {"failure": traceback.format_exc()}
    finally:
        for run in project.started:
            run.process.terminate()  # if it is still running, it cancels its jobs


@pytest.fixture
def seen(request, played) -> dict[str, Any]:
    """What the scenario of this module saw."""
    result = json.loads((played / RESULTS).read_text())[request.module.__name__.rpartition(".")[2]]
    if "failure" in result:
        pytest.fail(result["failure"])
    return result["seen"]


@pytest.fixture
def project(request, played) -> Project:
    """The folder of this module's scenario."""
    return Project(played / request.module.__name__.rpartition(".")[2])
