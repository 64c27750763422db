"""Processes that a training starts by itself."""

import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from qgpipe.errors import ConfigError, TrainingError
from qgpipe.training.distributed.join import backend_of, first_host, require_gpus
from qgpipe.training.distributed.slurm_tasks import is_for_nodes, run_tasks
from qgpipe.training.run import train_run
from qgpipe.training.trainer import Trainer

TWO = {"world_size": 2}


FAULTY = """
import os
import signal
from pathlib import Path

import pandas as pd


class Validator:
    def __init__(self, folder, end):
        self.fixed, self.end = Path(folder, "fixed"), end
        self.epochs = 0

    def validate(self, model, loader):
        self.epochs += 1
        if os.environ.get("RANK") == "1" and self.epochs == 2 and not self.fixed.exists():
            exec(self.end)
        return pd.DataFrame({"loss_avg": [1.0]})

    def report(self, data):
        pass
"""
ENDS = {
    "os.no_such_thing": (
        RuntimeError,
        'rank 1 failed.*faulty.py", line 17, in validate.*no_such',
        1,
    ),
    "os.kill(os.getpid(), signal.SIGKILL)": (
        TrainingError,
        "process 1 ended: Signal 9 .*memory",
        2,
    ),
}


@pytest.mark.parametrize("end", ENDS, ids=["an error", "killed"])
def test_a_rank_that_dies_ends_the_job_with_its_own_words_and_a_retry_goes_on(
    make_config, data, tmp_path, monkeypatch, end
):
    (tmp_path / "faulty.py").write_text(FAULTY)
    monkeypatch.setenv("QGPIPE_PATH", str(tmp_path))
    config = make_config(parallel=TWO, training={"checkpoint_every_steps": 1})
    config["validation"]["validator"] = {"type": "faulty.Validator", "args": [str(tmp_path), end]}
    raised, said, retrying = ENDS[end]
    with pytest.raises(raised) as failure:
        train_run(config, *data, tmp_path / "run")
    assert re.search(said, str(failure.value), re.S)
    assert not (tmp_path / "run" / "model.pt").exists()
    [last] = tmp_path.rglob("last.pt")
    left = torch.load(last, weights_only=True)
    assert (left["epoch"], left["step"]) >= (1, 0)
    (tmp_path / "fixed").touch()
    config["parallel"]["world_size"] = retrying
    train_run(config, *data, tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run" / "history.csv")
    assert rows["epoch"].tolist() == [1, 2, 3, 4]
    taken_over = left["parts"]["history"]["rows"][0]
    assert rows["seconds"][0] == taken_over["seconds"]  # not trained a second time


def test_run_training_starts_the_ranks_and_takes_over_what_they_found(
    make_config, open_data, tmp_path
):
    config = make_config(parallel={**TWO, "rank": 0, "master_addr": "localhost"})
    config["model"]["encoder_kwargs"]["layers"].pop()
    together, loaders = Trainer(config, tmp_path / "2"), open_data(config)
    training, validation = together.run_training(loaders.train, loaders.validation)
    alone = Trainer({**config, "parallel": {**config["parallel"], "world_size": 1}}, tmp_path / "1")
    same = alone.run_training(loaders.train, loaders.validation)
    columns = ["epoch", "loss_avg", "loss_min", "loss_max"]
    pd.testing.assert_frame_equal(training[columns], same[0][columns], rtol=1e-4)
    pd.testing.assert_frame_equal(validation, same[1], rtol=1e-4)
    pd.testing.assert_frame_equal(
        together.run_test(loaders.test), alone.run_test(loaders.test), rtol=1e-4
    )


PROGRAM = """
import json, sys
from pathlib import Path
from qgpipe.training.run import train_run
from qgpipe.training.distributed.slurm_tasks import is_for_nodes, run_tasks

if __name__ == "__main__":
    config, data, folder = json.loads(sys.argv[1])
    train_run(config, *map(Path, data), Path(folder))
"""


def test_a_signal_to_the_job_ends_it_with_code_75_and_a_whole_checkpoint(
    make_config, data, tmp_path
):
    config = make_config(parallel=TWO, training={"num_epochs": 100000})
    (tmp_path / "program.py").write_text(PROGRAM)
    arguments = json.dumps([config, [str(file) for file in data], str(tmp_path / "run")])
    job = subprocess.Popen([sys.executable, str(tmp_path / "program.py"), arguments])
    while job.poll() is None and not list(tmp_path.rglob("last.pt")):
        time.sleep(0.05)
    os.kill(job.pid, signal.SIGTERM)
    assert job.wait(120) == 75
    config["training"]["num_epochs"] = 1  # older than the checkpoint: nothing to do but to finish
    config["parallel"]["world_size"] = 1
    trainer = Trainer(config, tmp_path / "run")
    assert trainer.processes.size == 1
    [last] = tmp_path.rglob("last.pt")
    assert torch.load(last, weights_only=True)["epoch"] >= 1


def test_a_port_in_use_is_said(make_config, data, tmp_path):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = make_config(parallel={**TWO, "master_port": port})
        with pytest.raises(ConfigError, match=r"cannot meet at port .*in use"):
            train_run(config, *data, tmp_path)


def test_objects_that_other_processes_cannot_get_are_refused(make_config, open_data):
    config = make_config(parallel=TWO)
    config["apply_model"] = lambda model, data: model(data)
    loaders = open_data(config)
    with pytest.raises(ConfigError, match="define its functions and classes at the top"):
        Trainer(config).run_training(loaders.train)


def test_functions_of_the_script_itself_are_not_sent_to_other_nodes(make_config):
    config = make_config(parallel={**TWO, "nodes": 2})
    with pytest.raises(ConfigError, match=r"parallel\.nodes: .*start the script with srun"):
        run_tasks(config, pickle.dumps((train_run, Path("__main__"))))


def test_several_nodes_are_for_jobs_of_slurm(make_config, monkeypatch):
    config = make_config(parallel={**TWO, "nodes": 2})
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not is_for_nodes(config)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert is_for_nodes(config)
    assert not is_for_nodes(make_config(parallel=TWO))


def test_more_processes_than_gpus_are_refused(make_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    config = make_config(parallel=TWO, training={"device": "cuda"})
    with pytest.raises(ConfigError, match="2 processes on this machine need a GPU each"):
        require_gpus(config, 2)


def test_nccl_needs_gpus(make_config):
    config = make_config(parallel={**TWO, "backend": "nccl"})
    with pytest.raises(ConfigError, match=r"parallel\.backend: nccl connects GPUs"):
        backend_of(config)
    assert backend_of(make_config(parallel=TWO)) == "gloo"
    assert backend_of(make_config(parallel=TWO, training={"device": "cuda"})) == "nccl"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu07", "gpu07"),
        ("gpu[07-09,12],login", "gpu07"),
        ("a-1,b[2-3]", "a-1"),
        ("rack[1,4]-node", "rack1-node"),
    ],
)
def test_the_first_node_of_slurms_list_is_where_tasks_meet(nodes, first):
    assert first_host(nodes) == first
