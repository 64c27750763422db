"""Notes 1 to 6 of what the seed document has to mean: the configuration."""

from __future__ import annotations

import functools

import pandas as pd
import pytest
import torch

from qgpipe import Trainer
from qgpipe.cli import main
from qgpipe.config import load_config, resolve_config
from qgpipe.config.dump import to_yaml
from qgpipe.errors import ConfigError

OVER_INDENTED = """\
validation:
  validator:
    evaluator_tasks:
      - name: accuracy
          monitor: !pyobject sklearn.metrics.accuracy_score
"""
AS_STRINGS = """\
early_stopping:
  tasks:
    0: {metric: loss_avg, delta: 1e-4, init_best_score: 1e9, grace_period: 2, mode: min}
  mode: any
  patience: 5
"""


def train(config) -> tuple[Trainer, pd.DataFrame, pd.DataFrame]:
    """A trainer that has trained, with the losses of training and validation."""
    trainer = Trainer.from_config(config)
    loaders = trainer.prepare_dataloaders()
    training, validation = trainer.run_training(loaders.train, loaders.validation)
    return trainer, training[["loss_avg", "loss_min", "loss_max"]], validation


def test_note_01_an_over_indented_key_is_named_with_line_and_column(folder, capsys):
    file = folder.save(OVER_INDENTED)
    assert main(["check", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(
        f"qgpipe check: {file}, line 5: 'monitor:' is indented deeper than 'name:' in line 4"
    )
    assert "move it left to column 9" in error


def test_note_01_nothing_else_has_to_be_changed(folder, capsys, configured):
    text = to_yaml(configured(validation=None)) + OVER_INDENTED.replace(" " * 10, " " * 8)
    file = folder.save(text)
    assert main(["check", str(file)]) == 0, capsys.readouterr().err


def test_note_02_numbers_that_yaml_reads_as_text_are_numbers(folder, configured):
    config = configured(training={"optimizer_kwargs": {"lr": "2e-3"}})
    loaded = load_config(folder.save(to_yaml(config) + AS_STRINGS))
    assert loaded["early_stopping"]["tasks"][0]["delta"] == "1e-4"  # what PyYAML makes of it
    trainer = Trainer.from_config(loaded)
    (task,) = trainer.early_stopping.tasks.values()
    assert (task.delta, task.best_score) == (1e-4, 1e9)
    assert trainer.optimizer.param_groups[0]["lr"] == 2e-3


@pytest.mark.parametrize("args", [None, []])
def test_note_03_null_stands_for_no_arguments(folder, configured, args):
    kwargs = {"dims": [[8, 3]], "activations": [["torch.nn.Identity", args, None]]}
    head = ["qgpipe.models.LinearSequential", args, kwargs]
    layers = [["torch_geometric.nn.SAGEConv", [12, 8]], ["torch.nn.ReLU", args, None, "x"]]
    config = configured(
        model={
            "downstream_tasks": [head],
            "encoder_args": args,
            "encoder_kwargs": {"layers": layers},
            "pooling_layers": [["torch_geometric.nn.global_mean_pool", args, None]],
        },
        training={"optimizer_args": args, "optimizer_kwargs": None},
    )
    _, training, _ = train(config)
    assert len(training) == 2


FORMS = {
    "list": lambda kind, args=(), kwargs=None: [kind, list(args), kwargs],
    "mapping": lambda kind, args=(), kwargs=None: {
        "type": kind, "args": list(args), "kwargs": kwargs,
    },
}  # fmt: skip


def in_form(configured, spec, folder):
    """The small configuration with every constructed thing in one of the forms of a spec."""
    return configured(
        name=folder,
        data={
            "reader": spec("mymodule.reader"),
            "pre_filter": spec("mymodule.pre_filter"),
            "pre_transform": spec("mymodule.pre_transform"),
            "transform": spec("torch_geometric.transforms.Constant", [2.0]),
        },
        model={
            "encoder_kwargs": {
                "layers": [
                    spec("torch_geometric.nn.SAGEConv", [13, 8], {"aggr": "sum"}),
                    spec("torch.nn.ReLU"),
                ]
            },
            "pooling_layers": [spec("torch_geometric.nn.SumAggregation")],
            "downstream_tasks": [
                spec(
                    "qgpipe.models.LinearSequential",
                    kwargs={"dims": [[8, 3]], "activations": [spec("torch.nn.ELU", [0.5])]},
                )
            ],
        },
        criterion=spec("mymodule.WeightedLoss", kwargs={"weight": 3.0}),
        validation={"validator": {"criterion": spec("mymodule.WeightedLoss", [2.0])}},
    )


def test_note_04_lists_and_mappings_construct_the_same_everywhere(folder, configured):
    results = [train(in_form(configured, form, name)) for name, form in FORMS.items()]
    (_, first, first_validation), (_, second, second_validation) = results
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(first_validation, second_validation)
    trainer = results[0][0]
    assert trainer.criterion.weight == 3.0
    assert trainer.validator.criterion.weight == 2.0
    assert trainer.model.encoder.layers[0].aggr == "sum"
    batch = next(iter(trainer.prepare_dataloaders().train))
    assert batch.x.shape[1] == 13
    assert (batch.x[:, 12] == 2.0).all()


def test_note_04_a_bare_type_is_a_spec_too(folder, configured):
    config = configured(
        criterion="mymodule.WeightedLoss", data={"transform": "torch_geometric.transforms.GCNNorm"}
    )
    trainer, training, _ = train(config)
    assert trainer.criterion.weight == 1.0
    assert len(training) == 2


def test_note_05_classes_of_ones_own_stand_for_model_validator_tester_and_stopping(
    folder, configured
):
    own = {"type": "mymodule.Validator", "kwargs": {"key": "mine"}}
    config = configured(
        model=None,
        training={"num_epochs": 9},
        validation={"validator": own},
        testing={"tester": {"type": "qgpipe.Tester"}},
        early_stopping={"type": "mymodule.StopAfter", "args": [3]},
    )
    config["model"] = {"type": "mymodule.Model", "args": [12], "kwargs": {"classes": 3}}
    trainer, training, validation = train(config)
    names = [type(part).__name__ for part in (trainer.model, trainer.validator, trainer.tester)]
    assert names == ["Model", "Validator", "Tester"]
    assert len(training) == 3
    assert (validation["batches"] == 2).all()
    assert trainer.run_test(trainer.prepare_dataloaders().test)["loss_avg"].item() > 0


REQUIRED = ["training", "data", "model", "criterion", "training.seed", "training.num_epochs"]


@pytest.mark.parametrize("key", [*REQUIRED, "training.batch_size"])
def test_note_06_what_is_required_is_asked_for(configured, key):
    config = configured()
    *parents, last = key.split(".")
    del functools.reduce(dict.__getitem__, parents, config)[last]
    with pytest.raises(ConfigError, match=f"^{key}: missing; give it"):
        resolve_config(config)


def test_note_06_all_the_rest_has_defaults(folder, configured):
    config = configured(name=None, validation=None, data={"split": None})
    trainer, training, validation = train(config)
    assert validation.empty
    assert len(training) == 2
    assert isinstance(trainer.optimizer, torch.optim.Adam)
    assert trainer.early_stopping is None
    assert len(trainer.run_test(trainer.prepare_dataloaders().test)) == 1
