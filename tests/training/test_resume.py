"""Interrupted at any moment and started again, a run ends as one that never was."""

import logging
import os
import random
import shutil
import signal

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch_geometric.loader import DataLoader

from qgpipe.errors import DataError, DiskFullError, TrainingError
from qgpipe.training.checkpoints import checkpoint
from qgpipe.training.distributed.signals import Interrupted
from qgpipe.training.loaders import open_loaders
from qgpipe.training.trainer import Trainer


class Killed(BaseException):
    """The end of the process, as far as the trainer can tell: nothing is saved any more."""


class Loss:
    """Cross entropy that does something at its call number ``at``, and draws random numbers."""

    def __init__(self, at=None, action=None):
        self.calls, self.at, self.action = 0, at, action

    def __call__(self, outputs, data):
        self.calls += 1
        if self.calls == self.at:
            self.action()
        noise = 0.01 * (random.random() + np.random.random() + torch.rand(()))  # noqa: NPY002
        return cross_entropy(outputs[0], data.y) + noise * outputs[0].square().mean()


def kill():
    raise Killed


def send(number):
    return lambda: os.kill(os.getpid(), number)


def batch_normalised(config):
    layers = config["model"]["encoder_kwargs"]["layers"]
    layers.insert(1, ["torch_geometric.nn.BatchNorm", [8], {}, "x"])
    return config


STOPPING = {"tasks": {0: {"metric": "accuracy", "mode": "max", "grace_period": 1}}, "patience": 3}
CALLS_AN_EPOCH = 5 + 2  # batches of training and validation


@pytest.fixture
def start(make_config, open_data):
    """A training with ``criterion``; returns the trainer, before it runs, and how to run it."""

    def begin(criterion, name="run", **training):
        training.setdefault("lr_scheduler_kwargs", {"mode": STOPPING["tasks"][0]["mode"]})
        config = batch_normalised(
            make_config(name=name, criterion=criterion, early_stopping=STOPPING, training=training)
        )
        trainer, loaders = Trainer(config), open_data(config)
        return trainer, lambda: trainer.run_training(loaders.train, loaders.validation)

    return begin


def without_times(csv):
    """Everything but the two last columns."""
    return [line.rsplit(",", 2)[0] for line in csv.splitlines()]


def results(trainer, tmp_path):
    """What a run leaves: the bytes of the model, the history, the last weights."""
    trainer.save_best_model(tmp_path / "model.pt")
    weights = {name: value.tolist() for name, value in trainer.model.state_dict().items()}
    return (tmp_path / "model.pt").read_bytes(), without_times(trainer.history.to_csv()), weights


@pytest.fixture
def undisturbed(start, tmp_path):
    trainer, run = start(Loss(), name="undisturbed")
    run()
    return results(trainer, tmp_path)


def test_two_runs_with_the_same_seed_are_the_same(start, tmp_path, undisturbed):
    trainer, run = start(Loss())
    run()
    assert results(trainer, tmp_path) == undisturbed


def test_another_seed_is_another_run(start, tmp_path, undisturbed):
    trainer, run = start(Loss(), seed=8)
    run()
    assert results(trainer, tmp_path)[1] != undisturbed[1]


@pytest.mark.parametrize("at", random.Random(1).sample(range(2, 4 * CALLS_AN_EPOCH), 6))
def test_killed_anywhere_it_goes_on_to_the_same_bytes(start, tmp_path, undisturbed, at):
    with pytest.raises(Killed):
        start(Loss(at, kill))[1]()
    trainer, run = start(Loss())
    run()
    assert results(trainer, tmp_path) == undisturbed


def test_killed_again_and_again_it_still_gets_there(start, tmp_path, undisturbed):
    ends = 0
    for at in (3, 12, 9, 13, 5, 11, 8, 1000):
        trainer, run = start(Loss(at, kill))
        try:
            run()
        except Killed:
            ends += 1
    assert ends >= 4
    assert results(trainer, tmp_path) == undisturbed


