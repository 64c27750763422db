"""A finished run evaluated on sets that are generated, and on a store."""

from __future__ import annotations

import copy
import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from qgpipe.causets.writers.generate import generate_store
from qgpipe.cli import main
from qgpipe.config.resolve import resolve_config
from qgpipe.evaluation.scores import class_scores, table_scores
from qgpipe.provenance.record import find_record

from .conftest import job_counts

pytestmark = pytest.mark.slow

RUN = "results/runs/tiny"
SETS = {
    "larger": {"generate": {"seed": 3, "num_samples": 12, "size": [30, 40], "classes": []}},
    "foreign": {"generate": {"num_samples": 6, "size": [20, 30], "classes": ["kr"]}},
    "stored": {"file": "fresh.zarr"},
    "single": {
        "generate": {
            "num_samples": 5,
            "size": [8, 16],
            "classes": [{"type": "percolation", "kwargs": {"probability": 0.0}}],
        }
    },
}
DATA = "results/data"


@pytest.fixture(scope="module")
def evaluated(finished, tmp_path_factory):
    """A copy of the finished run, evaluated on larger sets, on another class and on a store."""
    folder = tmp_path_factory.mktemp("evaluated") / "copy"
    made = replace(finished, folder=shutil.copytree(finished.folder, folder))
    section = resolve_config(made.config)["generate"]
    generate_store({**section, "seed": 7, "num_samples": 20}, "fresh", folder / "fresh.zarr")
    SETS["larger"]["generate"]["classes"] = list(reversed(made.config["generate"]["classes"]))
    made.config = {**made.config, "evaluate": {"sets": SETS}}
    made.save()
    before = {name: (folder / name).read_bytes() for name in (f"{DATA}/baseline.safetensors",)}
    result = made.snakemake("evaluate")
    assert result.returncode == 0, result.stdout + result.stderr
    assert not re.search(r"^ *(train|test|evaluate)_run ", result.stdout + result.stderr, re.M)
    assert {name: (folder / name).read_bytes() for name in before} == before
    return made


def results(project, name):
    return json.loads((project.folder / RUN / "evaluate" / f"{name}.json").read_text())


def test_every_set_has_scores_and_a_record(evaluated):
    for name, num_graphs in (("larger", 12), ("foreign", 6), ("stored", 20)):
        content = results(evaluated, name)
        assert content["num_graphs"] == num_graphs
        path = evaluated.folder / RUN / "evaluate" / f"{name}.json"
        assert find_record(path).content["stage"] == "evaluate"
    assert results(evaluated, "larger")["sizes"]["min"] >= 30
    (larger,) = results(evaluated, "larger")["tasks"]
    assert larger["num_known"] == 12


def test_another_class_is_not_scored_but_its_answers_are_counted(evaluated):
    (scores,) = results(evaluated, "foreign")["tasks"]
    assert scores["num_known"] == 0
    assert scores["accuracy"] is None
    assert sum(scores["predicted"].values()) == pytest.approx(1)


def test_a_store_has_the_scores_of_its_predictions(evaluated, tmp_path):
    store, out = evaluated.folder / "fresh.zarr", tmp_path / "out"
    assert main(["predict", str(evaluated.folder / RUN), str(store), "--output", str(out)]) == 0
    content = results(evaluated, "stored")
    rows = pd.read_csv(out / "fresh.csv")
    names = content["class_names"]
    (expected,) = table_scores(rows, names, content["set_class_names"])
    (found,) = content["tasks"]
    assert found["confusion_matrix"] == expected["confusion_matrix"]
    assert found["nll"] == pytest.approx(expected["nll"], rel=1e-4)
    shares = rows[[f"probability_{k}" for k in range(len(names))]].to_numpy()
    again = class_scores(shares, rows["target"].to_numpy(), names)
    assert again["accuracy"] == found["accuracy"]


def test_nothing_is_to_be_done_after_it_and_a_change_makes_one_set_again(evaluated):
    done = evaluated.snakemake("evaluate", "-n")
    assert "Nothing to be done" in done.stdout + done.stderr
    sets = {**SETS, "foreign": {"generate": {**SETS["foreign"]["generate"], "seed": 9}}}
    changed = replace(evaluated, config={**evaluated.config, "evaluate": {"sets": sets}})
    changed.save("changed.yaml")
    planned = changed.snakemake("evaluate", "-n", config="changed.yaml")
    said = planned.stdout + planned.stderr
    assert job_counts(said) == {"evaluate_set": 1, "apply_baselines": 1}
    changed.config["baseline"] = False
    changed.save("changed.yaml")
    assert changed.rules_to_run("evaluate", config="changed.yaml") == {"evaluate_set": 1}
    (evaluated.folder / "changed.yaml").unlink()


