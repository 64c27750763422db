import copy

import pytest

from qgpipe.config.resolve import resolve_config
from qgpipe.errors import ConfigError
from qgpipe.stages.registry import stage_section
from qgpipe.sweeps.derived import ablated_runs
from qgpipe.sweeps.expansion import expand_runs, with_derived

KINDS = ["no_edges", "reversed_edges"]


def ablations(run):
    return run.derived["ablation"]


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
    found = ablations(run)
    assert run.config == before
    assert ablated_runs(run.config) == {kind: f"base-{kind}" for kind in KINDS}
    for kind, one in zip(KINDS, found, strict=True):
        assert one.config["name"] == f"base-{kind}"
        assert one.config["training"] == {**before["training"], "ablation": kind}
        assert one.config["report"] == {"explain": False, "ablations": []}
        assert one.config["baseline"] is False
        assert not {"evaluate", "predict", "tune"} & set(one.config)
        assert with_derived([one]) == [one]
        assert {k: one.config[k] for k in ("data", "model", "testing")} == {
            k: before[k] for k in ("data", "model", "testing")
        }


def test_a_resolved_ablation_is_a_configuration_of_its_own(raw):
    for one in ablations(expand_runs(raw)[0]):
        assert resolve_config(one.config) == one.config


def test_the_ablation_shapes_the_training_and_none_leaves_it_as_it_was(raw):
    [run] = expand_runs(raw)
    section = stage_section(run.config, "train")
    assert "ablation" not in section["training"]
    sections = [stage_section(one.config, "train") for one in ablations(run)]
    assert [one["training"].pop("ablation") for one in sections] == KINDS
    assert sections == [section, section]


def test_each_run_of_a_sweep_has_its_own(raw):
    raw["training"]["batch_size"] = {"!sweep": {"values": [4, 8]}}
    names = [one.config["name"] for run in expand_runs(raw) for one in ablations(run)]
    assert names == [f"base-batch_size={size}-{kind}" for size in (4, 8) for kind in KINDS]


def test_a_name_that_is_too_long_is_refused(raw):
    raw["name"] = "x" * 195
    with pytest.raises(ConfigError, match="make it 4 characters shorter"):
        expand_runs(raw)


def test_an_ensemble_has_a_member_for_each_seed_and_so_have_its_ablations(raw):
    raw["ensemble"], raw["training"]["seed"] = 2, 7
    [run] = expand_runs(raw)
    members = run.derived["member"]
    assert [one.config["name"] for one in members] == ["base-member=1", "base-member=2"]
    assert [one.config["training"]["seed"] for one in members] == [7, 8]
    assert [stage_section(one.config, "split") for one in members] == [
        stage_section(run.config, "split")
    ] * 2
    names = [one.config["name"] for one in with_derived([run])]
    assert names[-3:] == [f"base-{KINDS[1]}{end}" for end in ("", "-member=1", "-member=2")]
    for one in members:
        assert resolve_config(one.config) == one.config
