"""CSV, TensorBoard and a logger of one's own, over trainings that are stopped and resumed."""

import csv
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from qgpipe.errors import ConfigError, TrainingError
from qgpipe.stages.fingerprint import trajectory
from qgpipe.training.distributed.signals import Interrupted
from qgpipe.training.run import train_run
from qgpipe.training.trainer import Trainer

PAGE = Path(__file__).parents[3] / "docs" / "logging.md"
TIMES = ["seconds", "graphs_per_second"]
CALLS = []


class Recording:
    """A logger that remembers what it is told, and draws random numbers meanwhile."""

    def __init__(self, name="recording"):
        self.name = name

    def start(self, config, folder, rows):
        CALLS.append(("start", config["name"], folder.name, [row["epoch"] for row in rows]))

    def log(self, row):
        draw = torch.rand(3), random.random(), np.random.random()  # noqa: NPY002
        assert draw
        CALLS.append(("log", row["epoch"], row["val_accuracy"]))
        row.clear()

    def finish(self, outcome):
        CALLS.append(("finish", outcome))


class Failing(Recording):
    """A logger that fails in one of its methods."""

    def start(self, config, folder, rows):
        self.fail("start")

    def log(self, row):
        self.fail("log")

    def fail(self, method):
        if method == self.name:
            raise OSError("no route to host")


class Stopping(Recording):
    """A logger that stops the training after its second epoch, as a scheduler would."""

    def log(self, row):
        super().log(dict(row))
        if row["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)


class Tiring:
    """A metric that fails when it is computed for the third time."""

    calls = 0

    def __call__(self, predictions, targets):
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("tired")
        return 0.5


@pytest.fixture(autouse=True)
def calls():
    CALLS.clear()
    return CALLS


def scalars(folder):
    """Every scalar of every event file, as TensorBoard's own reader finds it, by tag."""
    found = {}
    for file in sorted((folder / "tensorboard").iterdir()):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return found


def assert_events_are_those_of(history, folder):
    """Each value of the history is an event of its epoch, and there are no others."""
    found = scalars(folder)
    expected = {
        name.replace("train_", "train/", 1).replace("val_", "val/", 1): [
            (int(epoch), pytest.approx(value, rel=1e-6))
            for epoch, value in zip(history["epoch"], history[name], strict=True)
        ]
        for name in history
        if name != "epoch"
    }
    assert found == expected


def test_the_csv_grows_with_the_epochs_and_is_in_the_end_the_history(make_config, data, tmp_path):
    train_run(make_config(), *data, tmp_path)
    text = (tmp_path / "logs/history.csv").read_text()
    assert text == (tmp_path / "history.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert set(rows[0]) == {
        "epoch", "train_loss_avg", "train_loss_min", "train_loss_max", "val_loss_avg",
        "val_loss_min", "val_loss_max", "val_accuracy", "lr", "seconds", "graphs_per_second",
    }  # fmt: skip


def test_loggers_change_neither_a_byte_nor_the_trajectory(make_config, data, tmp_path):
    plain = make_config()
    logged = make_config(training={"loggers": ["tensorboard", Recording]})
    for name, config in (("plain", plain), ("logged", logged)):
        train_run(config, *data, tmp_path / name)
    assert (tmp_path / "plain/model.pt").read_bytes() == (tmp_path / "logged/model.pt").read_bytes()
    histories = [
        pd.read_csv(tmp_path / name / "history.csv").drop(columns=TIMES)
        for name in ("plain", "logged")
    ]
    pd.testing.assert_frame_equal(*histories)
    assert trajectory(plain, "", "") == trajectory(logged, "", "")


def test_a_logger_of_ones_own_is_told_of_start_epochs_and_end(make_config, data, tmp_path):
    spec = {"type": Recording, "kwargs": {"name": "mine"}}
    train_run(make_config(training={"loggers": [spec]}), *data, tmp_path / "run")
    accuracies = pd.read_csv(tmp_path / "run/history.csv")["val_accuracy"]
    logged = [("log", epoch, value) for epoch, value in enumerate(accuracies, start=1)]
    assert [("start", "tiny", "run", []), *logged, ("finish", "finished")] == CALLS


def test_a_stopped_training_tells_its_loggers_what_was_before(make_config, data, tmp_path):
    config = make_config(training={"loggers": [Stopping, "tensorboard"]})
    with pytest.raises(Interrupted):
        train_run(config, *data, tmp_path)
    assert CALLS[-1] == ("finish", "stopped")
    assert [row["epoch"] for row in csv.DictReader((tmp_path / "logs/history.csv").open())] == [
        "1", "2",
    ]  # fmt: skip
    del CALLS[:]
    train_run(config, *data, tmp_path)
    assert [call[:2] for call in CALLS] == [
        ("start", "tiny"), ("log", 3), ("log", 4), ("finish", "finished"),
    ]  # fmt: skip
    assert CALLS[0][3] == [1, 2]
    assert_events_are_those_of(pd.read_csv(tmp_path / "history.csv"), tmp_path)


def test_a_training_that_fails_leaves_its_csv_and_says_so(make_config, data, tmp_path):
    tasks = [{"name": "accuracy", "monitor": Tiring}]
    validation = {"validator": {"evaluator_tasks": tasks}}
    config = make_config(training={"loggers": [Recording]}, validation=validation)
    with pytest.raises(TrainingError, match="tired"):
        train_run(config, *data, tmp_path)
    assert CALLS[-1] == ("finish", "failed")
    assert len((tmp_path / "logs/history.csv").read_text().splitlines()) == 3
    assert not (tmp_path / "history.csv").exists()


def test_killed_at_any_moment_nothing_is_doubled_or_lost(ranks, make_config, data, tmp_path):
    config = make_config(training={"num_epochs": 12, "loggers": ["tensorboard"]})
    moments, kills, file = random.Random(0), 0, tmp_path / "logs/history.csv"
    for _ in range(4):
        before = file.stat().st_mtime_ns if file.exists() else 0
        (process,) = ranks.start([{}], config=config, data=data, folder=tmp_path)
        while process.is_alive() and not (file.exists() and file.stat().st_mtime_ns > before):
            time.sleep(0.002)
        process.join(moments.uniform(0, 0.1))
        kills += process.exitcode is None
        process.kill()
        process.join()
    assert kills > 1
    assert ranks.run(1, config=config, data=data, folder=tmp_path) == [0]
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["epoch"].tolist() == list(range(1, 13))
    assert (tmp_path / "logs/history.csv").read_text() == (tmp_path / "history.csv").read_text()
    assert_events_are_those_of(history, tmp_path)


def test_only_the_first_of_two_ranks_logs(ranks, make_config, data, tmp_path):
    config = make_config(training={"num_epochs": 2, "loggers": ["tensorboard"]})
    assert ranks.run(2, config=config, data=data, folder=tmp_path) == [0, 0]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert_events_are_those_of(pd.read_csv(tmp_path / "history.csv"), tmp_path)


def test_another_training_in_the_folder_replaces_the_events(make_config, data, tmp_path):
    for lr in (0.02, 0.01):
        kwargs = {"num_epochs": 2, "optimizer_kwargs": {"lr": lr}, "loggers": ["tensorboard"]}
        train_run(make_config(training=kwargs), *data, tmp_path)
    assert_events_are_those_of(pd.read_csv(tmp_path / "history.csv"), tmp_path)
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in read.Scalars("lr")] == [1, 2]
    assert "configuration/text_summary" in read.Tags()["tensors"]


