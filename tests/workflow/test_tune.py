"""A study of two jobs that is killed, goes on, and ends in a configuration that runs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from qgpipe.cli import main
from qgpipe.config import expand_runs, load_config

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN = Path("results/runs/tiny")
CONFIG = "settings/run.yaml"
BEST = "results/runs/tiny/tune/best.yaml"
WIDTH = "model.encoder_kwargs.layers[0][1][1]"
LOSS = """
from qgpipe.training.losses import cross_entropy


def loss(outputs, data):
    return cross_entropy(outputs, data)
"""
TUNING = ("tune", "--set-threads", "tune_trials=1", "train_run=1")


@pytest.fixture(scope="module")
def study(tmp_path_factory, new_project):
    """A folder in which a study was killed in its first trials, and has then gone on to its end.

    ``kept``: the rows of trials that had finished before.
    """
    made = new_project(tmp_path_factory.mktemp("study"))
    made.config["criterion"] = "!pyobject ownloss.loss"
    made.config["training"].update(num_epochs=2, checkpoint_at=None)
    layers = made.config["model"]["encoder_kwargs"]["layers"]
    layers[2][1][0] = {"!reference": {"target": WIDTH}}
    made.config["tune"] = {
        "trials": 5,
        "jobs": 2,
        "parameters": {
            "training.optimizer_kwargs.lr": {"low": "1e-4", "high": "1e-1", "log": True},
            WIDTH: {"choices": [16, 32]},
        },
    }
    (made.folder / "settings").mkdir()
    (made.folder / "settings/ownloss.py").write_text(LOSS)
    made.save(CONFIG)
    command = [
        sys.executable, "-m", "snakemake", *TUNING, "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(made.folder), "--cores", "2", "--configfile", str(made.folder / CONFIG),
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k != "QGPIPE_PATH"}
    with (made.folder / "first.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, process_group=0, env=environment
        )
    begun = made.folder / RUN / "tune/studies"
    while len(list(begun.glob("*/trials/*/logs/history.csv"))) < 2:
        assert process.poll() is None, (made.folder / "first.log").read_text()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (made.folder / BEST).exists()
    made.kept = rows(made)
    result = made.snakemake(*TUNING, config=CONFIG)
    assert result.returncode == 0, result.stdout + result.stderr
    return made


def rows(project) -> list[tuple]:
    """Number, state and values of each trial in the only study of a project."""
    from optuna.storages import RDBStorage

    (file,) = (project.folder / RUN / "tune/studies").glob("*/study.db")
    storage = RDBStorage(f"sqlite:///{file}")
    (one,) = storage.get_all_studies()
    trials = storage.get_all_trials(one._study_id)
    return [(t.number, t.state.name, t.params, t.value) for t in trials]


def test_finished_trials_are_kept_and_those_of_killed_jobs_go_on(study):
    found = rows(study)
    assert [state for _, state, _, _ in found] == ["COMPLETE"] * 5
    assert 1 <= len(study.kept) < 5
    for before, after in zip(study.kept, found, strict=False):
        assert before == after if before[1] == "COMPLETE" else before[2].items() <= after[2].items()
    jobs = [json.loads((study.folder / RUN / f"tune/jobs/{k}.json").read_text()) for k in (1, 2)]
    ended = sorted(number for job in jobs for number in job["trials"])
    done = [number for number, state, _, _ in study.kept if state == "COMPLETE"]
    assert ended == sorted(set(range(5)) - set(done))


def test_table_and_summary_are_those_of_the_study(study):
    table = pd.read_csv(study.folder / RUN / "tune/trials.csv")
    assert table["value"].tolist() == [value for *_, value in rows(study)]
    summary = json.loads((study.folder / RUN / "tune/study.json").read_text())
    best = table.loc[table["value"].idxmin()]
    assert summary["best"]["trial"] == best["trial"]
    assert summary["best"]["value"] == best["value"]
    assert summary["best"]["values"][WIDTH] == best[WIDTH]
    assert sum(summary["importances"].values()) == pytest.approx(1)


def test_the_best_configuration_runs_as_it_is_and_reaches_the_same(study):
    text = (study.folder / BEST).read_text()
    assert "!reference" in text and "!pyobject sklearn.metrics.f1_score" in text
    assert "tune:" not in text
    assert load_config(study.folder / BEST)["python_path"] == ["../../../../settings"]
    assert study.rules_to_run("train", config=BEST) == {"train_run": 1}
    result = study.snakemake("train", "--set-threads", "train_run=1", config=BEST)
    assert result.returncode == 0, result.stdout + result.stderr
    trained = json.loads((study.folder / "results/runs/tiny-best/summary.json").read_text())
    found = json.loads((study.folder / RUN / "tune/study.json").read_text())
    assert trained["best_score"] == pytest.approx(found["best"]["value"], rel=1e-6)


def test_nothing_is_to_be_done_afterwards_and_what_is_after_a_change(study):
    assert study.rules_to_run("tune", config=CONFIG) == {}
    gather = {"study_trials": 1}
    for key, value, jobs in (("trials", 6, {"tune_trials": 2}), ("jobs", 3, {"tune_trials": 1}),
                             ("jobs", 1, {})):  # fmt: skip
        changed = replace(study, config={**study.config, "tune": {**study.config["tune"]}})
        changed.config["tune"][key] = value
        changed.save("settings/changed.yaml")
        assert study.rules_to_run("tune", config="settings/changed.yaml") == gather | jobs


def test_all_trains_the_plain_run_too(study):
    assert {"train_run": 1, "test_run": 1}.items() <= study.rules_to_run(config=CONFIG).items()


def test_the_commands_know_a_study(study, monkeypatch, capsys):
    monkeypatch.chdir(study.folder)
    assert main(["trace", f"{RUN}/tune/best.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.count("tune/jobs/") == 4 and "no longer" not in said and "holds" in said
    assert main(["check", CONFIG]) == 0
    assert re.search(
        r"^tune +5 trials in 2 jobs, for a lower loss_avg; TPESampler, NopPruner\n"
        r" +training.optimizer_kwargs.lr: 0.0001 to 0.1, by order of magnitude\n",
        capsys.readouterr().out,
        re.M,
    )
    assert main(["clean", CONFIG]) == 0
    assert capsys.readouterr().out == "nothing is stale\n"


def test_clean_names_studies_of_other_settings(study, monkeypatch):
    from qgpipe.workflow.cleanup import find_stale

    monkeypatch.chdir(study.folder)
    (used,) = (RUN / "tune/studies").iterdir()
    for name in ("0123456789abcdef", "fedcba9876543210"):
        (RUN / "tune/studies" / name).mkdir()
        os.utime(RUN / "tune/studies" / name, (0, 0))
    (run,) = expand_runs({**study.config, "tune": {**study.config["tune"], "jobs": 1}})
    stale = {one.path.name for one in find_stale([run.config])}
    for name in ("0123456789abcdef", "fedcba9876543210"):
        (RUN / "tune/studies" / name).rmdir()
    assert stale == {
        "0123456789abcdef", "fedcba9876543210", "2.json", "2.json.provenance.json",
    }  # fmt: skip
    assert used.name not in stale
