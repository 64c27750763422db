"""Training in processes of its own that are really killed or told to stop."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time

import psutil
import pytest

SERVER = multiprocessing.get_context("forkserver")  # imports torch once, then forks
SERVER.set_forkserver_preload(
    ["qgpipe.training.run", "qgpipe.training.losses", "torch_geometric.nn", "sklearn.metrics"]
)
# A job starts its loader workers by forking; a child of the server would ask the server.
STAGE = """
import multiprocessing
from qgpipe.training.run import train_run

multiprocessing.set_start_method("fork", force=True)
train_run(*arguments)
"""
ATTEMPTS = 7


@pytest.fixture(scope="module")
def server():
    """The process that all others are forked from."""
    first = SERVER.Process(target=time.time)
    first.start()
    first.join()


@pytest.fixture
def start(server, data):
    """Start the stage of a configuration in a process, for a folder."""
    started = []

    def begin(config, folder):
        process = SERVER.Process(target=exec, args=(STAGE, {"arguments": (config, *data, folder)}))
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.join()


def files(folder):
    """What a run leaves, apart from times."""
    history = (folder / "history.csv").read_text().splitlines()
    summary = json.loads((folder / "summary.json").read_text())
    untimed = {k: v for k, v in summary.items() if k not in ("seconds", "graphs_per_second")}
    return {
        "model": (folder / "model.pt").read_bytes(),
        "history": [line.rsplit(",", 2)[0] for line in history],
        "summary": untimed,
        "config": (folder / "config.yaml").read_bytes(),
    }


VARIANTS = {
    "plain": {"training": {"num_workers": 2, "checkpoint_every_steps": 4}},
    "everything": {
        "training": {
            "precision": "bf16",
            "accumulate_steps": 2,
            "gradient_clip": 0.5,
            "ema_decay": 0.8,
            "checkpoint_every_steps": 1,
            "checkpoint_at": 2,
            "keep_checkpoints": 2,
            "num_workers": 2,
            "lr_scheduler_kwargs": {"mode": "max"},
        },
        "early_stopping": {"tasks": {0: {"metric": "accuracy", "mode": "max"}}, "patience": 40},
    },
}


def newest(folder):
    """When the newest checkpoint in ``folder`` was written."""
    try:
        return max((file.stat().st_mtime_ns for file in folder.rglob("last.pt")), default=0)
    except FileNotFoundError:  # it is just becoming the previous one
        return newest(folder)


def wait_for_checkpoint(folder, process, before=0):
    """Wait until a process has written one, or has ended."""
    while newest(folder) <= before and process.is_alive():
        time.sleep(0.002)


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_again_and_again_it_ends_in_the_same_bytes(start, make_config, tmp_path, variant):
    config = make_config(**VARIANTS[variant])
    config["training"]["num_epochs"] = 12
    start(config, tmp_path / "undisturbed").join()
    killed, moments, kills = tmp_path / "killed", random.Random(variant), 0
    for attempt in range(ATTEMPTS):
        before, process = newest(killed), start(config, killed)
        if attempt % 3:
            wait_for_checkpoint(killed, process, before)
        process.join(moments.uniform(0, 0.1))
        if process.exitcode is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    assert kills > 1
    process = start(config, killed)
    process.join()
    assert process.exitcode == 0
    assert files(killed) == files(tmp_path / "undisturbed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_ends_the_process_with_code_75(start, make_config, tmp_path, number):
    config = make_config(training={"num_epochs": 2000})
    process = start(config, tmp_path / "run")
    wait_for_checkpoint(tmp_path / "run", process)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == 75
    assert not (tmp_path / "run" / "model.pt").exists()


def test_a_stop_of_the_whole_job_with_its_workers_goes_on_to_the_same_bytes(
    start, make_config, tmp_path
):
    changes = {"data": {"transform": ["torch_geometric.transforms.RandomNodeSplit"]}}
    config = make_config(**changes, training={"num_epochs": 8, "num_workers": 2})
    process = start(config, tmp_path / "stopped")
    wait_for_checkpoint(tmp_path / "stopped", process)
    job = psutil.Process(process.pid)
    while len(workers := job.children()) < 2:
        time.sleep(0.002)
    for member in (*workers, job):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGTERM)
    process.join()
    assert process.exitcode == 75
    start(config, tmp_path / "stopped").join()
    start(make_config(**changes, training={"num_epochs": 8}), tmp_path / "undisturbed").join()
    whole, stopped = files(tmp_path / "undisturbed"), files(tmp_path / "stopped")
    assert (stopped["model"], stopped["history"]) == (whole["model"], whole["history"])