def test_a_logger_that_does_not_start_ends_the_run_with_its_name(make_config, data, tmp_path):
    spec = {"type": Failing, "args": ["start"]}
    with pytest.raises(TrainingError) as caught:
        train_run(make_config(training={"loggers": [spec]}), *data, tmp_path)
    assert str(caught.value).startswith(
        "training.loggers[0]: start of Failing failed: OSError: no route to host (test_loggers.py, "
    )
    assert str(caught.value).endswith("; fix it, or leave it out")


def test_a_logger_that_fails_later_is_named_and_the_training_goes_on(
    make_config, data, tmp_path, caplog
):
    spec = {"type": Failing, "args": ["log"]}
    config = make_config(training={"loggers": [Recording, spec]})
    with caplog.at_level("INFO", "qgpipe.progress"):
        train_run(config, *data, tmp_path)
    assert (tmp_path / "model.pt").exists()
    (warning,) = (r.message for r in caplog.records if "warning" in r.message)
    assert warning.startswith(
        "warning: training.loggers[1]: log of Failing failed: OSError: no route to host (test_logg"
    )
    assert warning.endswith("; training goes on without it")
    assert [call[0] for call in CALLS] == ["start", *["log"] * 4, "finish"]


@pytest.mark.parametrize(
    ("loggers", "message"),
    [
        (["qgpipe.Trainer"], "training.loggers[0]: Trainer is no logger: it has no method 'start'"),
        (["torch.sum"], "is no logger; name tensorboard, or a class with the methods start, log"),
        (["tensorboard", {"type": Recording, "kwargs": {"nam": 1}}],
         "training.loggers[1]: cannot construct Recording: got an unexpected keyword argument"),
    ],
)  # fmt: skip
def test_what_is_no_logger_is_refused_before_the_training(
    make_config, data, tmp_path, loggers, message
):
    with pytest.raises(ConfigError) as caught:
        train_run(make_config(training={"loggers": loggers}), *data, tmp_path)
    assert message in str(caught.value)


def test_tensorboard_that_is_not_installed_is_named_in_a_line(
    make_config, data, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError) as caught:
        train_run(make_config(training={"loggers": ["tensorboard"]}), *data, tmp_path)
    assert str(caught.value) == (
        "training.loggers[0]: TensorBoard is not installed; type: pip install 'qgpipe[tensorboard]'"
    )


def test_the_logger_in_the_documents_works(make_config, open_data, tmp_path, capsys):
    module: dict = {}
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    exec(code, module)
    spec = {"type": module["Messenger"], "kwargs": {"channel": "trainings"}}
    config = make_config(training={"num_epochs": 1, "loggers": [spec]})
    loaders = open_data(config)
    Trainer(config, tmp_path).run_training(loaders.train, loaders.validation)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("trainings")]
    assert said[0] == "trainings tiny begins"
    assert said[1].startswith("trainings 1 ")
    assert said[2] == "trainings finished"