def test_the_baselines_have_scores_on_every_set(evaluated):
    for name, num_graphs in (("larger", 12), ("foreign", 6), ("stored", 20), ("single", 5)):
        path = evaluated.folder / DATA / "evaluate" / f"{name}.json"
        content = json.loads(path.read_text())
        assert content["num_graphs"] == num_graphs
        record = find_record(path)
        assert record.stage == "apply"
        (made_from,) = (file for file, sum in record.inputs.items() if not sum.startswith("store:"))
        assert find_record(made_from).stage == "baseline"
        (target,) = content["targets"]
        scores = target["baselines"]["constant"]
        assert scores["num_known"] == (num_graphs if name in ("larger", "stored") else 0)
        assert len({*scores["predicted"].values()} - {0.0}) == 1
        counts = [sum(row) for row in scores["confusion_matrix"]]
        assert name != "larger" or counts == [4, 4, 4]
        assert "linear" in target["baselines"]
        assert ("linear+two_order" in target["baselines"]) == (name != "single")
        if name == "single":  # what is left are its own features
            why = "the graphs have no edges: no invariants"
            assert target["left_out"]["boosting+two_order"] == why
            assert len(content["features"]) == 4


def test_baselines_and_model_are_shown_together(evaluated, tmp_path, capsys, monkeypatch):
    there = replace(evaluated, folder=shutil.copytree(evaluated.folder, tmp_path / "copy"))
    assert there.rules_to_run("report") == {"report_run": 1}
    done = there.snakemake("report")
    assert done.returncode == 0, done.stdout + done.stderr
    page = (there.folder / RUN / "report.html").read_text()
    section = page[page.index('<section id="further"') :].split("</section>")[0]
    assert section.count(">constant</th>") == 4
    names = "two_order, linear+two_order, boosting+two_order"
    assert f"{names} (the graphs have no edges: no invariants) on single" in section
    monkeypatch.chdir(there.folder)
    assert main(["show", "run.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    places = [k for k, line in enumerate(lines) if "larger: 12 graphs" in line]
    assert [lines[k + 1].split()[:2] for k in places] == [["baselines:", "accuracy"]]
    assert "constant 0.3333" in lines[places[0] + 1]
    assert main(["trace", f"{DATA}/evaluate/single.json"]) == 0
    assert main(["trace", f"{RUN}/evaluate/single.json"]) == 0
    assert "CHANGED" not in capsys.readouterr().out


def test_runs_that_share_data_and_split_share_the_baselines(evaluated, tmp_path):
    fresh = replace(evaluated, folder=tmp_path, config=copy.deepcopy(evaluated.config))
    del fresh.config["evaluate"]["sets"]["stored"]
    fresh.config["training"]["seed"] = {"!sweep": {"values": [1, 2]}}
    fresh.save()
    planned = fresh.rules_to_run("evaluate")
    assert (planned["baseline_answers"], planned["apply_baselines"]) == (2, 6)  # two splits
    fresh.config["data"]["seed"] = 3
    fresh.save()
    planned = fresh.rules_to_run("evaluate")
    assert (planned["baseline_answers"], planned["apply_baselines"]) == (1, 3)
    assert (planned["train_run"], planned["evaluate_set"]) == (2, 6)


def test_what_baselines_answered_on_sets_goes_when_nothing_asks_for_it(
    evaluated, tmp_path, capsys, monkeypatch
):
    there = replace(evaluated, folder=shutil.copytree(evaluated.folder, tmp_path / "copy"))
    monkeypatch.chdir(there.folder)
    there.config = {**there.config, "evaluate": {"sets": {"larger": SETS["larger"]}}}
    there.save()
    assert main(["clean", "run.yaml"]) == 0
    said = capsys.readouterr().out
    for name in ("foreign", "stored", "single"):
        assert f"{DATA}/evaluate/{name}.json: data of no run" in said
    assert "larger.json" not in said
    assert "training_set" not in said


def test_nothing_of_what_was_generated_is_left(evaluated):
    left = [p.name for p in (evaluated.folder / RUN / "evaluate").iterdir()]
    assert not [name for name in left if "json" not in name]


def test_sets_need_not_have_what_the_report_and_the_split_of_the_run_use(project):
    project.config["report"] = {"sensitivity": ["flip_share"]}
    project.config["data"] |= {"split_method": "stratified", "stratify_by": "flip_share"}
    undamaged = {"num_samples": 6, "size": [8, 12], "classes": ["polynomial"]}
    project.config["evaluate"] = {"sets": {"undamaged": {"generate": undamaged}}}
    project.save()
    result = project.snakemake("evaluate")
    assert result.returncode == 0, result.stdout + result.stderr
    (scores,) = results(project, "undamaged")["tasks"]
    assert scores["num_known"] == 6
