import jsonschema
import pandas as pd
import pytest

import qgpipe
import qgpipe.compat.quantumgrav as QG

TASKS = {
    0: {"metric": "loss", "delta": 0.1, "grace_period": 1, "init_best_score": 5.0, "mode": "min"},
    1: {"metric": "f1", "delta": 0.0, "grace_period": 0, "init_best_score": 0.9, "mode": "max"},
}
CONFIG = {"tasks": TASKS, "mode": "any", "patience": 2}


def table(loss, f1):
    return pd.DataFrame({"loss": [loss], "f1": [f1]})


def test_tasks_are_read_and_set_by_key():
    stopping = QG.DefaultEarlyStopping(TASKS, 2)
    task = stopping.tasks[0]
    assert (task["best_score"], task["current_grace_period"], task["mode"]) == (5.0, 1, "min")
    assert not task["found_better"]
    task["best_score"] = 1.0
    assert not stopping(table(0.95, 0.0)) and not stopping.found_better_model  # within delta
    assert not stopping(table(0.5, 0.0)) and task["found_better"]
    assert task["best_score"] == 0.5 and task["current_grace_period"] == 0
    assert task["grace_period"] == 1  # the setting


def test_it_stops_as_ours_does():
    scores = [(4.0, 0.5), (4.0, 0.95), (4.0, 0.9), (4.0, 0.9), (4.0, 0.9)]
    there, ours = QG.DefaultEarlyStopping(**CONFIG), qgpipe.DefaultEarlyStopping(**CONFIG)
    decided = [(there(table(*s)), there.found_better_model) for s in scores]
    assert decided == [(ours(table(*s)), ours.found_better_model) for s in scores]
    assert decided[-2:] == [(True, False), (True, False)]


def test_reset_one_or_all():
    stopping = QG.DefaultEarlyStopping(**CONFIG)
    stopping(table(1.0, 1.0))
    stopping.reset(1)
    assert stopping.tasks[1]["best_score"] == 0.9 and not stopping.tasks[1]["found_better"]
    assert stopping.tasks[0]["best_score"] == 1.0 and stopping.tasks[0]["found_better"]
    stopping.reset()
    assert stopping.tasks[0]["best_score"] == 5.0
    assert stopping.tasks[0]["current_grace_period"] == 1 and not stopping.grace_periods_ran_out


def test_config_and_state_round_trip():
    stopping = QG.DefaultEarlyStopping.from_config(CONFIG)
    assert stopping.to_config() == CONFIG
    stopping(table(1.0, 0.0))
    stopping(table(1.0, 0.0))
    other = QG.DefaultEarlyStopping.from_config(CONFIG)
    other.load_state_dict(stopping.to_state_dict())
    assert other.to_state_dict() == stopping.to_state_dict()
    assert other.current_patience == 1 and other.tasks[0]["best_score"] == 1.0


def test_what_is_missing_is_an_error_of_jsonschema():
    broken = {**CONFIG, "tasks": {0: {k: v for k, v in TASKS[0].items() if k != "delta"}}}
    with pytest.raises(jsonschema.ValidationError, match="'delta' is a required property"):
        QG.DefaultEarlyStopping.from_config(broken)
    with pytest.raises(ValueError, match="no validation results"):
        QG.DefaultEarlyStopping(**CONFIG)(table(1, 1).iloc[:0])
