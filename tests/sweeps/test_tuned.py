from pathlib import Path

import pytest

from qgpipe.config import expand_runs, load_config
from qgpipe.config.key_path import parse_key, replace_at
from qgpipe.errors import ConfigError
from qgpipe.sweeps.tuned import objective, parameters_of, with_values

ROOT = Path(__file__).parents[2]
DIMS = "model.downstream_tasks[0].kwargs.dims"


def parameters(**given):
    return parameters_of({"tune": {"parameters": {k: {**EMPTY, **v} for k, v in given.items()}}})


EMPTY = {"low": None, "high": None, "log": False, "step": None, "choices": None, "also": [],
         "along": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.b[1].c", {"a": {"b": [0, {"c": 9}], "7": 1}}),
        ("a.7", {"a": {"b": [0, {"c": 2}], "7": 9}}),
        ("d.e", {"a": {"b": [0, {"c": 2}], "7": 1}, "d": {"e": 9}}),
    ],
)
def test_a_value_is_put_at_its_place_in_a_copy(key, expected):
    config = {"a": {"b": [0, {"c": 2}], "7": 1}}
    assert replace_at(config, parse_key(key), 9) == expected
    assert config == {"a": {"b": [0, {"c": 2}], "7": 1}}


@pytest.mark.parametrize("key", ["a.b[2]", "a.b.c", "a.7.x", "r.x"])
def test_there_is_no_place_in_a_value_or_beyond_a_list(key):
    config = {"a": {"b": [0, 1], "7": 1}, "r": {"!reference": {"target": "a"}}}
    with pytest.raises(KeyError):
        replace_at(config, parse_key(key), 9)


def test_a_partial_is_looked_into():
    config = {"f": {"!partial": {"type": "torch.sum", "kwargs": {"dim": 0}}}}
    changed = replace_at(config, parse_key("f.kwargs.dim"), 1)
    assert changed == {"f": {"!partial": {"type": "torch.sum", "kwargs": {"dim": 1}}}}


def test_a_value_sets_every_key_of_its_parameter():
    one, other = parameters(
        x={"low": 1, "high": 4, "also": ["y[0]"]},
        z={"choices": [[1, 2], [3]], "along": {"w": ["p", "q"]}},
    )
    assert one.is_whole and one.examples == [1, 4]
    assert other.labels == other.examples == ["1x2", "3"]
    raw = {"x": 0, "y": [0, 0], "z": None, "w": None, "tune": {}}
    assert with_values(raw, [one, other], {"x": 3, "z": "3"}) == {
        "x": 3, "y": [3, 0], "z": [3], "w": "q",
    }  # fmt: skip


def test_numbers_are_whole_only_if_all_are_written_so():
    steps = parameters(a={"low": 0, "high": 1, "step": 0.25}, b={"low": 0.0, "high": 1})
    assert [one.is_whole for one in steps] == [False, False]
    assert steps[0].examples == [0, 1]
    assert steps[1].examples == pytest.approx([0, 1, 0.618])


@pytest.mark.parametrize(
    ("tune", "tasks", "expected"),
    [
        ({}, {}, ("loss_avg", "min")),
        ({}, {0: ("f1", "max"), 1: ("loss_avg", "min")}, ("f1", "max")),
        ({"metric": "loss_max"}, {0: ("f1", "max")}, ("loss_max", "min")),
        ({"metric": "f1", "mode": "min"}, {0: ("f1", "max")}, ("f1", "min")),
    ],
)
def test_the_objective_is_what_early_stopping_watches_unless_it_is_named(tune, tasks, expected):
    watched = {name: {"metric": m, "mode": mode} for name, (m, mode) in tasks.items()}
    config = {
        "tune": {"metric": None, "mode": None, **tune},
        "validation": {"validator": {"evaluator_tasks": [{"name": "f1", "monitor": "m.f"}]}},
        "early_stopping": {"tasks": watched} if watched else None,
    }
    assert objective(config) == expected


SCORE = "!pyobject sklearn.metrics.f1_score"


def judged_by(tune, *tasks):
    tasks = [{"name": name, "monitor": monitor} for name, monitor in tasks]
    return objective(
        {
            "tune": {"metric": None, "mode": None, **tune},
            "validation": {"validator": {"evaluator_tasks": tasks}},
        }
    )


def test_what_is_better_of_a_known_monitor_need_not_be_said():
    assert judged_by({"metric": "f"}, ("f", SCORE)) == ("f", "max")
    assert judged_by({"metric": "f"}, ("f", "sklearn.metrics.log_loss")) == ("f", "min")
    assert judged_by({}, ("loss_avg", "numpy.mean")) == ("loss_avg", "min")


def test_a_loss_whose_name_a_metric_has_taken_is_found_under_its_other_name():
    assert judged_by({}, ("loss_avg", SCORE)) == ("criterion_loss_avg", "min")
    assert judged_by({"metric": "loss_avg"}, ("loss_avg", SCORE)) == ("loss_avg", "max")
    with pytest.raises(ConfigError, match="nothing says whether a lower or a higher 'loss_avg'"):
        judged_by({"metric": "loss_avg"}, ("loss_avg", "m.f"))


@pytest.mark.parametrize(
    ("metric", "mode", "better"), [("f", "min", "more"), ("loss_avg", "max", "less")]
)
def test_the_worse_cannot_be_tuned_for(metric, mode, better):
    with pytest.raises(ConfigError, match=rf"tune\.mode: {better} of '{metric}' is better, not '"):
        judged_by({"metric": metric, "mode": mode}, ("f", SCORE))


def test_sizes_that_belong_together_are_tuned_together():
    raw = load_config(ROOT / "config" / "run.yaml")
    width = "model.encoder_kwargs.layers[2][1][1]"
    heads = [[[width + 32, 128], [128, 3]] for width in (32, 64)]
    raw["tune"] = {"parameters": {width: {"choices": [32, 64], "along": {DIMS: heads}}}}
    (parameter,) = parameters_of(expand_runs(raw)[0].config)
    changed = with_values(raw, [parameter], {width: 32})
    assert changed["model"]["downstream_tasks"][0]["kwargs"]["dims"] == [[64, 128], [128, 3]]
    assert changed["model"]["encoder_kwargs"]["layers"][2][1] == [64, 32]


def test_one_fold_can_be_tuned_but_not_all():
    raw = load_config(ROOT / "config" / "run.yaml")
    raw["data"]["folds"] = 3
    raw["tune"] = {"parameters": {"training.batch_size": {"choices": [8, 16]}}}
    with pytest.raises(ConfigError, match=r"data\.fold makes several"):
        expand_runs(raw)
    raw["data"]["fold"] = 2
    assert len(expand_runs(raw)) == 1
