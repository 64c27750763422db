"""Two processes that train one model, compared with one process that does it alone."""

import json
import signal
import time

import numpy as np
import pandas as pd
import pytest
import torch

from qgpipe.models import read_model_file
from qgpipe.system.files import read_json

TIMES = ["seconds", "graphs_per_second"]


def without_dropout(config):
    config["model"]["encoder_kwargs"]["layers"].pop()
    return config


def history(folder):
    return pd.read_csv(folder / "history.csv").drop(columns=TIMES)


def weights(folder):
    return read_model_file(folder / "model.pt")["state_dict"]


def assert_alike(one, other):
    """Same epochs, losses, metrics and weights, up to the order of sums."""
    pd.testing.assert_frame_equal(history(one), history(other), rtol=1e-4)
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(other)[name], value, rtol=1e-3, atol=1e-5)


WATCHED = {"accuracy": {"metric": "accuracy", "mode": "max", "delta": 0.15}}
VARIANTS = {
    "an even cut, which early stopping ends": {
        "training": {
            "batch_size": 8,
            "num_epochs": 40,
            "lr_scheduler_kwargs": {"mode": "max"},
        },
        "early_stopping": {"tasks": WATCHED, "patience": 2},
    },
    "a batch of one graph, which leaves a rank without": {"training": {"batch_size": 13}},
    "steps of three batches": {
        "training": {
            "batch_size": 5,
            "accumulate_steps": 3,
            "gradient_clip": 0.1,
            "ema_decay": 0.8,
            "bucket_by_size": True,
        }
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_ranks_train_like_one(ranks, make_config, data, tmp_path, variant):
    config = without_dropout(make_config(**VARIANTS[variant]))
    for size in (1, 2):
        codes = ranks.run(size, config=config, data=data, folder=tmp_path / str(size))
        assert codes == [0] * size
    assert_alike(tmp_path / "1", tmp_path / "2")
    reasons = {read_json(tmp_path / size / "summary.json")["stopped_by"] for size in "12"}
    assert reasons == {"early stopping" if "early_stopping" in VARIANTS[variant] else "num_epochs"}


TEST = """
import json
from pathlib import Path
from qgpipe.training.loaders import open_loaders
from qgpipe.training.trainer import Trainer

trainer = Trainer(config, folder)
loaders = open_loaders(config, *data)
training, validation = trainer.run_training(loaders.train, loaders.validation)
row = trainer.run_test(loaders.test).iloc[-1].to_dict()
seen = trainer.tester.collected
result = {"row": row, "positions": seen.positions.tolist(), "validation": len(validation)}
(folder / f"rank{os.environ.get('RANK', 'alone')}.json").write_text(json.dumps(result))
"""


def test_every_rank_gets_the_results_of_the_whole_test_set(ranks, make_config, data, tmp_path):
    tasks = [{"name": "accuracy", "monitor": "sklearn.metrics.accuracy_score"}]
    config = make_config(testing={"batch_size": 4, "tester": {"evaluator_tasks": tasks}})
    config, code = without_dropout(config), "import os\n" + TEST
    for size in (1, 2):
        folder = tmp_path / str(size)
        assert ranks.run(size, code, config=config, data=data, folder=folder) == [0] * size
    alone = json.loads((tmp_path / "1" / "rankalone.json").read_text())
    first, second = (json.loads((tmp_path / "2" / f"rank{i}.json").read_text()) for i in (0, 1))
    assert first == second
    assert first["positions"] == alone["positions"] == list(range(50, 60))
    assert first["row"] == pytest.approx(alone["row"], rel=1e-4)


def test_a_training_goes_on_with_another_number_of_ranks(ranks, make_config, data, tmp_path):
    config = without_dropout(make_config())
    for epochs, size in ((2, 2), (4, 1), (6, 2)):
        config["training"]["num_epochs"] = epochs
        assert ranks.run(size, config=config, data=data, folder=tmp_path / "mixed") == [0] * size
    assert ranks.run(1, config=config, data=data, folder=tmp_path / "alone") == [0]
    assert len(list((tmp_path / "mixed" / "checkpoints").iterdir())) == 1
    assert_alike(tmp_path / "mixed", tmp_path / "alone")


def test_a_signal_to_one_rank_stops_both_and_they_go_on_to_the_same_bytes(
    ranks, make_config, data, tmp_path
):
    config = make_config(training={"num_epochs": 60})  # with dropout
    stopped = {"config": config, "data": data, "folder": tmp_path / "stopped"}
    processes = ranks.start(ranks.torchrun(2), **stopped)
    while not list((tmp_path / "stopped").rglob("last.pt")) and processes[0].is_alive():
        time.sleep(0.01)
    ranks.signal_one(processes, 1, signal.SIGTERM)
    assert ranks.ended(processes) == [75, 75]
    assert ranks.run(2, **stopped) == [0, 0]
    assert ranks.run(2, config=config, data=data, folder=tmp_path / "whole") == [0, 0]
    pd.testing.assert_frame_equal(history(tmp_path / "stopped"), history(tmp_path / "whole"))
    model = "model.pt"
    assert (tmp_path / "stopped" / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()


REFUSED = """
import json, os
from qgpipe.errors import QgpipeError
from qgpipe.training.run import train_run
try:
    exec(attempt)
except QgpipeError as error:
    (folder / f"error{os.environ['RANK']}").write_text(str(error))
"""


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (
            "train_run({**config, 'training': {**config['training'], "
            "'optimizer_kwargs': {'lr': 1e30}}}, *data, folder)",
            "with the samples tiny/",
        ),
        (
            "train_run({**config, 'parallel': {'world_size': 3}}, *data, folder)",
            "parallel.world_size: there are 2 processes, not 3; start as many as it says",
        ),
        (
            "from qgpipe.training.trainer import Trainer\n"
            "    from qgpipe.training.loaders import open_loaders\n"
            "    from torch_geometric.loader import DataLoader\n"
            "    Trainer(config, folder).run_training("
            "DataLoader(open_loaders(config, *data).train.dataset, 4))",
            "a DataLoader cannot be shared out among 2 processes",
        ),
    ],
    ids=["a loss that is not finite", "another number of ranks", "a loader of another kind"],
)
def test_what_cannot_be_is_said_by_every_rank(ranks, make_config, data, tmp_path, attempt, message):
    config = without_dropout(make_config())
    code = REFUSED.replace("exec(attempt)", attempt)
    assert ranks.run(2, code, config=config, data=data, folder=tmp_path) == [0, 0]
    texts = [(tmp_path / f"error{rank}").read_text() for rank in (0, 1)]
    assert texts[0] == texts[1]
    assert message in texts[0]


def test_under_srun_the_tasks_are_the_ranks(ranks, make_config, data, tmp_path):
    config = without_dropout(make_config(parallel={"world_size": 2}))
    slurm = {
        "SLURM_NTASKS": "2",
        "SLURM_STEP_ID": "0",
        "SLURM_JOB_ID": str(ranks.free_port() - 15000),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
    }
    tasks = [{**slurm, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in (0, 1)]
    port = {"world_size": 2, "master_port": ranks.free_port()}
    config["parallel"].update(port)
    done = ranks.start(tasks, config=config, data=data, folder=tmp_path / "2")
    assert ranks.ended(done) == [0, 0]
    assert np.isfinite(history(tmp_path / "2")["train_loss_avg"]).all()