OPTIONS = {
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "clipped": {"gradient_clip": 0.05},
    "accumulated": {"accumulate_steps": 2},
    "averaged": {"ema_decay": 0.8},
    "often": {"checkpoint_every_steps": 2},
    "workers": {"num_workers": 3},
    "deterministic": {"deterministic": True},
}
WARM_UP = {
    "type": "torch.optim.lr_scheduler.LinearLR",
    "kwargs": {"start_factor": 0.1, "total_iters": 2},
}
DECAY = {"type": "torch.optim.lr_scheduler.ExponentialLR", "args": [0.5]}
NO_PLATEAU = {"patience": None, "factor": None}  # are taken away
IN_TURN = {
    "lr_scheduler_type": "torch.optim.lr_scheduler.SequentialLR",
    "lr_scheduler_kwargs": {**NO_PLATEAU, "schedulers": [WARM_UP, DECAY], "milestones": [2]},
}
AT_ONCE = {
    "lr_scheduler_type": "torch.optim.lr_scheduler.ChainedScheduler",
    "lr_scheduler_kwargs": {**NO_PLATEAU, "schedulers": [WARM_UP, DECAY]},
}
OPTIONS["all"] = {key: value for option in OPTIONS.values() for key, value in option.items()}


OPTIONS["weighted"] = {"sampler": "weighted"}
OPTIONS |= {"schedules in turn": IN_TURN, "schedules at once": AT_ONCE}


@pytest.mark.parametrize("option", OPTIONS)
def test_killed_and_stopped_it_ends_in_the_same_bytes_with_every_option(start, tmp_path, option):
    trainer, run = start(Loss(), name="undisturbed", **OPTIONS[option])
    run()
    expected = results(trainer, tmp_path)
    with pytest.raises(Killed):
        start(Loss(CALLS_AN_EPOCH + 4, kill), **OPTIONS[option])[1]()
    with pytest.raises(Interrupted):
        start(Loss(5, send(signal.SIGTERM)), **OPTIONS[option])[1]()
    again = Loss()
    trainer, run = start(again, **OPTIONS[option])
    run()
    assert again.calls < 4 * CALLS_AN_EPOCH
    assert results(trainer, tmp_path) == expected


@pytest.mark.parametrize(
    "option", ["bf16", "fp16", "clipped", "accumulated", "averaged", "weighted", "all"]
)
def test_these_options_make_another_run(start, tmp_path, undisturbed, option):
    trainer, run = start(Loss(), **OPTIONS[option])
    run()
    assert results(trainer, tmp_path)[0] != undisturbed[0]


@pytest.mark.parametrize("option", ["often", "workers", "deterministic"])
def test_these_change_nothing_on_the_cpu(start, tmp_path, undisturbed, option):
    trainer, run = start(Loss(), **OPTIONS[option])
    run()
    assert results(trainer, tmp_path) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_in_an_epoch_saves_the_step(start, tmp_path, undisturbed, number):
    at = CALLS_AN_EPOCH + 3  # the third step of the second epoch
    stopped, run = start(Loss(at, send(number)))
    with pytest.raises(Interrupted):
        run()
    assert stopped.checkpoints.position == (1, 3)
    trainer, run = start(Loss())
    run()
    assert results(trainer, tmp_path) == undisturbed


def test_it_is_said_where_training_stands_and_how_to_go_on(start, caplog):
    with caplog.at_level(logging.INFO), pytest.raises(Interrupted):
        start(Loss(CALLS_AN_EPOCH + 3, send(signal.SIGINT)))[1]()
    assert caplog.messages[-1] == (
        "stopped by SIGINT: the state after epoch 1, step 3 is saved; "
        "start the same command again to go on from there"
    )


def test_a_signal_in_the_validation_keeps_the_steps_of_the_epoch(start, tmp_path, undisturbed):
    stopped, run = start(Loss(2 * CALLS_AN_EPOCH - 1, send(signal.SIGTERM)))
    with pytest.raises(Interrupted):
        run()
    assert stopped.checkpoints.position == (1, 5)
    again = Loss()
    trainer, run = start(again)
    run()
    assert again.calls == 2 + 2 * CALLS_AN_EPOCH  # that validation, and two epochs
    assert results(trainer, tmp_path) == undisturbed


