"""An ensemble with temperature and outlier score: trained, tested, applied and exported."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch

from qgpipe.cli import main
from qgpipe.config import load_config
from qgpipe.config.resolve import resolve_config
from qgpipe.models import load_model, read_model_file
from qgpipe.models.ensemble import Ensemble
from qgpipe.training.trainer import Trainer

pytestmark = pytest.mark.slow

RUN = "results/runs/tiny"
SETS = {"far": {"generate": {"num_samples": 12, "size": [20, 30], "classes": ["kr", "random"]}}}


LEFT_TO_THE_DATA, FILLED = [[None, 128], [128, None]], [[96, 128], [128, 3]]


@pytest.fixture(scope="module")
def ensemble(new_project, tmp_path_factory):
    made = new_project(tmp_path_factory.mktemp("ensemble"))
    made.config["ensemble"] = 2
    made.config["testing"] |= {"calibrate": "temperature", "outlier_score": "mahalanobis"}
    made.config["predict"] = {"files": ["results/data/raw/causets.zarr"], "embeddings": True}
    made.config["evaluate"] = {"sets": SETS}
    made.config["model"]["downstream_tasks"][0]["kwargs"]["dims"] = LEFT_TO_THE_DATA
    made.save()
    result = made.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    return made


def model_of(made, run):
    return read_model_file(made.folder / f"results/runs/{run}/model.pt")


@pytest.mark.parametrize("run", ["tiny", "tiny-member=1"])
def test_the_configurations_have_the_sizes_that_are_those_of_the_data(ensemble, run):
    config = load_config(ensemble.folder / f"results/runs/{run}/config.yaml")
    assert config["model"]["downstream_tasks"][0]["kwargs"]["dims"] == FILLED
    assert config["model"] == model_of(ensemble, run)["model"]


def test_members_have_seeds_one_after_the_other_and_the_same_data(ensemble):
    first, second = (load_config(ensemble.folder / f"{RUN}-member={k}/config.yaml") for k in (1, 2))
    assert second["training"]["seed"] == first["training"]["seed"] + 1
    seed = ensemble.config["training"]["seed"]
    assert first["data"]["seed"] == second["data"]["seed"] == seed
    weights = [model_of(ensemble, f"tiny-member={k}")["state_dict"] for k in (1, 2)]
    name = "encoder.layers.0.lin_l.weight"
    assert not torch.equal(weights[0][name], weights[1][name])
    combined = model_of(ensemble, "tiny")["state_dict"]
    for k in (0, 1):
        torch.testing.assert_close(combined[f"members.{k}.{name}"], weights[k][name])


def test_the_first_member_is_the_run_without_an_ensemble(ensemble, tmp_path):
    config = load_config(ensemble.folder / "run.yaml")
    config["ensemble"] = None
    trainer = Trainer(resolve_config(config), tmp_path)
    from qgpipe.training.loaders import open_loaders

    data = ensemble.folder / "results/data"
    loaders = open_loaders(trainer.config, data / "dataset.json", data / "split.json")
    trainer.run_training(loaders.train, loaders.validation)
    trainer.save_best_model(tmp_path / "model.pt")
    alone = read_model_file(tmp_path / "model.pt")["state_dict"]
    member = model_of(ensemble, "tiny-member=1")["state_dict"]
    assert all(torch.equal(alone[name], member[name]) for name in alone)


def test_predictions_are_of_all_members_at_a_temperature(ensemble):
    table = pd.read_csv(ensemble.folder / RUN / "predict/causets.csv")
    names = [f"probability_{k}" for k in range(3)]
    np.testing.assert_allclose(table[names].sum(axis=1), 1, rtol=1e-6)
    assert (table[[f"spread_{k}" for k in range(3)]].to_numpy() >= 0).all()
    assert len([name for name in table if name.startswith("embedding_")]) == 2 * 64
    fitted = json.loads((ensemble.folder / RUN / "calibration.json").read_text())
    (task,) = fitted["temperature"]
    assert task["after"]["nll"] <= task["before"]["nll"]
    above = table["outlier_score"] > fitted["outliers"]["threshold"]
    assert (table["outlier"] == above).all()
    combined = load_model(ensemble.folder / RUN / "model.pt")
    assert isinstance(combined, Ensemble)
    outputs = table[[f"output_{k}" for k in range(3)]].to_numpy()
    log_probabilities = outputs * task["value"]  # an ensemble's outputs
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), 1, rtol=1e-5)


def test_the_test_and_other_sets_are_of_the_calibrated_ensemble(ensemble, capsys):
    far = json.loads((ensemble.folder / RUN / "evaluate/far.json").read_text())
    assert 0 <= far["outlier_share"] <= 1
    test = pd.read_csv(ensemble.folder / RUN / "test/predictions.csv", index_col="id")
    table = pd.read_csv(ensemble.folder / RUN / "predict/causets.csv", index_col="id")
    names = [f"output_{k}" for k in range(3)]
    np.testing.assert_allclose(test[names], table.loc[test.index, names], rtol=1e-4, atol=1e-5)
    page = (ensemble.folder / RUN / "report.html").read_text()
    assert "tiny-member=2" in page and "temperature" in page and "outliers" in page
    assert main(["show", str(ensemble.folder / RUN)]) == 0
    assert "mean of 2 models" in capsys.readouterr().out


def test_an_export_gives_what_the_ensemble_gives(ensemble, tmp_path):
    assert main(["export", str(ensemble.folder / RUN), "--output", str(tmp_path / "out")]) == 0
    there = load_model(tmp_path / "out" / "model.json", trust=True).eval()
    here = load_model(ensemble.folder / RUN / "calibrated.pt").eval()
    batch = {
        "x": torch.rand(5, 12),
        "edge_index": torch.tensor([[0, 1, 3], [1, 2, 4]]),
        "batch": torch.tensor([0, 0, 0, 1, 1]),
        "graph_features": torch.rand(2, 4),
    }
    torch.testing.assert_close(there(**batch)[0], here(**batch)[0])
    program = torch.export.load(tmp_path / "out" / "program.pt2").module()
    given = (batch["x"], batch["edge_index"], torch.tensor([0, 3, 5]), batch["graph_features"])
    torch.testing.assert_close(program(*given)[0], here(**batch)[0], rtol=1e-4, atol=1e-5)


def test_what_has_been_made_is_not_made_again(ensemble):
    assert ensemble.rules_to_run() == {}
    changed = {**ensemble.config, "testing": {**ensemble.config["testing"], "outlier_share": 0.2}}
    before, ensemble.config = ensemble.config, changed
    ensemble.save()
    jobs = ensemble.rules_to_run()
    ensemble.config = before
    ensemble.save()
    assert jobs["calibrate_run"] == 1 and "train_run" not in jobs and "ensemble_run" not in jobs


def test_another_member_leaves_the_first_ones(ensemble):
    before, ensemble.config = ensemble.config, {**ensemble.config, "ensemble": 3}
    ensemble.save()
    jobs = ensemble.rules_to_run()
    ensemble.config = before
    ensemble.save()
    assert jobs["train_run"] == 1 and jobs["ensemble_run"] == 1


def test_members_of_the_configuration_are_not_cleaned_away(ensemble, capsys, monkeypatch):
    monkeypatch.chdir(ensemble.folder)
    leftover = ensemble.folder / f"{RUN}-member=2/checkpoints/0123456789abcdef"
    leftover.mkdir()
    os.utime(leftover, (0, 0))
    assert main(["clean", "run.yaml"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "member" in line]
    leftover.rmdir()
    assert [leftover.name in line for line in lines] == [True]
