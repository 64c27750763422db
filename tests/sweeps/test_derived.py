import copy
import itertools

import pytest

from qgpipe.config.resolve import resolve_config
from qgpipe.errors import ConfigError
from qgpipe.stages.registry import stage_section
from qgpipe.sweeps.derived import ablated_runs, derived_configs
from qgpipe.sweeps.expansion import expand_runs, with_derived

KINDS = ["no_edges", "reversed_edges"]


@pytest.fixture
def raw(minimal):
    minimal["name"] = "base"
    minimal["report"] = {"explain": True, "ablations": KINDS}
    minimal["evaluate"] = {"sets": {"more": {"file": "b.zarr"}}}
    minimal["predict"] = {"files": ["b.zarr"]}
    return minimal


def test_a_run_for_each_kind_that_is_only_trained_and_tested(raw):
    [run] = expand_runs(raw)
    before = copy.deepcopy(run.config)
    found = derived_configs(run.config)
    assert run.config == before
    assert ablated_runs(run.config) == {kind: f"base-{kind}" for kind in KINDS}
    assert list(found) == ["ablation"]
    assert [one.config for one in run.derived["ablation"]] == found["ablation"]
    for kind, config in zip(KINDS, found["ablation"], strict=True):
        assert config["name"] == f"base-{kind}"
        assert config["training"] == {**before["training"], "ablation": kind}
        assert config["report"] == {"explain": False, "ablations": [], "sensitivity": []}
        assert config["baseline"] is False
        assert not {"evaluate", "predict", "tune"} & set(config)
        assert derived_configs(config) == {}
        for key in ("data", "model", "testing"):
            assert config[key] == before[key]


def test_a_derived_configuration_is_one_of_its_own(raw):
    raw["ensemble"] = 2
    [run] = expand_runs(raw)
    for config in itertools.chain(*derived_configs(run.config).values()):
        assert resolve_config(config) == config


def test_the_ablation_shapes_the_training_and_none_leaves_it_as_it_was(raw):
    [run] = expand_runs(raw)
    section = stage_section(run.config, "train")
    assert "ablation" not in section["training"]
    sections = [stage_section(one.config, "train") for one in run.derived["ablation"]]
    assert [one["training"].pop("ablation") for one in sections] == KINDS
    assert sections == [section, section]


def test_each_run_of_a_sweep_has_its_own(raw):
    raw["training"]["batch_size"] = {"!sweep": {"values": [4, 8]}}
    names = [one.config["name"] for run in expand_runs(raw) for one in run.derived["ablation"]]
    assert names == [f"base-batch_size={size}-{kind}" for size in (4, 8) for kind in KINDS]


def test_an_ablation_of_an_ensemble_is_an_ensemble_without_the_same_part(raw):
    raw |= {"ensemble": 2, "report": {"ablations": ["no_edges"]}}
    runs = with_derived(expand_runs(raw))
    seeds = {
        run.config["name"]: (run.config["training"]["seed"], run.config["training"]["ablation"])
        for run in runs
    }
    assert seeds == {
        "base": (1, None),
        "base-member=1": (1, None),
        "base-member=2": (2, None),
        "base-no_edges": (1, "no_edges"),
        "base-no_edges-member=1": (1, "no_edges"),
        "base-no_edges-member=2": (2, "no_edges"),
    }
    assert {run.config["data"]["seed"] for run in runs[1:3]} == {1}


def test_a_name_that_is_too_long_is_refused(raw):
    raw["name"] = "x" * 195
    with pytest.raises(ConfigError, match="make it 4 characters shorter"):
        expand_runs(raw)
