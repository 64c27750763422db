"""The seed document's own YAML and Python, taken out of it and run through both doors."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest

from qgpipe import Trainer
from qgpipe.cli import main
from qgpipe.config import load_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def yaml_as_it_stands(seed_document):
    return re.search(r"^```yaml\n(.*?)^```", seed_document, re.M | re.S)[1]


@pytest.fixture(scope="module")
def script_as_it_stands(seed_document):
    return re.search(r"^```python\n(.*?)^```", seed_document, re.M | re.S)[1]


def fixed(text: str) -> str:
    """The YAML with its three over-indented lines moved left: the only change to its form."""
    text, moved = re.subn(r"^ {16}(?=(?:monitor|kwargs):)", " " * 14, text, flags=re.M)
    assert moved == 3
    return text


def placed(text: str) -> str:
    """Paths and device of this test in place of the document's."""
    text = re.sub(r"/path/to/run_artifacts|/tmp/qg(?=\")", "runs", text)
    text = re.sub(r"/path/to/output|/tmp/qg/output", "output", text)
    text = re.sub(r"/path/to/data", "data", text)
    return text.replace('"cuda"', '"cpu"')


@pytest.fixture
def yaml_folder(folder, yaml_as_it_stands):
    """A folder with the document's YAML, its two stores and its ``mymodule``."""
    (folder.path / "data.zarr").rename(folder.path / "data1.zarr")
    shutil.copytree(folder.path / "data1.zarr", folder.path / "data2.zarr")
    folder.save(placed(fixed(yaml_as_it_stands)))
    return folder


def test_note_01_the_yaml_as_it_stands_is_explained_with_line_and_remedy(
    folder, yaml_as_it_stands, capsys
):
    file = folder.save(yaml_as_it_stands)
    text = " " * 16 + "monitor: !pyobject sklearn.metrics.f1_score"
    line = 1 + yaml_as_it_stands.splitlines().index(text)
    assert main(["check", str(file)]) == 1
    error = capsys.readouterr().err
    assert f"run.yaml, line {line}: 'monitor:' is indented deeper than 'name:'" in error
    assert "move it left to column 15" in error


def test_notes_01_to_29_the_yaml_trains_validates_and_tests_in_the_workflow(yaml_folder):
    result = yaml_folder.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    run = yaml_folder.path / "runs" / "QuantumGravRun"
    history = pd.read_csv(run / "history.csv")
    assert 1 <= len(history) <= 50
    assert {"val_loss_avg", "val_f1_weighted"} <= set(history)
    metrics = json.loads((run / "test/metrics.json").read_text())
    predictions = pd.read_csv(run / "test/predictions.csv")
    assert metrics["num_graphs"] == len(predictions) > 0
    assert metrics["loss"]["loss_avg"] > 0
    assert load_config(run / "config.yaml")["early_stopping"]["tasks"]["0"]["delta"] == 1e-4


def test_notes_01_to_29_the_yaml_trains_validates_and_tests_in_the_library(yaml_folder):
    assert main(["check", "run.yaml"]) == 0
    trainer = Trainer.from_config(load_config("run.yaml"))
    train_loader, val_loader, test_loader = trainer.prepare_dataloaders()
    batch = next(iter(train_loader))
    assert batch.x.shape[1] == 12
    assert batch.graph_features.shape[1] == 4
    training, validation = trainer.run_training(train_loader, val_loader)
    assert len(training) == len(validation) <= 50
    assert {"loss_avg", "loss_min", "loss_max", "f1_weighted"} <= set(validation)
    assert trainer.run_test(test_loader)["loss_avg"].item() > 0


IMPORTS = "import torch_geometric\n"
RESULTS = """
print(len(train_loader.dataset), len(val_loader.dataset), len(test_loader.dataset))
training_result.to_csv("training.csv")
validation_result.to_csv("validation.csv")
test_result.to_csv("test.csv")
"""


def runnable(script: str, package: str = "qgpipe") -> str:
    """The script with ``package`` for QuantumGrav, and the import that it lacks."""
    script = placed(script).replace("import QuantumGrav as QG", f"import {package} as QG")
    return IMPORTS + script + RESULTS


def test_note_19_the_script_as_it_stands_expects_features_that_its_reader_does_not_give(
    folder, script_as_it_stands
):
    result = folder.python(runnable(script_as_it_stands))
    assert result.returncode != 0
    error = result.stderr.strip().splitlines()[-1]
    assert error.endswith(
        "model.encoder_kwargs.layers[0]: SAGEConv expects 12 node features, the data has 1; "
        "make it 1, or let the reader give 12"
    )


@pytest.mark.parametrize("package", ["qgpipe", "QuantumGrav"])
def test_note_29_the_script_with_the_number_of_its_features_runs(
    folder, script_as_it_stands, package
):
    script = runnable(script_as_it_stands, package)
    assert script.count("[12, 64]") == 1
    result = folder.python(script.replace("[12, 64]", "[1, 64]"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-3:] == ["29", "3", "4"]
    training, validation, test = (
        pd.read_csv(folder.path / f"{name}.csv") for name in ("training", "validation", "test")
    )
    assert len(training) == len(validation) == 5
    assert len(test) == 1
    assert {"loss_avg", "loss_min", "loss_max"} <= set(validation) & set(test)
