"""Standardised features and targets: as scikit-learn has them, and a part of the model."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import mean_absolute_error
from sklearn.preprocessing import StandardScaler
from torch_geometric.loader import DataLoader

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.errors import ConfigError
from qgpipe.models import load_model
from qgpipe.models.construct.standardizer import Standardizer
from qgpipe.models.program import write_program
from qgpipe.stages.registry import stage_section
from qgpipe.training import run
from qgpipe.training.loaders import open_loaders
from qgpipe.training.standardize import standardize
from qgpipe.training.trainer import Trainer

FEATURES = ["node_features", "graph_features"]
WITH_NET = {
    "graph_features_net_type": "qgpipe.models.LinearSequential",
    "graph_features_net_kwargs": {"dims": [[2, 4]], "activations": ["torch.nn.ReLU"]},
    "aggregate_graph_features_type": "torch.cat",
    "downstream_tasks": [["torch.nn.Linear", [12, 3]]],
}
VALUES = {
    "criterion": "qgpipe.training.losses.mean_squared_error",
    "validation": {"validator": {"evaluator_tasks": []}},
    "testing": {
        "tester": {
            "evaluator_tasks": [{"name": "mae", "monitor": "sklearn.metrics.mean_absolute_error"}]
        }
    },
}


def scalers(data):
    """scikit-learn's, fitted on nodes and graphs of the training set."""
    batch = PackedDataset(data[0]).batch(np.arange(40))
    return batch, StandardScaler().fit(batch.x), StandardScaler().fit(batch.graph_features)


@pytest.mark.parametrize("residency", ["memory", "mmap"])
def test_they_have_mean_zero_and_deviation_one_over_the_training_set(make_config, data, residency):
    config = make_config(
        model=WITH_NET, data={"standardize": FEATURES, "residency": residency},
        training={"num_epochs": 1},
    )  # fmt: skip
    trainer, loaders = Trainer(config), open_loaders(config, *data)
    trainer.run_training(loaders.train, loaders.validation)
    batch, nodes, graphs = scalers(data)
    seen = []
    encoder = trainer.model.encoder.register_forward_pre_hook(lambda _, args, kwargs: seen.append((args, kwargs)), with_kwargs=True)  # fmt: skip  # noqa: E501
    net = trainer.model.graph_features_net.register_forward_pre_hook(lambda _, args: seen.append(args))  # fmt: skip  # noqa: E501
    with torch.no_grad():
        trainer.model(batch.x, batch.edge_index, batch.batch, batch.graph_features)
    encoder.remove(), net.remove()
    ((x, *_), _), (graph_features,) = seen
    np.testing.assert_allclose(x, nodes.transform(batch.x), atol=1e-5)
    np.testing.assert_allclose(graph_features, graphs.transform(batch.graph_features), atol=1e-5)


def test_the_model_file_holds_them_and_needs_nothing_else(make_config, data, tmp_path):
    config = make_config(
        model=WITH_NET, data={"standardize": FEATURES}, training={"ema_decay": 0.5, "num_epochs": 2}
    )
    folder = tmp_path / "run"
    run.train_run(config, *data, folder)
    run.test_run(config, *data, folder / "model.pt", folder / "test")
    model = load_model(folder / "model.pt").eval()
    batch = PackedDataset(data[0]).batch(np.arange(50, 60))
    inputs = batch.x, batch.edge_index, batch.batch, batch.graph_features
    with torch.no_grad():
        outputs = model(*inputs)[0]
    table = pd.read_csv(folder / "test/predictions.csv")
    tested = table[[f"output_{k}" for k in range(3)]]
    np.testing.assert_allclose(outputs, tested, atol=1e-5)
    plain = load_model(folder / "model.pt").eval()
    for hooks in (plain._forward_pre_hooks, plain._forward_pre_hooks_with_kwargs):
        hooks.clear()
    _, nodes, graphs = scalers(data)
    scaled = [
        torch.tensor(scaler.transform(values), dtype=torch.float32)
        for scaler, values in ((nodes, batch.x), (graphs, batch.graph_features))
    ]
    with torch.no_grad():
        by_hand = plain(scaled[0], batch.edge_index, batch.batch, scaled[1])[0]
    torch.testing.assert_close(outputs, by_hand)
    file = io.BytesIO()
    write_program(file, model, 3, 2)
    file.seek(0)
    program = torch.export.load(file).module()
    with torch.no_grad():
        exported = program(batch.x, batch.edge_index, batch.ptr, batch.graph_features)
    torch.testing.assert_close(exported[0], outputs)


