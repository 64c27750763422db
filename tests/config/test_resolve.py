import copy

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from qgpipe.config import resolve_config
from qgpipe.config.dump import to_yaml
from qgpipe.config.resolve import data_sources
from qgpipe.config.schema import schema, validate
from qgpipe.errors import ConfigError


def changed(config, path, value):
    result = copy.deepcopy(config)
    *parents, last = path.split(".")
    section = result
    for name in parents:
        section = section.setdefault(name, {})
    section[last] = value
    return result


def test_defaults_come_from_the_schema(minimal):
    config = resolve_config(minimal)
    properties = schema()["$defs"]["training"]["properties"]
    assert config["training"]["optimizer_type"] == properties["optimizer_type"]["default"]
    assert config["training"]["device"] == "auto"
    assert config["data"]["split"] == [0.8, 0.1, 0.1]
    assert config["data"]["reader"]["type"] == "qgpipe.CausalSetReader"


def test_what_is_given_is_not_changed_in_place(minimal):
    before = copy.deepcopy(minimal)
    resolve_config(minimal)
    assert minimal == before


def test_resolving_twice_changes_nothing(minimal):
    once = resolve_config(minimal)
    assert resolve_config(once) == once


def test_testing_is_always_there_and_takes_the_batch_size_of_training(minimal):
    assert resolve_config(minimal)["testing"]["batch_size"] == 4


def test_null_stands_for_not_given(minimal):
    config = changed(minimal, "training.num_workers", None)
    config = changed(config, "validation.batch_size", None)
    resolved = resolve_config(config)
    assert resolved["training"]["num_workers"] == 0
    assert resolved["validation"]["batch_size"] == 4


@given(st.floats(min_value=1e-12, max_value=1e12, allow_nan=False))
def test_number_strings_become_numbers_where_the_schema_says_number(value):
    text = f"{value:.17e}"
    task = validate({"metric": "loss_avg", "delta": text}, "stopping_task")
    assert task["delta"] == float(text)


@given(st.integers(min_value=1, max_value=10**9))
def test_integer_strings_become_integers(value):
    result = validate({"seed": 1, "num_epochs": str(value), "batch_size": 2}, "training")
    assert result["num_epochs"] == value
    assert isinstance(result["num_epochs"], int)


def test_exponents_in_free_arguments_become_numbers_but_text_stays(minimal):
    kwargs = {"lr": "1e-4", "betas": ["9e-1", 0.999], "name": "12", "mode": "e5"}
    config = resolve_config(changed(minimal, "training.optimizer_kwargs", kwargs))
    assert config["training"]["optimizer_kwargs"] == {
        "lr": 1e-4,
        "betas": [0.9, 0.999],
        "name": "12",
        "mode": "e5",
    }


def test_stopping_tasks_get_text_keys(minimal):
    config = changed(minimal, "validation", {})
    config["early_stopping"] = {"tasks": {0: {"metric": "loss_avg"}}, "patience": 1}
    assert list(resolve_config(config)["early_stopping"]["tasks"]) == ["0"]


