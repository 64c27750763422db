"""The whole pipeline, run as a user runs it."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pandas as pd
import pytest

from qgpipe.config import load_config, resolve_config
from qgpipe.provenance.record import find_record
from qgpipe.report.figures.run_figures import FIGURES
from qgpipe.training.prepare import prepare_data

pytestmark = pytest.mark.slow

ALL_RULES = {
    "generate_store": 1,
    "preprocess_part": 3,
    "gather_dataset": 1,
    "split_samples": 1,
    "train_run": 1,
    "test_run": 1,
    "baseline_answers": 1,
    "compare_run": 1,
    "plot_run": 1,
    "report_run": 1,
}
FROM_TEST = {"test_run", "compare_run", "plot_run", "report_run"}


def test_every_artifact_is_written(finished):
    data, run = finished.folder / "results/data", finished.folder / "results/runs/tiny"
    dataset = json.loads((data / "dataset.json").read_text())
    assert dataset["num_graphs"] == 60
    assert dataset["class_names"] == ["polynomial", "destroyed", "merged"]
    assert dataset["class_counts"] == {"0": 20, "1": 20, "2": 20}
    assert [part["num_graphs"] for part in dataset["parts"]] == [20, 20, 20]
    split = json.loads((data / "split.json").read_text())
    sets = [split[name] for name in ("train", "validation", "test")]
    assert [len(chosen) for chosen in sets] == [48, 6, 6]
    assert sorted(i for chosen in sets for i in chosen) == list(range(60))
    history = pd.read_csv(run / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert {"train_loss_avg", "val_loss_avg", "val_f1_weighted", "lr"} <= set(history)
    metrics = json.loads((run / "test/metrics.json").read_text())
    assert metrics["num_graphs"] == 6
    assert set(metrics["metrics"]) >= {"f1_weighted", "accuracy"}
    assert set(metrics["baseline"]["metrics"]) >= {"f1_weighted", "accuracy"}
    baselines = json.loads((run / "test/baselines.json").read_text())
    assert set(baselines["baselines"]) >= {"constant", "linear", "boosting"}
    assert baselines["targets"][0]["model"]["value"] == metrics["metrics"]["accuracy"]
    assert set(baselines["metrics"]) == set(metrics["metrics"])
    predictions = pd.read_csv(run / "test/predictions.csv")
    assert predictions["id"].tolist() == [f"causets/{i}" for i in split["test"]]
    assert {"target", "predicted", "output_0", "output_1", "output_2"} <= set(predictions)
    assert (run / "model.pt").stat().st_size > 10_000


def test_metrics_follow_from_the_predictions(finished):
    from sklearn.metrics import f1_score

    run = finished.folder / "results/runs/tiny/test"
    predictions = pd.read_csv(run / "predictions.csv")
    metrics = json.loads((run / "metrics.json").read_text())
    expected = f1_score(predictions["target"], predictions["predicted"], average="weighted")
    assert metrics["metrics"]["f1_weighted"] == pytest.approx(expected)


def test_the_baselines_can_be_left_out(finished):
    finished.config, kept = {**finished.config, "baseline": False}, finished.config
    finished.save("without.yaml")
    finished.config = kept
    assert finished.rules_to_run("--forcerun", "train_run", config="without.yaml") == {
        "train_run": 1, "test_run": 1, "plot_run": 1, "report_run": 1,
    }  # fmt: skip


def test_every_figure_is_a_picture(finished):
    for name in FIGURES:
        file = finished.folder / f"results/runs/tiny/figures/{name}.svg"
        assert ElementTree.parse(file).getroot().tag.endswith("svg")


def test_the_report_tells_what_the_records_tell(finished):
    run = finished.folder / "results/runs/tiny"
    text = (run / "report.html").read_text()
    for checksum in find_record(run / "test/metrics.json").inputs.values():
        assert f'title="{checksum}"' in text
    for expected in ("causets.zarr", "and 2 more parts", "preprocess", "causets/"):
        assert expected in text
    assert text.count("<svg") >= len(FIGURES) - 1


def test_the_resolved_configuration_of_the_run_loads_as_it_is(finished):
    written = load_config(finished.folder / "results/runs/tiny/config.yaml")
    assert written == resolve_config(written) == resolve_config(finished.config)


def test_logs_hold_what_the_stages_said(finished):
    log = (finished.folder / "results/runs/tiny/logs/train.log").read_text()
    assert "epoch 3/3" in log


def test_nothing_is_to_be_done_after_a_finished_run(finished):
    assert finished.rules_to_run() == {}
    result = finished.snakemake()
    assert "Nothing to be done" in result.stdout + result.stderr


def test_every_artifact_has_a_record_of_where_it_came_from(finished):
    results = finished.folder / "results"
    artifacts = [*results.glob("data/raw/*.zarr"), *results.glob("data/parts/*.safetensors")]
    artifacts += [
        results / "data" / name for name in ("dataset.json", "split.json", "baseline.safetensors")
    ]
    artifacts += [file for file in results.glob("runs/tiny/**/*.*") if file.is_file()]
    artifacts = [
        file
        for file in artifacts
        if "provenance" not in file.name
        and not file.name.startswith(".")
        and file.parent.name not in ("logs", "benchmarks")
        and "checkpoints" not in file.parts
    ]
    assert len(artifacts) == 7 + 4 + 3 + len(FIGURES) + 1
    assert [file for file in artifacts if find_record(file) is None] == []
    config_files = {find_record(file).content["config_file"] for file in artifacts}
    assert {Path(name).name for name in config_files} == {"run.yaml"}


def test_what_the_workflow_has_made_python_need_not_make_again(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    before = {file: file.stat().st_mtime_ns for file in Path("results").rglob("*")}
    prepare_data(resolve_config(load_config("run.yaml")))
    assert {file: file.stat().st_mtime_ns for file in Path("results").rglob("*")} == before


def test_what_python_has_made_the_workflow_need_not_make_again(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    prepare_data(resolve_config(load_config("run.yaml")))
    assert set(project.rules_to_run()) == {
        "baseline_answers", "train_run", *FROM_TEST,
    }  # fmt: skip


def test_touched_code_and_another_order_of_keys_run_nothing(finished):
    reordered = dict(reversed(finished.config.items()))
    finished.config, kept = reordered, finished.config
    finished.save("reordered.yaml")
    finished.config = kept
    assert finished.rules_to_run(config="reordered.yaml") == {}


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("generate", ["generate_store"]),
        ("preprocess", ["generate_store", "preprocess_part", "gather_dataset"]),
        ("split", ["generate_store", "preprocess_part", "gather_dataset", "split_samples"]),
        ("train", list(ALL_RULES)[:5]),
        ("test", list(ALL_RULES)[:6]),
        ("baseline", list(ALL_RULES)[:8]),
        ("report", list(ALL_RULES)),
        ("all", list(ALL_RULES)),
    ],
)
def test_a_target_runs_what_leads_to_it(project, target, rules):
    assert project.rules_to_run(target) == {rule: ALL_RULES[rule] for rule in rules}


@pytest.mark.parametrize(
    ("section", "change", "rules"),
    [
        ("data", {"reader": None}, set(ALL_RULES) - {"generate_store"}),
        (
            "data",
            {"split": [0.6, 0.2, 0.2]},
            set(ALL_RULES) - {"generate_store", "preprocess_part", "gather_dataset"},
        ),
        ("training", {"num_epochs": 4}, {"train_run", *FROM_TEST}),
        ("testing", {"batch_size": 5}, FROM_TEST),
        ("training", {"num_workers": 2}, set()),
        ("generate", {"seed": 9}, set(ALL_RULES)),
    ],
)
def test_a_changed_setting_runs_the_stages_that_it_shapes(finished, section, change, rules):
    kept = finished.config
    finished.config = {**kept, section: {**kept.get(section, {}), **change}}
    finished.save("changed.yaml")
    finished.config = kept
    assert set(finished.rules_to_run(config="changed.yaml")) == rules


def test_the_report_opens_offline(finished):
    result = finished.snakemake("--report", str(finished.folder / "report.html"))
    assert result.returncode == 0, result.stderr
    text = (finished.folder / "report.html").read_text()
    for caption in ("Loss of run tiny", "Every graph of the test set of run tiny"):
        assert caption in text
