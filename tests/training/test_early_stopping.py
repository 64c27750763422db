import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.errors import ConfigError
from qgpipe.training.early_stopping import DefaultEarlyStopping, build_early_stopping

NAN = math.nan


def task(metric="loss_avg", **keys):
    return {"metric": metric, **keys}


def run(stopper, *columns, names=("loss_avg", "f1")):
    """Feed the values epoch by epoch; returns [(better, patience left, stop), …]."""
    trace = []
    for i in range(1, len(columns[0]) + 1):
        data = pd.DataFrame({n: values[:i] for n, values in zip(names, columns, strict=False)})
        stop = stopper(data)
        trace.append((stopper.found_better_model, stopper.current_patience, stop))
    return trace


# name, constructor, values by epoch (one list a column), expected (better, patience, stop) by epoch
TRACES = [
    (
        "patience falls by one at each epoch that is not better, and is full again after a better",
        {"tasks": {0: task()}, "patience": 2},
        [[5.0, 6.0, 4.0, 4.0, 4.5]],
        [
            (True, 2, False),
            (False, 1, False),
            (True, 2, False),
            (False, 1, False),
            (False, 0, True),
        ],
    ),
    (
        "patience 0 stops at the first epoch that is not better, and not before",
        {"tasks": {0: task()}, "patience": 0},
        [[3.0, 2.0, 2.0]],
        [(True, 0, False), (True, 0, False), (False, -1, True)],
    ),
    (
        "patience 1 stops there too",
        {"tasks": {0: task()}, "patience": 1},
        [[3.0, 2.0, 2.0]],
        [(True, 1, False), (True, 1, False), (False, 0, True)],
    ),
    (
        "max mode wants higher values",
        {"tasks": {0: task(mode="max")}, "patience": 1},
        [[0.5, 0.6, 0.6]],
        [(True, 1, False), (True, 1, False), (False, 0, True)],
    ),
    (
        "a change has to be larger than delta",
        {"tasks": {0: task(delta=1.0)}, "patience": 2},
        [[10.0, 9.0, 8.9, 8.5]],  # 10 - 1 > 9 is false; 10 - 1 > 8.9 is true; then best is 8.9
        [(True, 2, False), (False, 1, False), (True, 2, False), (False, 1, False)],
    ),
    (
        "delta in max mode",
        {"tasks": {0: task(delta=0.5, mode="max")}, "patience": 2},
        [[1.0, 1.5, 1.6]],
        [(True, 2, False), (False, 1, False), (True, 2, False)],
    ),
    (
        "patience does not fall within the grace period",
        {"tasks": {0: task(grace_period=2)}, "patience": 1},
        [[1.0, 2.0, 2.0]],  # grace left before each epoch: 2, 1, 0
        [(True, 1, False), (False, 1, False), (False, 0, True)],
    ),
    (
        "patience 0 is held by a grace period as well",
        {"tasks": {0: task(grace_period=3)}, "patience": 0},
        [[1.0, 2.0, 2.0, 2.0]],
        [(True, 0, False), (False, 0, False), (False, 0, False), (False, -1, True)],
    ),
    (
        "every grace period has to be over",
        {
            "tasks": {"a": task(grace_period=1), "b": task("f1", mode="max", grace_period=3)},
            "patience": 1,
        },
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]],
        [(True, 1, False), (False, 1, False), (False, 1, False), (False, 0, True)],
    ),
    (
        "an initial score has to be beaten",
        {"tasks": {0: task(init_best_score=0.5)}, "patience": 2},
        [[0.9, 0.4, 0.6]],
        [(False, 1, False), (True, 2, False), (False, 1, False)],
    ),
    (
        "NaN is never better",
        {"tasks": {0: task()}, "patience": 2},
        [[NAN, 1.0, NAN, NAN]],
        [(False, 1, False), (True, 2, False), (False, 1, False), (False, 0, True)],
    ),
    (
        "any: one better task is enough",
        {"tasks": {"a": task(), "b": task("f1", mode="max")}, "patience": 2},
        [[1.0, 2.0, 2.0], [0.5, 0.6, 0.6]],
        [(True, 2, False), (True, 2, False), (False, 1, False)],
    ),
    (
        "all: every task has to be better, otherwise no best score moves",
        {"tasks": {"a": task(), "b": task("f1", mode="max")}, "patience": 3, "mode": "all"},
        # epoch 2: only f1 is better, its best stays 0.5; so 0.55 counts in epoch 3
        [[1.0, 1.5, 0.9, 0.8], [0.5, 0.6, 0.55, 0.5]],
        [(True, 3, False), (False, 2, False), (True, 3, False), (False, 2, False)],
    ),
]


