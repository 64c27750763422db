"""Jobs that a scheduler stops, and what the workflow makes of their exit code."""

import copy
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def untrained(finished, tmp_path):
    """A copy of the finished project without its run, which is to be longer."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/results/runs")
    made = replace(finished, folder=tmp_path / "copy", config=copy.deepcopy(finished.config))
    made.config["training"]["num_epochs"] = 30
    del made.config["early_stopping"]
    made.save()
    return made


def training_of(process):
    """The process that trains."""
    for child in psutil.Process(process.pid).children(recursive=True):
        if "train_run.py" in child.cmdline()[-1]:
            return child
    raise AssertionError("nobody trains")


def test_a_training_that_is_stopped_goes_on_in_the_next_attempt(untrained):
    command = [
        sys.executable, "-m", "snakemake", "train", "--retries", "1", "--logger", "qgpipe",
        "--snakefile", str(ROOT / "Snakefile"), "--directory", str(untrained.folder),
        "--cores", "2", "--configfile", str(untrained.folder / "run.yaml"),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    limit = threading.Timer(300, process.kill)
    limit.start()
    said = []
    for line in process.stdout:
        said.append(line)
        if "tiny: epoch 1/30" in line:
            training_of(process).send_signal(signal.SIGUSR1)
            break
    said += process.stdout
    code = process.wait()
    limit.cancel()
    text = "".join(said)
    assert code == 0, text
    assert "failed: train tiny" in text
    assert "stopped by SIGUSR1: the state after epoch " in text
    epochs = [int(number) for number in re.findall(r"tiny: epoch (\d+)/30", text)]
    assert epochs == list(range(1, 31))
