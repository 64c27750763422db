"""Configurations of QuantumGravPy's older formats: refused with the key, converted, trained."""

import shutil
from pathlib import Path

import pytest
import torch

from qgpipe import GNNModel, Trainer
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


BLOCK = "{in_dim: 2, out_dim: 8, gnn_layer_type: gcn, normalizer: identity, activation: relu}"
SEVERAL_OUTPUTS = f"""
  gcn_net: [{BLOCK}]
  pooling_layer: mean
  classifier: {{input_dim: 8, output_dims: [3, 2], hidden_dims: [12, 6], activation: relu}}
"""
HEADS = """
  encoder:
    type: !pyobject qgpipe.models.GNNBlock
    kwargs: {in_dim: 2, out_dim: 8, gnn_layer_type: !pyobject torch_geometric.nn.GCNConv}
  pooling_layers: [mean, max]
  aggregate_pooling: cat1
  graph_features_net: {input_dim: 4, output_dim: 5, hidden_dims: [7], activation: tanh}
  aggregate_graph_features: cat1
  downstream_tasks:
    - {input_dim: 21, output_dim: 3, hidden_dims: [6], activation: relu, active: true}
    - {type: LinearSequential, dims: [[21, 4], [4, 1]], activations: [relu, identity]}
    - {input_dim: 21, output_dim: 1, active: false}
"""


def _built(folder, model):
    """The model of the older configuration with another section, and its outputs' shapes."""
    older = OLDER.read_text()
    begin, end = older.index("model:"), older.index("# How it is trained.")
    (folder / "older.yaml").write_text(f"{older[:begin]}model:{model}{older[end:]}")
    config, found = convert(load_config("older.yaml"))
    assert not found.problems
    built = GNNModel(**config["model"])
    x, edges, batch = torch.randn(5, 2), torch.tensor([[0, 1, 3], [1, 2, 4]]), [0, 0, 0, 1, 1]
    given = {"graph_features": torch.randn(2, 4)} if "graph_features_net" in model else {}
    outputs = built(x, edges, torch.tensor(batch), **given)
    return built, {task: tuple(output.shape) for task, output in outputs.items()}


def test_several_outputs_of_a_classifier_share_its_hidden_layers(folder):
    model, shapes = _built(folder, SEVERAL_OUTPUTS)
    assert shapes == {0: (2, 3), 1: (2, 2)}
    weights = [tuple(weight.shape) for weight in model.parameters() if weight.dim() == 2]
    assert [weights.count(shape) for shape in ((12, 8), (6, 12), (3, 6), (2, 6))] == [1, 1, 1, 1]


def test_heads_poolings_and_graph_features_by_short_names(folder):
    _, shapes = _built(folder, HEADS)
    assert shapes == {0: (2, 3), 1: (2, 1)}  # the third is not active
