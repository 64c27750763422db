"""Whole runs of code and a configuration as QuantumGravPy's users have them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import qgpipe.compat.quantumgrav as QG

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_workflow_runs_a_reader_that_imports_quantumgrav(stores, mymodule, tmp_path, run_yaml):
    """The criterion has three arguments; the monitors take lists, by annotation or by import."""
    (tmp_path / "run.yaml").write_text(run_yaml)
    command = [
        sys.executable, "-m", "snakemake", "test", "--snakefile", ROOT / "Snakefile",
        "--cores", "2", "--directory", tmp_path, "--configfile", tmp_path / "run.yaml",
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k not in ("QGPIPE_PATH", "PYTHONPATH")}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    history = pd.read_csv(tmp_path / "runs/run/history.csv")
    assert {"val_hits", "val_each[0]", "val_each[1]"} <= set(history)
    content = json.loads((tmp_path / "runs/run/test/metrics.json").read_text())
    table = pd.read_csv(tmp_path / "runs/run/test/predictions.csv")
    assert content["metrics"]["hits"] == (table["predicted"] == table["target"]).mean()


def test_a_script_of_january(config, mymodule):
    """``Trainer(config)``: data sets, loaders, model and optimizer are made by hand."""
    trainer = QG.Trainer(config)
    assert trainer.model is None and trainer.optimizer is None
    dataset = QG.QGDataset(
        config["data"]["files"], config["data"]["output"], mymodule.read,
        pre_transform=mymodule.collect, n_processes=2, chunksize=10,
    )  # fmt: skip
    loaders = trainer.prepare_dataloaders(dataset, split=[0.8, 0.1, 0.1])
    assert [len(loader.dataset) for loader in loaders] == [24, 12, 12]  # as configured
    trainer.initialize_model()
    trainer.initialize_optimizer()
    training, validation = trainer.run_training(loaders[0], loaders[1])
    assert isinstance(training, torch.Tensor) and training.shape == (3, 2)
    assert len(validation) == 3 and validation["hits"].between(0, 1).all()
    assert trainer.run_test(loaders[2])["hits"].between(0, 1).all()
    assert (trainer.checkpoint_path / "model_final.pt").exists()


def test_a_script_of_may(config):
    """``Trainer.from_config`` and ``DataLoaderFactory``."""
    trainer = QG.Trainer.from_config(config)
    train, validation, test = QG.DataLoaderFactory.from_config(config).prepare_dataloaders()
    training, validated = trainer.run_training(train, validation)
    names = ["epoch", "min_loss", "mean_loss", "max_loss", "median_loss", "std_loss"]
    assert list(training) == names and training["epoch"].tolist() == [0, 1, 2]
    assert (training["min_loss"] <= training["median_loss"]).all()
    assert validated["hits"].max() > 0.5
    assert trainer.epoch == 3
    assert trainer.run_test(test)["hits"].iloc[-1] > 0.5


def test_a_configuration_in_yaml_is_loaded_as_there(stores, mymodule, tmp_path, run_yaml):
    loaded = yaml.load(run_yaml, QG.get_loader())
    assert loaded["criterion"] is sys.modules["mymodule"].loss
    assert loaded["model"]["encoder_type"] is QG.models.GNNBlock
    loaders = QG.DataLoaderFactory(loaded).prepare_dataloaders()
    trainer = QG.Trainer.from_config(loaded)
    assert isinstance(trainer.early_stopper, QG.DefaultEarlyStopping)
    trainer.run_training(*loaders[:2])
    results = trainer.run_test(loaders[2])
    assert results["each"].iloc[-1].shape == (2,)  # several values are one cell, as there