def test_an_interrupted_training_ends_in_the_same_bytes(make_config, data, tmp_path):
    def trainer(path, epochs):
        config = make_config(data={"standardize": ["node_features"]}, training={"path": str(tmp_path / path), "num_epochs": epochs, "lr_scheduler_type": None, "lr_scheduler_kwargs": {}})  # fmt: skip  # noqa: E501
        trained, loaders = Trainer(config), open_loaders(config, *data)
        trained.run_training(loaders.train, loaders.validation)
        return trained

    straight = trainer("straight", 4)
    trainer("twice", 2)
    twice = trainer("twice", 4)
    assert twice.epoch == 4
    weights = straight.model.state_dict()
    assert "standardizer.node_features_mean" in weights
    for name, value in twice.model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_targets_come_back_in_their_own_units(make_config, make_data, tmp_path):
    data = make_data(tmp_path / "data", targets=lambda c: (1000.0 + 50 * c).astype(np.float32))
    config = make_config(
        data={"standardize": ["target", "node_features"]},
        model={"downstream_tasks": [["torch.nn.Linear", [8, 1]]]},
        training={"num_epochs": 30},
        **VALUES,
    )
    folder = tmp_path / "run"
    run.train_run(config, *data, folder)
    run.test_run(config, *data, folder / "model.pt", folder / "test")
    table = pd.read_csv(folder / "test/predictions.csv")
    values = table["output_0"]
    assert values.between(900, 1200).all()
    metrics = (folder / "test/metrics.json").read_text()
    assert mean_absolute_error(table["target"], values) < 50
    assert f"{mean_absolute_error(table['target'], values):.3f}"[:4] in metrics


def test_heads_with_a_target_each_are_restored_and_classes_left():
    class Two(torch.nn.Module):
        def forward(self, x):
            return {0: torch.ones(2, 3), 1: torch.ones(2, 1)}

    model = Two()
    Standardizer({"target": (torch.tensor([5.0, 7.0]), torch.tensor([2.0, 3.0]))}).attach(model)
    outputs = model(torch.zeros(2, 1))
    assert outputs[0].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert outputs[1].tolist() == [[10], [10]]


def test_one_head_of_several_targets_is_restored():
    model = torch.nn.Identity()
    Standardizer({"target": (torch.tensor([5.0, 7.0]), torch.tensor([2.0, 3.0]))}).attach(model)
    assert model(torch.ones(1, 2)).tolist() == [[7, 10]]


def test_a_model_that_takes_the_batch_gets_a_copy(make_batches):
    class Whole(torch.nn.Module):
        def forward(self, data):
            return data.x

    loader = make_batches(range(6), 3)
    loader.dataset = None
    model = Whole()
    batch = next(iter(loader))
    before = batch.x.clone()
    standardize(model, loader, ["node_features"])
    scaler = StandardScaler().fit(torch.cat([b.x for b in loader]))
    np.testing.assert_allclose(model(batch), scaler.transform(before), rtol=1e-6)
    assert torch.equal(batch.x, before)


def test_any_loader_will_do(make_config, data):
    config = make_config(data={"standardize": ["node_features"]}, training={"num_epochs": 1})
    graphs = PackedDataset(data[0])[np.arange(40)]
    trainer = Trainer(config)
    trainer.run_training(DataLoader(graphs, 8), DataLoader(graphs, 8))
    _, nodes, _ = scalers(data)
    np.testing.assert_allclose(
        trainer.model.standardizer.node_features_std, nodes.scale_, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"standardize": ["target"]}}, "the targets are classes, not values; leave out"),
        ({"data": {"standardize": ["graph_features"]}}, "the model is called without 'graph_feat"),
    ],
)
def test_what_cannot_be_standardised_is_an_error(make_config, data, changes, said):
    config = make_config(**changes)
    loaders = open_loaders(config, *data)
    with pytest.raises(ConfigError, match=rf"^data\.standardize: {said}"):
        Trainer(config).run_training(loaders.train, loaders.validation)


def test_a_constant_feature_is_named(make_config, make_data, tmp_path):
    data = make_data(tmp_path / "data", targets=lambda c: np.full(len(c), 2.5, np.float32))
    config = make_config(data={"standardize": ["target"]}, **VALUES)
    loaders = open_loaders(config, *data)
    with pytest.raises(ConfigError, match=r"column 0 of the target is 2.5 in the whole training"):
        Trainer(config).run_training(loaders.train, loaders.validation)


def test_without_it_nothing_changes(make_config, data):
    config = make_config()
    assert "standardize" not in stage_section(config, "train")
    loaders = open_loaders(config, *data)
    trainer = Trainer(config)
    trainer.run_training(loaders.train, loaders.validation)
    assert not [name for name in trainer.model.state_dict() if "standardizer" in name]