@pytest.mark.parametrize("steps", [(1, 2, 4, 3, 5, 6, 2), (6, 6, 1, 1, 1, 7)])
def test_signals_again_and_again_change_nothing(start, tmp_path, undisturbed, steps):
    for at in (*steps, 1000):
        trainer, run = start(Loss(at, send(signal.SIGTERM)))
        try:
            run()
        except Interrupted:
            continue
    assert results(trainer, tmp_path) == undisturbed


def test_the_best_score_and_the_patience_go_on(make_config, open_data):
    stopping = {"tasks": {0: {"metric": "loss_avg", "delta": 10.0}}, "patience": 3}

    def run(criterion):
        config = make_config(
            criterion=criterion, early_stopping=stopping, training={"num_epochs": 9}
        )
        loaders = open_data(config)
        training, _ = Trainer(config).run_training(loaders.train, loaders.validation)
        return len(training)

    for epochs in (2, 3):
        with pytest.raises(Interrupted):
            run(Loss(epochs + CALLS_AN_EPOCH, send(signal.SIGTERM)))
    # The first epoch is better than infinity; then patience falls in three.
    assert run(Loss()) == 4


class Learning(torch.nn.Module):
    def __init__(self, at=None):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.calls, self.at = 0, at

    def forward(self, outputs, data):
        self.calls += 1
        if self.calls == self.at:
            raise Killed
        return cross_entropy(outputs[0] * self.scale, data.y)


def test_what_a_criterion_has_learned_goes_on(start):
    whole, run = start(Learning(), name="whole")
    run()
    with pytest.raises(Killed):
        start(Learning(2 * CALLS_AN_EPOCH + 1))[1]()
    trainer, run = start(Learning())
    run()
    assert trainer.criterion.scale.item() == whole.criterion.scale.item() != 1.0


def test_steps_are_saved_every_so_often(start, tmp_path, undisturbed):
    with pytest.raises(Killed):
        start(Loss(CALLS_AN_EPOCH + 4, kill), checkpoint_every_steps=2)[1]()
    again = Loss()
    trainer, run = start(again, checkpoint_every_steps=2)
    run()
    assert again.calls == 3 * CALLS_AN_EPOCH - 2
    assert results(trainer, tmp_path) == undisturbed


def test_a_checkpoint_holds_all_that_is_promised(start):
    stopped, run = start(
        Loss(CALLS_AN_EPOCH + 3, send(signal.SIGTERM)), precision="fp16", ema_decay=0.9
    )
    with pytest.raises(Interrupted):
        run()
    state = torch.load(stopped.checkpoints.last, weights_only=True)
    assert set(state["parts"]) == {
        "model", "optimizer", "scheduler", "precision", "average", "early_stopping",
        "history", "selection", "training_pass",
    }  # fmt: skip
    assert (state["epoch"], state["step"]) == (1, 3)
    assert set(state) == {"format", "fingerprints", "epoch", "step", "parts", "rng"}
    assert set(state["rng"]) == {"python", "numpy", "torch", "cuda"}
    assert state["fingerprints"] == vars(stopped.checkpoints.trajectory)
    assert state["parts"]["selection"]["score"] == stopped.selection.score
    assert state["parts"]["precision"]["scale"] == 2.0**16


def test_a_planted_checkpoint_is_refused_and_not_run(start, tmp_path):
    class Planted:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trap"),)

    stopped, run = start(Loss())
    run()
    torch.save({"format": 2, "rng": Planted()}, stopped.checkpoints.last)
    with pytest.raises(DataError, match=r"last\.pt holds code, which is never run"):
        start(Loss())[1]()
    assert not (tmp_path / "trap").exists()