@pytest.mark.parametrize(
    ("arguments", "columns", "expected"), [t[1:] for t in TRACES], ids=[t[0] for t in TRACES]
)
def test_traces_worked_by_hand(arguments, columns, expected):
    assert run(DefaultEarlyStopping(**arguments), *columns) == expected


def test_any_moves_the_best_score_of_the_better_tasks_only():
    stopper = DefaultEarlyStopping({"a": task(), "b": task("f1", mode="max")}, patience=5)
    run(stopper, [1.0, 2.0], [0.5, 0.6])
    assert stopper.best_scores == {"a": 1.0, "b": 0.6}
    assert stopper.improved == ["b"]


def test_a_missing_column_is_an_error_that_lists_the_columns():
    stopper = DefaultEarlyStopping({0: task("f1_macro")}, patience=1)
    with pytest.raises(ConfigError) as caught:
        stopper(pd.DataFrame({"loss_avg": [1.0], "f1": [0.5]}))
    assert str(caught.value) == (
        "early_stopping.tasks.0.metric: the validation results have no column 'f1_macro'; "
        "the columns are loss_avg, f1"
    )


def test_columns_can_be_asked_for_before_training():
    stopper = DefaultEarlyStopping({0: task("f1")}, patience=1)
    stopper.require(["loss_avg", "f1"])
    with pytest.raises(ConfigError, match="no column 'f1'"):
        stopper.require(["loss_avg"])


def test_from_config_reads_the_native_section_with_number_strings():
    section = {
        "tasks": {0: {"metric": "loss_avg", "delta": "1e-4", "init_best_score": "1e9"}},
        "mode": "any",
        "patience": 5,
    }
    stopper = DefaultEarlyStopping.from_config(section)
    assert stopper.tasks["0"].delta == 1e-4
    assert stopper.best_scores == {"0": 1e9}
    assert stopper.watched == "loss_avg"


def test_an_unknown_mode_is_refused_with_its_key():
    with pytest.raises(ConfigError, match=r"early_stopping\.mode: expected one of any, all"):
        DefaultEarlyStopping({0: task()}, patience=1, mode="some")


class StopAfter:
    def __init__(self, epochs, extra=0):
        self.epochs = epochs + extra

    def __call__(self, data):
        return len(data) >= self.epochs


def test_a_class_of_the_users_is_constructed_with_its_arguments():
    stopper = build_early_stopping({"type": StopAfter, "args": [2], "kwargs": {"extra": 1}})
    assert [stop for *_, stop in _calls(stopper, 3)] == [False, False, True]


def _calls(stopper, epochs):
    for i in range(1, epochs + 1):
        yield (stopper(pd.DataFrame({"loss_avg": [0.0] * i})),)


@given(
    st.lists(st.floats(-1e3, 1e3) | st.just(NAN), min_size=2, max_size=20),
    st.integers(0, 4),
    st.integers(0, 4),
    st.data(),
)
def test_a_restored_state_goes_on_as_if_nothing_had_happened(values, patience, grace, data):
    def make():
        return DefaultEarlyStopping({0: task(grace_period=grace, delta=0.5)}, patience=patience)

    cut = data.draw(st.integers(1, len(values) - 1))
    whole = run(make(), values)
    first, second = make(), make()
    run(first, values[:cut])
    second.load_state_dict(first.state_dict())
    frames = (pd.DataFrame({"loss_avg": values[: i + 1]}) for i in range(cut, len(values)))
    stops = [second(frame) for frame in frames]
    assert stops == [stop for *_, stop in whole[cut:]]


def test_infinity_is_never_better():
    for mode in ("min", "max"):
        stopper = DefaultEarlyStopping({"a": task(mode=mode)}, patience=9)
        for value in (math.inf, -math.inf, NAN):
            assert not stopper.tasks["a"].is_better(value)
        assert stopper.tasks["a"].is_better(1.0)
