"""Configurations of QuantumGravPy's older formats: refused with the key, converted, trained."""

import shutil
from pathlib import Path

import pytest

from qgpipe import Trainer
from qgpipe.cli import main
from qgpipe.config import load_config
from qgpipe.conversion.older import convert

OLDER = Path(__file__).with_name("older.yaml")


def test_an_older_format_is_refused_with_its_key(folder, capsys):
    shutil.copy(OLDER, folder)
    assert main(["check", "older.yaml"]) == 1
    assert "older.yaml: model.encoder: this is an older format" in capsys.readouterr().err


def test_what_is_converted_passes_the_check_and_trains(folder, capsys):
    shutil.copy(OLDER, folder)
    assert main(["convert", "older.yaml"]) == 0
    said = capsys.readouterr()
    assert "training.early_stopping_window: left out" in said.err
    assert "# How it is trained." in said.out and "# epochs" in said.out
    Path("new.yaml").write_text(said.out)
    config = load_config("new.yaml")
    assert config == convert(load_config("older.yaml"))[0]
    assert config["data"]["split"] == [0.6, 0.2, 0.2]
    assert config["training"]["optimizer_kwargs"] == {"lr": 0.01, "weight_decay": 0.0001}
    assert main(["check", "new.yaml"]) == 0
    trainer = Trainer.from_config(config)
    train, validation, test = trainer.prepare_dataloaders()
    trainer.run_training(train, validation)
    assert "loss_avg" in trainer.run_test(test)


def test_a_present_configuration_is_passed_through(folder, capsys):
    assert main(["convert", "run.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out == Path("run.yaml").read_text() and "nothing to convert" in said.err


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("criterion: !pyobject mymodule.loss", "", "criterion: given in the script"),
        ('"sage"', '"mine"', "model.encoder[0].gnn_layer_type: 'mine' is none of gcn"),
        ('"f1_weighted"', '"mine"', "training.early_stopping_metric: 'mine' is computed"),
        ("[16, 8]", "[16, 9]", "model.encoder[1].projection_args: the skip connection"),
    ],
)
def test_what_cannot_be_converted_is_named_and_nothing_written(folder, capsys, old, new, key):
    Path("older.yaml").write_text(OLDER.read_text().replace(old, new))
    assert main(["convert", "older.yaml"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and key in said.err
