"""Tables, importances and figures of studies that are made up."""

import json
import math

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from qgpipe.errors import ConfigError, TrainingError
from qgpipe.report.figures import style, tuning_figures
from qgpipe.sweeps.expansion import expand_runs
from qgpipe.tuning import strategies
from qgpipe.tuning.results import best_trial, importances, write_study


def made_up(values) -> pd.DataFrame:
    """A table with a state and value for each trial."""
    table = pd.DataFrame(values, columns=["state", "value"])
    return table.assign(trial=range(len(table)), why=None)


TABLE = made_up([
    ("finished", 3.0), ("failed", math.nan), ("finished", 1.0), ("pruned", 0.5), ("finished", 1.0),
])  # fmt: skip


def test_the_best_trial_is_a_finished_one_and_the_first_of_equals():
    assert best_trial(TABLE, "min") == 2
    assert best_trial(TABLE, "max") == 0


def test_a_study_without_a_finished_trial_says_why():
    table = made_up([("failed", math.nan), ("pruned", 1.0)])
    table.loc[0, "why"] = "the loss is nan"
    with pytest.raises(TrainingError, match=r"none of the 2 trials .* the loss is nan"):
        best_trial(table, "min")


def test_importances_are_shares_of_the_variance():
    # Of 3 a + b with a and b even on [0, 1] the variance is 9/12 + 1/12: shares 0.9 and 0.1.
    study = optuna.create_study()
    rng = np.random.default_rng(0)
    even = FloatDistribution(0, 1)
    for a, b in rng.random((200, 2)):
        distributions = {"a": even, "b": even}
        study.add_trial(
            create_trial(params={"a": a, "b": b}, distributions=distributions, value=3 * a + b)
        )
    found = importances(study, seed=0)
    assert list(found) == ["a", "b"]
    assert found["a"] == pytest.approx(0.9, abs=0.03)
    assert sum(found.values()) == pytest.approx(1)
    assert found == importances(study, seed=0)


def test_few_trials_or_equal_ones_have_no_importances():
    study = optuna.create_study()
    for a in (0.1, 0.2, 0.3, 0.4, 0.5):
        assert importances(study, 0) == {}
        trial = create_trial(
            params={"a": a}, distributions={"a": FloatDistribution(0, 1)}, value=1.0,
            state=TrialState.COMPLETE,
        )  # fmt: skip
        study.add_trial(trial)
    assert importances(study, 0) == {}


def test_the_figure_shows_every_trial_and_the_best_so_far():
    with style.applied():
        figure = tuning_figures.trials(TABLE, "loss_avg", "min")
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["finished (3)"].get_xydata().tolist() == [[0, 3], [2, 1], [4, 1]]
    assert lines["pruned (1)"].get_xydata().tolist() == [[3, 0.5]]
    assert lines["best so far"].get_ydata().tolist() == [3, 3, 1, 1, 1]
    assert "failed (1)" in lines


def test_what_is_far_worse_is_drawn_at_the_edge():
    table = made_up([("finished", v) for v in (1.0, 1.1, 1.2, 1.3, 1.4, 1e9)])
    for mode, sign in (("min", 1), ("max", -1)):
        table["value"] = sign * table["value"].abs()
        with style.applied():
            axes = tuning_figures.trials(table, "loss_avg", mode).axes[0]
        assert max(abs(value) for line in axes.lines[:2] for value in line.get_ydata()) == 1.4


def test_bars_are_the_importances_largest_first():
    with style.applied():
        axes = tuning_figures.importances({"a.b": 0.75, "c": 0.25}, "loss_avg", 4).axes[0]
        none = tuning_figures.importances({}, "loss_avg", 4)
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a.b", "c"]
    assert "at least 4 finished trials" in none.texts[0].get_text()


def test_all_is_written_with_the_same_bytes_each_time(raw, whole, prepared, tmp_path):
    names = {
        "best": "best.yaml", "trials": "trials.csv", "summary": "study.json",
        "trials_figure": "trials.svg", "importances_figure": "importances.svg",
    }  # fmt: skip
    written = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        outputs = {kind: folder / name for kind, name in names.items()}
        write_study(raw, expand_runs(raw)[0].config, *prepared, whole, None, outputs)
        written.append({kind: file.read_bytes() for kind, file in outputs.items()})
    assert written[0] == written[1]
    assert json.loads(written[0]["summary"])["trials"] == {
        "finished": 4, "pruned": 0, "failed": 0, "running": 0,
    }  # fmt: skip


def test_without_optuna_the_extra_is_named(raw, prepared, tmp_path, run, monkeypatch):
    monkeypatch.setattr(strategies.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^tune: Optuna is not installed; .*qgpipe\[tune\]"):
        run(raw)
    assert not (tmp_path / "studies").exists()