def test_keys_with_x_are_ignored(minimal):
    assert "x-anchor" not in resolve_config({**minimal, "x-anchor": {"a": 1}})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("trainig", {}, "run.yaml: trainig: unknown key; did you mean 'training'?"),
        ("training.batchsize", 3, "training.batchsize: unknown key; did you mean 'batch_size'?"),
        ("training.zzz", 3, "training.zzz: unknown key; known keys: seed, device"),
        ("training.num_epochs", 0, "training.num_epochs: expected an integer at least 1, got 0"),
        ("training.num_epochs", "many", "expected an integer at least 1, got 'many'"),
        ("training.num_epochs", 2.5, "expected an integer at least 1, got 2.5"),
        ("training.seed", None, "training.seed: must not be null"),
        ("training.shuffle", "yes", "training.shuffle: expected true or false, got 'yes'"),
        ("data.split", [0.5, 0.2, 0.2], "data.split: the shares sum to 0.9"),
        ("data.split", [0.5, 0.5], "data.split: expected 3 shares"),
        ("data.split", 0.8, "data.split: expected a list or null"),
        (
            "data.split_method",
            "clever",
            "expected one of random, stratified, group, hash, got 'clever'",
        ),
        ("data.subset", 0, "data.subset: expected a number at most 1 and above 0, got 0"),
        ("data.files", "a.zarr", "data.files: expected a list, got 'a.zarr'"),
        ("data.files", [], "data.files: no data; name zarr stores"),
        ("data.chunksize", "1e3x", "data.chunksize: expected an integer"),
        ("model.encoder_typ", 1, "model.encoder_typ: unknown key; did you mean 'encoder_type'?"),
        ("model.downstream_tasks", [], "model.downstream_tasks: expected a list with 1 entries"),
        (
            "criterion",
            3,
            "criterion: expected a string, a list, a mapping or a Python object, got 3",
        ),
        ("log_level", "LOUD", "log_level: unknown level 'LOUD'"),
        ("name", "a/b", "name: expected a string that matches"),
        ("early_stopping", {"tasks": {}, "patience": 1}, "early_stopping.tasks: expected"),
        (
            "early_stopping",
            {"tasks": {"a": {"metric": "loss_avg"}}, "patience": 1},
            "early_stopping: there is no validation to watch",
        ),
        (
            "early_stopping",
            {"tasks": {0: {"metric": "m", "delta": "small"}}, "patience": 1},
            "early_stopping.tasks.0.delta: expected a number at least 0, got 'small'",
        ),
        ("generate", {"classes": ["kr"]}, "generate.num_samples: missing"),
        ("validation.data", {"files": ["b"]}, "validation.data: there is a top-level data set"),
        ("training.optimizer_kwargs", [1], "training.optimizer_kwargs: expected a mapping or null"),
        ("validation.validator.evaluator_tasks", [{"name": "f1"}], "[0].monitor: missing"),
        ("training.batch_size", {"!sweep": {"values": [1]}}, "batch_size: a sweep stands for"),
        (
            "training.optimizer_kwargs.lr",
            {"!sweep": {"values": [1]}},
            "a sweep stands for several runs",
        ),
    ],
)
def test_mistakes_are_named_with_file_key_and_remedy(minimal, path, value, message):
    with pytest.raises(ConfigError) as caught:
        resolve_config(changed(minimal, path, value), "run.yaml")
    text = str(caught.value)
    assert text.startswith("run.yaml: ")
    assert message in text
    assert text.count("\n") <= 1


@pytest.mark.parametrize("key", ["data", "model", "training", "criterion"])
def test_a_missing_section_is_named(minimal, key):
    del minimal[key]
    with pytest.raises(ConfigError, match=f"^{key}: missing"):
        resolve_config(minimal)


def test_a_test_set_of_its_own_needs_two_shares(minimal):
    minimal["testing"] = {"data": {"files": ["t.zarr"]}}
    with pytest.raises(ConfigError, match=r"expected 2 shares because testing\.data"):
        resolve_config(minimal)
    minimal["data"]["split"] = [0.9, 0.1]
    sources = data_sources(resolve_config(minimal))
    assert [(role, source["files"]) for role, source in sources] == [
        ("all", ["a.zarr"]),
        ("test", ["t.zarr"]),
    ]


def test_three_data_sections_replace_the_split_and_share_the_reader(minimal):
    minimal["data"] = {"reader": "mymodule.reader"}
    for stage in ("training", "validation", "testing"):
        minimal.setdefault(stage, {})["data"] = {"files": [f"{stage}.zarr"]}
    sources = dict(data_sources(resolve_config(minimal)))
    assert list(sources) == ["train", "validation", "test"]
    assert all(source["reader"] == "mymodule.reader" for source in sources.values())