def test_on_a_full_disk_training_stops_and_goes_on_when_there_is_room(
    start, tmp_path, undisturbed, full_disk
):
    disk = full_disk(400_000)

    def fill():
        (disk / "filler").write_bytes(b"0" * (shutil.disk_usage(disk).free // 4096 * 4096))

    trainer, run = start(Loss(2 * CALLS_AN_EPOCH, fill), checkpoint_every_steps=1)
    trainer.folder = disk
    with pytest.raises(DiskFullError, match=r"last\.pt: .* make room and start the same command"):
        run()
    (disk / "filler").unlink()
    again = Loss()
    trainer, run = start(again, checkpoint_every_steps=1)
    trainer.folder = disk
    run()
    assert again.calls == 2 * CALLS_AN_EPOCH + 2
    assert results(trainer, tmp_path) == undisturbed


def test_long_epochs_are_saved_on_the_way(start, tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(checkpoint, "MID_EPOCH_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "COST", 1e9)
    with pytest.raises(Killed):
        start(Loss(CALLS_AN_EPOCH + 4, kill))[1]()
    again = Loss()
    trainer, run = start(again)
    run()
    assert again.calls == 3 * CALLS_AN_EPOCH - 3
    assert results(trainer, tmp_path) == undisturbed


def test_a_damaged_checkpoint_costs_an_epoch_at_most(start, tmp_path, undisturbed, caplog):
    stopped, run = start(Loss(3 * CALLS_AN_EPOCH, send(signal.SIGTERM)))
    with pytest.raises(Interrupted):
        run()
    last = stopped.checkpoints.last
    last.write_bytes(last.read_bytes()[:-500])
    trainer, run = start(Loss())
    with caplog.at_level(logging.WARNING):
        run()
    assert "last.pt is damaged" in caplog.text
    assert results(trainer, tmp_path) == undisturbed


def test_a_finished_run_is_taken_from_its_checkpoint(start, tmp_path, undisturbed):
    start(Loss())[1]()
    again = Loss()
    trainer, run = start(again)
    training, validation = run()
    assert again.calls == 0
    assert len(training) == len(validation) == 4
    assert results(trainer, tmp_path) == undisturbed


def test_the_same_trainer_may_run_twice(start, tmp_path, undisturbed):
    trainer, run = start(Loss())
    run()
    run()
    assert results(trainer, tmp_path) == undisturbed


def test_a_trainer_whose_checkpoints_are_gone_starts_anew(start, tmp_path, undisturbed):
    trainer, run = start(Loss())
    run()
    for file in trainer.checkpoints.folder.iterdir():
        file.unlink()
    run()
    assert results(trainer, tmp_path) == undisturbed


def test_more_epochs_continue_a_finished_run(start, tmp_path, undisturbed):
    start(Loss(), num_epochs=2)[1]()
    again = Loss()
    trainer, run = start(again, num_epochs=4)
    run()
    assert again.calls == 2 * CALLS_AN_EPOCH
    assert results(trainer, tmp_path) == undisturbed


def test_fewer_epochs_than_are_done_are_counted_from_a_kept_one(start, tmp_path):
    short, run = start(Loss(), name="short", num_epochs=2)
    run()
    expected = results(short, tmp_path)
    start(Loss(), num_epochs=4, checkpoint_at=1)[1]()
    again = Loss()
    trainer, run = start(again, num_epochs=2)
    run()
    assert again.calls == 0
    assert results(trainer, tmp_path) == expected


def test_a_changed_rate_starts_anew_and_finds_its_state_when_changed_back(
    start, tmp_path, undisturbed
):
    at = 2 * CALLS_AN_EPOCH + 3
    first, run = start(Loss(at, send(signal.SIGTERM)))
    with pytest.raises(Interrupted):
        run()
    left = {file: file.read_bytes() for file in first.checkpoints.folder.iterdir()}
    changed = Loss()
    other, run = start(changed, optimizer_kwargs={"lr": 0.01})
    run()
    assert changed.calls == 4 * CALLS_AN_EPOCH
    assert other.checkpoints.folder != first.checkpoints.folder
    assert {file: file.read_bytes() for file in first.checkpoints.folder.iterdir()} == left
    back = Loss()
    trainer, run = start(back)
    run()
    assert back.calls == 4 * CALLS_AN_EPOCH - at
    assert results(trainer, tmp_path) == undisturbed


@pytest.mark.parametrize(
    "how", [{"device": "auto"}, {"num_workers": 2}, {"pin_memory": False}, {"checkpoint_at": 1}],
    ids=str,
)  # fmt: skip
def test_a_run_that_is_only_done_otherwise_goes_on(start, tmp_path, undisturbed, how):
    with pytest.raises(Interrupted):
        start(Loss(2 * CALLS_AN_EPOCH + 3, send(signal.SIGTERM)))[1]()
    again = Loss()
    trainer, run = start(again, **how)
    run()
    assert again.calls == 2 * CALLS_AN_EPOCH - 3
    assert results(trainer, tmp_path) == undisturbed


def test_other_data_is_another_run(make_config, make_data, tmp_path, start):
    first, run = start(Loss())
    run()
    loaders = open_loaders(first.config, *make_data(tmp_path / "other", seed=1))
    again = Loss()
    trainer = Trainer({**first.config, "criterion": again})
    trainer.run_training(loaders.train, loaders.validation)
    assert again.calls > 0


def test_another_loss_from_the_same_script_is_another_run(make_config, open_data):
    def train(criterion):
        config = make_config(criterion=criterion)
        loaders = open_data(config)
        trainer = Trainer(config)
        trainer.run_training(loaders.train, loaders.validation)
        return trainer.checkpoints.folder

    first = train(lambda outputs, data: cross_entropy(outputs[0], data.y))
    other = train(lambda outputs, data: cross_entropy(outputs[0], data.y, label_smoothing=0.1))
    assert first != other


def test_a_checkpoint_of_a_model_that_has_changed_is_explained(start):
    with pytest.raises(Interrupted):
        start(Loss(CALLS_AN_EPOCH + 3, send(signal.SIGTERM)))[1]()
    trainer, run = start(Loss())
    trainer.model.register_buffer("added", torch.ones(1))
    with pytest.raises(TrainingError, match=r"the checkpoint does not fit: .* start anew"):
        run()


def test_only_the_newest_of_them_are_kept_if_asked_for(start):
    trainer, run = start(Loss(), checkpoint_at=1, keep_checkpoints=2)
    run()
    kept = sorted(f.name for f in trainer.checkpoints.folder.glob("epoch_*.pt"))
    assert kept == ["epoch_0003.pt", "epoch_0004.pt"]


def test_epochs_are_kept_every_so_often(start):
    trainer, run = start(Loss(), checkpoint_at=2)
    run()
    kept = sorted(f.name for f in trainer.checkpoints.folder.glob("epoch_*.pt"))
    assert kept == ["epoch_0002.pt", "epoch_0004.pt"]


def test_validation_results_go_on_in_the_validator(start):
    with pytest.raises(Killed):
        start(Loss(2 * CALLS_AN_EPOCH + 2, kill))[1]()
    trainer, run = start(Loss())
    _, validation = run()
    columns = trainer.validator.columns
    assert trainer.validator.data[columns].equals(validation[columns])


def test_a_loader_of_pyg_goes_on_from_the_last_epoch(make_config, data, tmp_path):
    def run(name, criterion):
        config = make_config(name=name, criterion=criterion)
        loaders = open_loaders(config, *data)
        graphs = [[g.clone() for g in loader.dataset] for loader in loaders]
        trainer = Trainer(config)
        trainer.run_training(
            DataLoader(graphs[0], batch_size=8, shuffle=True), DataLoader(graphs[1], batch_size=8)
        )
        return trainer

    expected = results(run("undisturbed", Loss()), tmp_path)
    with pytest.raises(Interrupted):
        run("run", Loss(CALLS_AN_EPOCH + 3, send(signal.SIGTERM)))
    again = Loss()
    assert results(run("run", again), tmp_path) == expected
    assert again.calls == 3 * CALLS_AN_EPOCH  # the second epoch from its beginning
