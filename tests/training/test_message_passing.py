import logging
from pathlib import Path

import pytest
import torch

from qgpipe.models import call_model
from qgpipe.training.loaders import select_edge_format
from qgpipe.training.trainer import Trainer

CPU = torch.device("cpu")


def call_plainly(model, data):
    assert data.edge_index.dtype == torch.int64
    return model(data.x, data.edge_index, data.batch)


def train(config, open_data):
    loaders = open_data(config)
    trainer = Trainer(config)
    training, validation = trainer.run_training(loaders.train, loaders.validation)
    return trainer, loaders, training, validation


@pytest.mark.parametrize("changes", [{}, {"model": {"encoder_kwargs": {"layers": [
    ["torch_geometric.nn.GCNConv", [3, 8], {}, "x, edge_index"],
    ["torch_geometric.nn.GraphNorm", [8], {}, "x, batch"],
    ["torch_geometric.nn.GATConv", [8, 8], {}, "x, edge_index"],
]}}}], ids=["sage", "mixed"])  # fmt: skip
def test_every_form_trains_alike(make_config, open_data, changes):
    losses = {}
    for edge_format in ("edges", "csr", "dense"):
        # Not Adam, which blows up gradients that are zero but for rounding.
        sgd = {"optimizer_type": "torch.optim.SGD", "optimizer_kwargs": {"lr": 0.1}}
        config = make_config(**changes, training={"message_passing": edge_format, **sgd})
        _, loaders, training, validation = train(config, open_data)
        assert loaders.train.edge_format == loaders.validation.edge_format == edge_format
        losses[edge_format] = [*training["loss_avg"], *validation["loss_avg"]]
    assert losses["csr"] == pytest.approx(losses["edges"], rel=1e-3)
    assert losses["dense"] == pytest.approx(losses["edges"], rel=1e-3)


def test_weights_that_were_trained_in_one_form_are_tested_in_another(make_config, open_data):
    config = make_config(training={"message_passing": "csr"})
    trainer, loaders, *_ = train(config, open_data)
    expected = trainer.run_test(loaders.test)["loss_avg"].item()
    for edge_format in ("edges", "dense"):
        loaders.test.edge_format = edge_format
        found = trainer.tester.test(trainer.best_model(), loaders.test)["loss_avg"].item()
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_run_goes_on_in_another_form(make_config, open_data):
    whole = train(make_config(name="whole"), open_data)[2]
    for edge_format, num_epochs in (("csr", 1), ("dense", 3), ("edges", 4)):
        config = make_config(training={"message_passing": edge_format, "num_epochs": num_epochs})
        _, loaders, training, _ = train(config, open_data)
        assert loaders.train.edge_format == edge_format
    assert training["loss_avg"].tolist() == pytest.approx(whole["loss_avg"].tolist(), rel=1e-3)
    assert (
        len({path.parent for path in Path(config["training"]["path"]).rglob("tiny/**/last.pt")})
        == 1
    )


@pytest.mark.parametrize("edge_format", ["edges", "csr", "dense"])
def test_graphs_on_the_device_train_as_those_in_memory(make_config, open_data, edge_format):
    results = []
    for residency in ("memory", "mmap", "device"):
        config = make_config(
            name=residency, data={"residency": residency}, training={"message_passing": edge_format}
        )
        _, _, training, validation = train(config, open_data)
        results.append([*training["loss_avg"], *validation["loss_avg"]])
    assert results[0] == results[1] == results[2]


def test_batches_of_like_size_are_another_training(make_config, open_data):
    folders = {}
    for bucket in (False, True):
        config = make_config(training={"bucket_by_size": bucket, "num_epochs": 1})
        trainer, loaders, *_ = train(config, open_data)
        assert loaders.train.bucket_by_size == bucket
        assert not loaders.validation.bucket_by_size
        folders[bucket] = trainer.checkpoints.folder
    assert folders[False] != folders[True]


def test_the_form_that_auto_chose_is_logged_once(make_config, open_data, caplog):
    config = make_config(training={"num_epochs": 1})
    with caplog.at_level(logging.INFO):
        _, loaders, *_ = train(config, open_data)
    assert loaders.train.edge_format == "edges"
    said = [record.getMessage() for record in caplog.records]
    message = "message passing: edges (5 edges a graph, 22.9 % of all pairs of nodes, on cpu)"
    assert said.count(message) == 1


def test_who_calls_the_model_himself_gives_it_edge_index(make_config, open_data):
    config = make_config(apply_model=call_plainly, training={"num_epochs": 1})
    _, loaders, *_ = train(config, open_data)
    assert loaders.train.edge_format == "edges"


def test_a_criterion_may_look_at_the_edges(make_config, open_data):
    config = make_config(training={"message_passing": "dense"})
    loader, trainer = open_data(config).train, Trainer(config)
    select_edge_format([loader], trainer.model, config, CPU)
    batch = next(iter(loader))
    call_model(trainer.model, batch)
    assert batch.edge_index.shape == (2, batch.num_edges)


def test_a_loader_of_another_kind_stays_as_it_is(make_config, make_batches):
    config = make_config()
    loader = make_batches([0, 1, 2], 2)
    select_edge_format([loader, None], Trainer(config).model, config, CPU)
    assert not hasattr(loader, "edge_format")


@pytest.mark.parametrize("edge_format", ["csr", "dense"])
def test_a_translated_model_trains_as_it_is_written(
    make_config, open_data, edge_format, monkeypatch
):
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, **options: setattr(
            self,
            "_compiled_call_impl",
            torch.compile(self._call_impl, backend="aot_eager", **options),
        ),
    )
    losses = []
    for compiled in (False, True):
        options = {"message_passing": edge_format, "compile": compiled, "num_epochs": 2}
        losses.append(train(make_config(training=options), open_data)[2]["loss_avg"].tolist())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
