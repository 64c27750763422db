"""Trials that are suggested, trained, pruned, killed and taken up again."""

import json
import math
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from qgpipe.config.dump import to_yaml
from qgpipe.errors import ConfigError, DataError
from qgpipe.sweeps.expansion import expand_runs
from qgpipe.sweeps.tuned import trial_config
from qgpipe.system.lock import FolderLock
from qgpipe.training.loaders import open_loaders
from qgpipe.training.trainer import Trainer
from qgpipe.tuning.results import trials_table

WIDTH = "model.encoder_kwargs.layers[0][1][1]"
LR, BATCH = "training.optimizer_kwargs.lr", "training.batch_size"
KILLER = """
import os, signal

class Killer:
    epochs = 0

    def start(self, config, folder, rows):
        pass

    def log(self, row):
        Killer.epochs += 1
        if Killer.epochs == 4:  # the first epoch of the third trial, which had one
            os.kill(os.getpid(), signal.SIGKILL)

    def finish(self, outcome):
        pass
"""
JOB = """
import pickle, sys
from pathlib import Path
from qgpipe.tuning.trials import run_trials

run_trials(*pickle.loads(Path(sys.argv[1]).read_bytes()))
"""


def table(study) -> pd.DataFrame:
    trials = study.optuna.get_trials(deepcopy=False)
    return trials_table(trials, study.parameters).drop(columns="seconds")


def test_what_is_suggested_is_what_optuna_suggests_by_itself(raw, whole, open_study):
    found = open_study(raw, whole).optuna.get_trials()
    alone = optuna.create_study(study_name="another")
    for number, trial in enumerate(found):
        seed = int(np.random.SeedSequence((3, number)).generate_state(1)[0])
        alone.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2)
        own = alone.ask()
        assert trial.params == {
            LR: own.suggest_float(LR, 1e-4, 1e-1, log=True),
            BATCH: own.suggest_categorical(BATCH, [8, 16]),
            WIDTH: own.suggest_int(WIDTH, 8, 32, step=8),
        }
        alone.tell(own, trial.value)
    assert len({trial.params[LR] for trial in found}) == 4


def test_a_trial_is_the_training_that_its_values_make_alone(
    raw, run, open_study, prepared, tmp_path
):
    raw["tune"]["trials"] = 1
    study = open_study(raw, run(raw))
    (row,) = table(study).to_dict("records")
    alone = {key: value for key, value in raw.items() if key != "tune"}
    alone["training"]["optimizer_kwargs"]["lr"] = row[LR]
    alone["training"]["batch_size"] = row[BATCH]
    layers = alone["model"]["encoder_kwargs"]["layers"]
    layers[0][1][1] = layers[2][1][0] = row[WIDTH]
    (one,) = expand_runs(alone)
    trainer = Trainer(one.config, tmp_path / "alone")
    loaders = open_loaders(one.config, *prepared)
    validated = trainer.run_training(loaders.train, loaders.validation)[1]
    assert row["value"] == validated["loss_avg"].min() == trainer.selection.score
    assert row["best_epoch"] == trainer.selection.epoch
    assert row["epochs"] == 2
    reported = study.optuna.get_trials()[0].intermediate_values
    assert list(reported.values()) == validated["loss_avg"].tolist()
    assert not (study.folder / "trials/0/checkpoints").exists()


