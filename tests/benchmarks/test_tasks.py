"""The tasks of the leaderboard: what each holds, and that its two forms differ in sizes only."""

from __future__ import annotations

from pathlib import Path

import pytest

from qgpipe.cli import main
from qgpipe.config import expand_runs, load_config

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "benchmarks" / "tasks"
NAMES = sorted(file.stem for file in TASKS.glob("*.yaml") if file.stem != "common")


def files(task: str, model: str = "seed") -> list[Path]:
    return [TASKS / "common.yaml", ROOT / f"config/models/{model}.yaml", TASKS / f"{task}.yaml"]


def leaves(value, place=()):
    """Every key with a plain value, or an empty list or mapping."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list) and inner:
            yield from leaves(inner, (*place, key))
        else:
            yield (*place, key), inner


@pytest.mark.parametrize("task", NAMES)
def test_a_task_has_seeds_of_its_own_enough_to_test_on_and_further_sets(task):
    runs = expand_runs(load_config(*files(task)))
    assert [run.config["training"]["seed"] for run in runs] == [1, 2, 3]
    config = runs[0].config
    *_, test = config["data"]["split"]
    assert config["generate"]["num_samples"] * test >= 3000
    sets = config["evaluate"]["sets"]
    assert len(sets) >= 2
    assert all(one["generate"]["num_samples"] >= 300 for one in sets.values())


def test_no_two_tasks_have_the_same_causal_sets():
    seeds = [load_config(TASKS / f"{task}.yaml")["generate"]["seed"] for task in NAMES]
    assert len({*seeds}) == len(seeds)


@pytest.mark.parametrize("task", NAMES)
def test_the_full_form_differs_in_numbers_and_sizes_only(task):
    small = load_config(*files(task))
    full = load_config(*files(task), TASKS / "full" / f"{task}.yaml")
    before, after = dict(leaves(small)), dict(leaves(full))
    assert before.keys() == after.keys()
    changed = {place for place in before if before[place] != after[place]}
    assert changed
    assert all({"num_samples", "size"} & {*place} for place in changed)
    assert len(expand_runs(full)) == 3


@pytest.mark.parametrize("task", NAMES)
@pytest.mark.parametrize("model", ["seed", "two_way", "gin", "graphnorm_residual"])
def test_a_model_fits_a_task(task, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *map(str, files(task, model))]) == 0
    assert f"results/runs/{model}-seed=1/" in capsys.readouterr().out