def test_what_a_stage_does_not_say_of_its_data_is_as_at_the_top(minimal):
    minimal["data"].update(split=[0.9, 0.1], pre_filter="mymodule.keep", n_processes=3)
    minimal["testing"] = {"data": {"files": ["t.zarr"], "chunksize": 7}}
    test = dict(data_sources(resolve_config(minimal)))["test"]
    assert (test["pre_filter"], test["n_processes"], test["chunksize"]) == ("mymodule.keep", 3, 7)


def test_a_data_section_in_only_one_stage_is_refused(minimal):
    minimal["data"] = {}
    minimal["training"]["data"] = {"files": ["a.zarr"]}
    with pytest.raises(ConfigError, match="missing in validation, testing"):
        resolve_config(minimal)


def test_the_schema_is_a_json_schema_that_a_resolved_configuration_fits(minimal):
    Draft202012Validator.check_schema(schema())
    minimal["early_stopping"] = {
        "tasks": {0: {"metric": "loss_avg", "delta": "1e-4"}},
        "patience": 2,
    }
    minimal["validation"] = {"validator": {"evaluator_tasks": [{"name": "m", "monitor": "a.b"}]}}
    minimal["testing"] = {"tester": {"type": "mymodule.Tester"}}
    jsonschema.validate(resolve_config(minimal), schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**resolve_config(minimal), "trainig": {}}, schema())


def test_paths_and_numbers_of_numpy_may_stand_in_a_configuration(minimal, tmp_path):
    minimal["data"]["files"] = [tmp_path / "a.zarr"]
    minimal["training"].update(path=tmp_path, batch_size=np.int64(8))
    minimal["model"]["encoder_kwargs"] = {"channels": [np.int32(3), np.float32(0.5), True]}
    resolved = resolve_config(minimal)
    assert resolved["data"]["files"] == [str(tmp_path / "a.zarr")]
    assert resolved["training"]["path"] == str(tmp_path)
    assert type(resolved["training"]["batch_size"]) is int
    values = resolved["model"]["encoder_kwargs"]["channels"]
    assert [(type(v), v) for v in values] == [(int, 3), (float, 0.5), (bool, True)]
    assert to_yaml(resolved)


def test_homes_are_spelt_out(minimal, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = changed(minimal, "data.files", ["~/a.zarr", "b~.zarr"])
    config = changed(changed(config, "training.path", "~/runs"), "data.output", "~")
    config = resolve_config(changed(config, "predict", {"files": ["~/c.zarr"]}))
    assert config["data"]["files"] == ["/home/me/a.zarr", "b~.zarr"]
    assert (config["training"]["path"], config["data"]["output"]) == ("/home/me/runs", "/home/me")
    assert config["predict"]["files"] == ["/home/me/c.zarr"]


def test_a_home_of_nobody_is_an_error(minimal):
    with pytest.raises(ConfigError, match="'~nobody-of-that-name/a' begins with the home of nobo"):
        resolve_config(changed(minimal, "data.files", ["~nobody-of-that-name/a"]))


@pytest.mark.parametrize("again", ["a.zarr", "./a.zarr", "b/../a.zarr"])
def test_a_store_that_is_named_twice_is_an_error(minimal, again):
    config = changed(minimal, "data.files", ["a.zarr", "b.zarr", again])
    with pytest.raises(ConfigError, match=r"data\.files: '.*a\.zarr' is named twice"):
        resolve_config(config)


def test_stages_with_data_of_their_own_need_no_other(minimal):
    config = changed(minimal, "validation", {})
    del config["data"]
    for stage in ("training", "validation", "testing"):
        config = changed(config, f"{stage}.data", {"files": [f"{stage}.zarr"], "output": stage})
    resolved = resolve_config(config)
    assert resolved["data"]["output"] == "training" and resolved["data"]["files"] == []
    assert [role for role, _ in data_sources(resolved)] == ["train", "validation", "test"]
    del config["testing"]["data"]
    with pytest.raises(ConfigError, match="data: missing"):
        resolve_config(config)
