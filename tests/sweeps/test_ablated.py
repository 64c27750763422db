import copy

import pytest

from qgpipe.config.resolve import resolve_config
from qgpipe.errors import ConfigError
from qgpipe.stages.registry import stage_section
from qgpipe.sweeps.ablated import ablated_runs, expand_ablations
from qgpipe.sweeps.expansion import expand_runs

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
    found = expand_ablations(run)
    assert run.config == before
    assert ablated_runs(run.config) == {kind: f"base-{kind}" for kind in KINDS}
    for kind, one in zip(KINDS, found, strict=True):
        assert one.config["name"] == one.base == f"base-{kind}"
        assert one.config["training"] == {**before["training"], "ablation": kind}
        assert one.config["report"] == {"explain": False, "ablations": []}
        assert one.config["baseline"] is False
        assert not {"evaluate", "predict", "tune"} & set(one.config)
        assert expand_ablations(one) == []
        assert {k: one.config[k] for k in ("data", "model", "testing")} == {
            k: before[k] for k in ("data", "model", "testing")
        }


def test_a_resolved_ablation_is_a_configuration_of_its_own(raw):
    for one in expand_ablations(expand_runs(raw)[0]):
        assert resolve_config(one.config) == one.config


def test_the_ablation_shapes_the_training_and_none_leaves_it_as_it_was(raw):
    [run] = expand_runs(raw)
    section = stage_section(run.config, "train")
    assert "ablation" not in section["training"]
    sections = [stage_section(one.config, "train") for one in expand_ablations(run)]
    assert [one["training"].pop("ablation") for one in sections] == KINDS
    assert sections == [section, section]


def test_each_run_of_a_sweep_has_its_own(raw):
    raw["training"]["batch_size"] = {"!sweep": {"values": [4, 8]}}
    names = [one.config["name"] for run in expand_runs(raw) for one in expand_ablations(run)]
    assert names == [f"base-batch_size={size}-{kind}" for size in (4, 8) for kind in KINDS]


def test_a_name_that_is_too_long_is_refused(raw):
    raw["name"] = "x" * 195
    [run] = expand_runs(raw)
    with pytest.raises(ConfigError, match="make it 4 characters shorter"):
        expand_ablations(run)