def test_a_study_that_was_killed_ends_as_one_that_was_not(
    raw, run, whole, open_study, prepared, tmp_path
):
    whole = table(open_study(raw, whole))
    (tmp_path / "killer.py").write_text(KILLER)
    raw["training"]["loggers"] = ["!pyobject killer.Killer"]
    killed = tmp_path / "killed"
    environment = {**os.environ, "QGPIPE_PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    (one,) = expand_runs(raw)
    arguments = (raw, one.config, *prepared, killed, killed / "job.json")
    (tmp_path / "arguments").write_bytes(pickle.dumps(arguments))
    command = [sys.executable, "-c", JOB, str(tmp_path / "arguments")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    del raw["training"]["loggers"]
    left = table(open_study(raw, killed))
    assert left["state"].tolist() == ["finished", "running"]
    assert left["value"][0] == whole["value"][0]
    run(raw, "killed")
    pd.testing.assert_frame_equal(table(open_study(raw, killed)), whole)
    assert json.loads((killed / "job.json").read_text())["trials"] == [1, 2, 3]


def test_a_trial_is_taken_over_unless_its_process_lives(raw, whole, open_study, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "copy")
    raw["tune"]["trials"] = 5
    study = open_study(raw, folder)
    trial = study.take()
    assert trial.number == 4
    assert open_study(raw, folder).take() is None
    trial._lock.release()  # as the kernel does when a process dies
    again = open_study(raw, folder).take()
    assert (again.number, again.values) == (4, trial.values)
    again.end(0.5)
    assert open_study(raw, folder).take() is None


def test_more_trials_continue_a_study_and_other_ranges_start_one(
    raw, run, whole, open_study, tmp_path
):
    folder = shutil.copytree(whole, tmp_path / "studies")
    first = table(open_study(raw, folder))
    raw["tune"].update(trials=5, jobs=7)
    raw["training"]["optimizer_kwargs"]["lr"] = 0.5  # which trials never have
    run(raw)
    longer = table(open_study(raw, folder))
    assert len(longer) == 5
    pd.testing.assert_frame_equal(longer[:4], first, check_dtype=False)
    assert json.loads((folder / "job.json").read_text())["trials"] == [4]
    raw["tune"].update(trials=1, parameters={LR: {"low": 0.001, "high": 0.01}})
    run(raw)
    assert len(list(folder.glob("*/study.db"))) == 2


def test_a_pruner_ends_trials_by_the_validation(raw, run, open_study):
    raw["training"]["num_epochs"] = 3
    rates = {LR: {"choices": [3e-3, 1e-6]}}  # the second of which learns nothing
    raw["tune"].update(trials=5, sampler="random", sampler_kwargs={}, parameters=rates)
    raw["tune"].update(pruner="median", pruner_kwargs={"n_startup_trials": 1})
    trials = open_study(raw, run(raw)).optuna.get_trials()
    states = [trial.state.name for trial in trials]
    assert states[0] == "COMPLETE"
    assert "PRUNED" in states
    for number, trial in enumerate(trials[1:], start=1):
        # Of the finished trials before: those that it was compared with.
        others = [t for t in trials[:number] if t.state.name == "COMPLETE"]
        for epoch in (1, 2):  # the last one ends the trial anyway
            if epoch not in trial.intermediate_values:
                break
            best = min(v for e, v in trial.intermediate_values.items() if e <= epoch)
            worse = best > np.median([t.intermediate_values[epoch] for t in others])
            ends = trial.state.name == "PRUNED" and epoch == max(trial.intermediate_values)
            assert worse == ends
        if trial.state.name == "PRUNED":
            assert trial.user_attrs["epochs"] == len(trial.intermediate_values) < 3


def test_a_trial_that_diverges_fails_and_the_study_goes_on(raw, run, open_study):
    rates = {LR: {"choices": [1e-3, 1e30]}}
    raw["tune"].update(sampler="random", sampler_kwargs={}, parameters=rates)
    found = table(open_study(raw, run(raw)))
    failed = found[LR] == 1e30
    assert 0 < failed.sum() < 4
    assert (found["state"] == np.where(failed, "failed", "finished")).all()
    assert found["why"][failed].str.contains("the loss is nan|not finite|is inf").all()
    assert found["value"][failed].isna().all()


def test_a_mistake_of_the_user_ends_the_study_with_the_settings(raw, run, open_study):
    del raw["tune"]["parameters"][WIDTH]["also"]
    raw["tune"]["parameters"][WIDTH] = {"choices": [8, 64]}
    with pytest.raises(ConfigError, match=r"\(trial \d: lr=.*layers\.0\.1\.1=8\)"):
        run(raw)


def test_a_damaged_file_is_named(raw, run, open_study):
    raw["tune"]["trials"] = 1
    folder = run(raw)
    (file,) = folder.glob("*/study.db")
    file.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(DataError, match=r"study.db cannot be used: .*not a database"):
        open_study(raw, folder)


def emptied(file):
    file.write_bytes(b"")


def earlier(file):
    """As it was before the last three trials."""
    with sqlite3.connect(file) as database:
        database.execute("delete from trials where number > 0")


def renamed(file):
    with sqlite3.connect(file) as database:
        database.execute("update studies set study_name = 'another'")


def otherwise(file):
    with sqlite3.connect(file) as database:
        database.execute("update study_directions set direction = 'MAXIMIZE'")


def of_another_range(file):
    with sqlite3.connect(file) as database:
        database.execute(
            "update trial_params set distribution_json = replace(distribution_json, '0.1', '0.2')"
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (emptied, "study.db holds no study "),
        (Path.unlink, "study.db holds no study "),
        (renamed, "study.db holds no study "),
        (earlier, "study.db knows 1 of 4 trials"),
        (otherwise, "study.db is to maximize loss_avg"),
        (of_another_range, f"study.db has trials with another range of {LR}"),
    ],
)
def test_a_study_that_is_not_what_it_was_does_not_start_anew(
    raw, whole, tmp_path, open_study, change, said
):
    folder = shutil.copytree(whole, tmp_path / "copy")
    (file,) = folder.glob("*/study.db")
    change(file)
    file.touch()
    before = file.read_bytes()
    with pytest.raises(DataError) as refused:
        open_study(raw, folder)
    assert f"{file.parent}/{said}" in str(refused.value)
    assert str(refused.value).endswith("or delete its folder: the study then starts anew")
    assert file.read_bytes() == before or change in (emptied, Path.unlink)  # SQLite's own tables


def test_a_study_whose_first_process_was_killed_at_once_begins(raw, whole, tmp_path, open_study):
    """SQLite makes an empty file first."""
    folder = shutil.copytree(whole, tmp_path / "copy")
    (file,) = folder.glob("*/study.db")
    shutil.rmtree(file.parent / "trials")
    emptied(file)
    assert open_study(raw, folder).optuna.get_trials() == []


def test_a_lock_is_left_by_each_trial_but_not_held(raw, run):
    raw["tune"]["trials"] = 1
    (file,) = run(raw).glob("*/trials/0/.lock")
    with FolderLock(file) as lock:
        lock.write()


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", ["random", "gp", "optuna.samplers.QMCSampler"])
@pytest.mark.parametrize("pruner", ["hyperband", "halving", "percentile"])
def test_every_strategy_is_built_and_judges(raw, sampler, pruner):
    from qgpipe.tuning.strategies import build_pruner, build_sampler

    raw["tune"].update(sampler=sampler, sampler_kwargs={}, pruner=pruner)
    tune = expand_runs(raw)[0].config["tune"]
    study = optuna.create_study(pruner=build_pruner(tune, 9))
    for number in range(14):
        study.sampler = build_sampler(tune, number)
        trial = study.ask()
        x = trial.suggest_float("x", -1, 1)
        for epoch in range(1, 10):
            trial.report(x**2 + 1 / epoch, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, x**2)
    states = {trial.state.name for trial in study.get_trials()}
    assert states == {"COMPLETE", "PRUNED"}


def test_a_trial_is_resolved_from_what_was_written(raw):
    raw["model"]["encoder_kwargs"]["layers"][2][1][0] = {"!reference": {"target": WIDTH}}
    del raw["tune"]["parameters"][WIDTH]["also"]
    from qgpipe.sweeps.tuned import parameters_of

    parameters = parameters_of(expand_runs(raw)[0].config)
    config = trial_config(raw, parameters, {WIDTH: 24, LR: math.pi})
    layers = config["model"]["encoder_kwargs"]["layers"]
    assert layers[0][1] == [12, 24] and layers[2][1] == [24, 64]
    assert config["training"]["optimizer_kwargs"]["lr"] == math.pi
    assert "tune" not in config and "!reference" not in to_yaml(config)
    assert Path(config["training"]["path"]) == Path("results/runs")
