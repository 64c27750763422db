"""A finished run evaluated on sets that are generated, and on a store."""

from __future__ import annotations

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

pytestmark = pytest.mark.slow

RUN = "results/runs/tiny"
SETS = {
    "larger": {"generate": {"seed": 3, "num_samples": 12, "size": [30, 40], "classes": []}},
    "foreign": {"generate": {"num_samples": 6, "size": [20, 30], "classes": ["kr"]}},
    "stored": {"file": "fresh.zarr"},
}


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
    result = made.snakemake("evaluate")
    assert result.returncode == 0, result.stdout + result.stderr
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
    assert re.search(r"evaluate_set +1\b", said), said
    (evaluated.folder / "changed.yaml").unlink()


def test_nothing_of_what_was_generated_is_left(evaluated):
    left = [p.name for p in (evaluated.folder / RUN / "evaluate").iterdir()]
    assert not [name for name in left if "json" not in name]
