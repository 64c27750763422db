"""A sweep with a value in a list, cross-validated: four short trainings, about a minute."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qgpipe.cli import main
from qgpipe.config import expand_runs, load_config, resolve_config
from qgpipe.config.dump import to_yaml
from qgpipe.training.prepare import prepare_data

pytestmark = pytest.mark.slow

KEY = "model.encoder_kwargs.layers[0][1][1]"
FOLDS = (1, 2)
LABELS = ["layers.0.1.1=16", "layers.0.1.1=8"]
RUNS = [f"tiny-{label},fold={fold}" for label in LABELS for fold in FOLDS]


def swept(config: dict, widths: list[int]) -> dict:
    """The tiny configuration with several widths of the first layer, and two folds."""
    config = copy.deepcopy(config)
    layers = config["model"]["encoder_kwargs"]["layers"]
    layers[0][1][1] = {"!sweep": {"values": widths}}
    layers[2][1][0] = {"!reference": {"target": KEY}}
    config["training"].update(num_epochs=1)
    config["data"].update(folds=len(FOLDS))
    return config


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, new_project):
    """A folder in which the sweep has run, but for the figures of its runs."""
    made = new_project(tmp_path_factory.mktemp("sweep"))
    made.config = swept(made.config, [16, 8])
    made.save()
    result = made.snakemake("sweep", "train")
    assert result.returncode == 0, result.stdout + result.stderr
    return made


def metrics(sweep, run: str) -> dict:
    return json.loads((sweep.folder / "results/runs" / run / "test/metrics.json").read_text())


def test_runs_share_raw_data_parts_and_one_split_a_fold(sweep):
    data = sweep.folder / "results/data"
    assert {path.name for path in data.iterdir() if not path.name.startswith(".")} == {
        "raw", "parts", "dataset.json", "dataset.json.provenance.json", "splits", "baselines",
        "logs", "benchmarks",
    }  # fmt: skip
    assert {path.name for path in (data / "splits").glob("*.json")} == {
        f"fold={fold}.json{end}" for fold in FOLDS for end in ("", ".provenance.json")
    }
    assert {path.name for path in (sweep.folder / "results/runs").iterdir()} == {*RUNS, "tiny"}


def test_runs_that_share_data_and_split_share_the_answers_of_the_baselines(sweep):
    folder = sweep.folder / "results/data/baselines"
    assert {path.name for path in folder.glob("*.safetensors")} == {
        f"fold={fold}.safetensors" for fold in FOLDS
    }
    assert len({path.read_bytes() for path in folder.glob("*.safetensors")}) == len(FOLDS)
    found = [
        json.loads((sweep.folder / f"results/runs/{run}/test/baselines.json").read_text())
        for run in RUNS
    ]
    values = [
        {name: one["value"] for name, one in content["targets"][0]["baselines"].items()}
        for content in found
    ]
    assert values[0] == values[2] and values[1] == values[3]
    table = pd.read_csv(sweep.folder / "results/runs/tiny/sweep.csv")
    best = np.mean([max(scores.values()) for scores in values[:2]])
    assert table["baseline_accuracy"].tolist() == pytest.approx([best, best])


def test_every_sample_is_tested_in_exactly_one_fold(sweep):
    for label in LABELS:
        ids = [
            pd.read_csv(sweep.folder / f"results/runs/tiny-{label},fold={k}/test/predictions.csv")
            for k in FOLDS
        ]
        assert sorted(pd.concat(ids)["id"], key=lambda text: int(text.split("/")[1])) == [
            f"causets/{i}" for i in range(60)
        ]
        assert [len(table) for table in ids] == [30, 30]


def test_the_table_of_folds_has_the_mean_and_the_deviation(sweep):
    table = pd.read_csv(sweep.folder / "results/runs/tiny/cross_validation.csv")
    assert table["fold"].tolist() == ["1", "2", "mean", "deviation"] * 2
    for label in LABELS:
        accuracies = [metrics(sweep, f"tiny-{label},fold={k}")["metrics"]["accuracy"]
                      for k in FOLDS]  # fmt: skip
        found = table[table["run"] == f"tiny-{label}"].set_index("fold")["test_accuracy"]
        assert found.tolist() == pytest.approx(
            [*accuracies, np.mean(accuracies), np.std(accuracies, ddof=1)]
        )


def test_the_table_of_the_sweep_ranks_the_points_by_their_validation(sweep):
    table = pd.read_csv(sweep.folder / "results/runs/tiny/sweep.csv")
    assert table["run"].tolist() == [f"tiny-{label}" for label in LABELS]
    assert table[KEY].tolist() == [16, 8]
    scores = [
        np.mean([
            json.loads((sweep.folder / f"results/runs/tiny-{label},fold={k}/summary.json")
                       .read_text())["best_score"]
            for k in FOLDS
        ])
        for label in LABELS
    ]  # fmt: skip
    assert table["val_loss_avg"].tolist() == pytest.approx(scores)
    assert table["rank"].tolist() == [1 + np.argsort(scores).tolist().index(i) for i in (0, 1)]


def test_nothing_is_to_be_done_afterwards(sweep):
    assert sweep.rules_to_run("sweep", "train", "test", "split", "preprocess") == {}


def test_a_value_that_is_added_trains_only_its_own_runs(sweep):
    more = replace(sweep, config=swept(sweep.config, [16, 12, 8]))
    more.save("more.yaml")
    assert more.rules_to_run("sweep", "train", config="more.yaml") == {
        "train_run": 2, "test_run": 2, "compare_run": 2, "sweep_table": 1, "folds_table": 1,
    }  # fmt: skip


def test_a_value_that_is_taken_away_trains_nothing(sweep):
    fewer = replace(sweep, config=swept(sweep.config, [8]))
    fewer.save("fewer.yaml")
    assert fewer.rules_to_run("sweep", "train", config="fewer.yaml") == {
        "sweep_table": 1, "folds_table": 1,
    }  # fmt: skip


def test_the_configuration_beside_a_run_is_that_run(sweep):
    file = sweep.folder / f"results/runs/{RUNS[3]}/config.yaml"
    assert (
        load_config(file)
        == resolve_config(load_config(file))
        == (expand_runs(sweep.config)[3].config)
    )
    shutil.copy(file, sweep.folder / "alone.yaml")
    assert sweep.rules_to_run("train", "test", config="alone.yaml") == {}


def test_python_finds_what_the_workflow_has_made(sweep, monkeypatch):
    monkeypatch.chdir(sweep.folder)
    run = expand_runs(sweep.config)[3]
    before = {file: file.stat().st_mtime_ns for file in Path("results/data").rglob("*")}
    assert prepare_data(run.config)[1] == Path("results/data/splits/fold=2.json")
    assert {f: f.stat().st_mtime_ns for f in Path("results/data").rglob("*")} == before


def test_another_run_than_those_of_the_sweep_is_refused_in_a_line(sweep):
    result = sweep.snakemake("results/runs/tiny-lr=3/model.pt", "--dry-run")
    assert result.returncode != 0
    assert "there is no run 'tiny-lr=3' in this configuration" in result.stdout + result.stderr


def test_the_commands_know_a_sweep(sweep, monkeypatch, capsys):
    monkeypatch.chdir(sweep.folder)
    assert main(["show", "run.yaml"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("tiny: 4 runs\n  best by val_loss_avg: tiny-layers.0.1.1=")
    assert " ± " in text
    assert " baseline_accuracy" in text
    monkeypatch.chdir("results/runs")
    one = next(folder.name for folder in Path().iterdir() if ",fold=2" in folder.name)
    assert main(["show", one]) == 0
    assert capsys.readouterr().out.startswith(f"{one}: ")
    monkeypatch.chdir(sweep.folder)
    assert main(["trace", "results/runs/tiny/cross_validation.csv"]) == 0
    text = capsys.readouterr().out
    assert text.count(",fold=2/summary.json: holds") == 2
    assert "the settings are as they were" in text
    assert main(["clean", "run.yaml"]) == 0
    assert capsys.readouterr().out == "nothing is stale\n"


def test_check_looks_at_every_run_of_a_sweep(sweep, monkeypatch, capsys):
    monkeypatch.chdir(sweep.folder)
    assert main(["check", "run.yaml"]) == 0
    text = capsys.readouterr().out
    assert f"runs      4: {RUNS[0]}\n          {RUNS[1]}\n" in text
    config = swept(sweep.config, [16, 8])
    config["model"]["encoder_kwargs"]["layers"][2][1][0] = 16
    (sweep.folder / "wrong.yaml").write_text(to_yaml(config))
    assert main(["check", "wrong.yaml"]) == 1
    assert "(in run tiny-layers.0.1.1=8,fold=1)" in capsys.readouterr().err


def test_the_report_shows_tables_and_figures_of_the_sweep(sweep):
    result = sweep.snakemake("sweep", "--report", str(sweep.folder / "report.html"))
    assert result.returncode == 0, result.stderr
    text = (sweep.folder / "report.html").read_text()
    for caption in ("The runs of sweep tiny", "Cross-validation of tiny"):
        assert caption in text


def test_what_a_sweep_of_the_data_makes_lies_apart_and_the_rest_is_shared(project):
    project.config["data"]["float_type"] = {
        "!sweep": {"values": ["torch.float32", "torch.float64"]}
    }
    project.config["training"]["seed"] = {"!sweep": {"values": [1, 2]}}
    project.save()
    assert project.rules_to_run("sweep") == {
        "generate_store": 1, "preprocess_part": 6, "gather_dataset": 2, "split_samples": 4,
        "baseline_answers": 4, "train_run": 4, "test_run": 4, "compare_run": 4, "sweep_table": 1,
    }  # fmt: skip
    result = project.snakemake("split")
    assert result.returncode == 0, result.stdout + result.stderr
    assert project.rules_to_run("split") == {}
    data = project.folder / "results/data"
    splits = {}
    for kind in ("float32", "float64"):
        folder = data / f"float_type=torch.{kind}"
        dataset = json.loads((folder / "dataset.json").read_text())
        assert dataset["attributes"]["x"]["dtype"] == kind
        for seed in (1, 2):
            splits[kind, seed] = json.loads((folder / f"splits/seed={seed}.json").read_text())
    assert splits["float32", 1] == splits["float64", 1] != splits["float32", 2]
    assert [path.name for path in (data / "raw").glob("*.zarr")] == ["causets.zarr"]


def test_a_sweep_of_generated_data_generates_each(project):
    project.config["generate"]["num_samples"] = {"!sweep": {"values": [60, 30]}}
    project.save()
    assert project.rules_to_run("split") == {
        "generate_store": 2, "preprocess_part": 5, "gather_dataset": 2, "split_samples": 2,
    }  # fmt: skip
