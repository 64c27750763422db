import copy

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.loader import DataLoader

import qgpipe
import qgpipe.compat.quantumgrav as QG
from qgpipe.compat.quantumgrav.train import Snapshot


class Own:
    """An evaluator that returns nothing and keeps a table, as in QuantumGravPy's tests."""

    def __init__(self):
        self.data = pd.DataFrame(columns=["loss", "hits"])

    def validate(self, model, data_loader):
        self.data.loc[len(self.data)] = [float(len(self.data)), 0.5]

    test = validate

    def report(self, results):
        assert results is None


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.fixture
def loaders(graphs):
    return DataLoader(graphs[:12], batch_size=4), DataLoader(graphs[12:], batch_size=4)


def test_it_is_built_at_once_or_by_hand(config):
    may = QG.Trainer.from_config(config)
    assert isinstance(may.model, QG.GNNModel) and isinstance(may.optimizer, torch.optim.Adam)
    assert may.lr_scheduler is None and may.config is config and may.epoch == 0
    assert may.checkpoint_path == may.data_path / "checkpoints"
    january = QG.Trainer(config)
    with pytest.raises(RuntimeError, match="initialize_model"):
        january.initialize_optimizer()
    january.initialize_model()
    with pytest.raises(RuntimeError, match="initialize_optimizer"):
        january.initialize_lr_scheduler()
    assert january.initialize_optimizer() is january.optimizer
    assert january.early_stopping is january.early_stopper
    assert january.criterion is config["criterion"] and january.seed == 3


def test_a_missing_section_is_an_error_of_jsonschema(config):
    del config["validation"]
    with pytest.raises(jsonschema.ValidationError, match="'validation' is a required property"):
        QG.Trainer.from_config(config)
    assert "data" not in QG.Trainer.schema["properties"]


def test_the_schedule_is_that_of_the_configuration(config):
    config["training"] |= {
        "lr_scheduler_type": torch.optim.lr_scheduler.LinearLR,
        "lr_scheduler_args": [0.2, 0.8],
    }
    trainer = QG.Trainer.from_config(config)
    assert trainer.lr_scheduler.start_factor == 0.2
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.002)


def test_own_evaluators_are_asked_as_there(config, loaders, mymodule):
    own = {"type": Own, "args": [], "kwargs": {}}
    config["validation"]["validator"] = config["testing"]["tester"] = own
    config["criterion"] = mymodule.loss_there
    trainer = QG.Trainer.from_config(config)
    _, validation = trainer.run_training(*loaders)
    assert validation is trainer.validator.data
    assert validation["loss"].tolist() == [0.0, 1.0, 2.0]
    assert len(trainer.run_test(loaders[1])) == 1


def test_parts_may_be_given(config, loaders, tmp_path):
    model = QG.GNNModel.from_config(config["model"])
    trainer = QG.Trainer(
        config, qgpipe.training.trainer.NOTES, config["criterion"], model, None, 3,
        torch.device("cpu"), tmp_path / "given",
    )  # fmt: skip
    assert trainer.model is model and trainer.data_path == tmp_path / "given"
    before = weights(model)
    training, validation = trainer.run_training(*loaders)
    assert len(training) == 3 and validation.empty
    assert not torch.equal(before, weights(model))  # this model was trained
    assert trainer.run_test(loaders[1]) == {}


def test_the_criterion_gets_the_trainer(config, loaders):
    seen = []

    def loss(outputs, data, trainer):
        seen.append(trainer)
        return torch.nn.functional.cross_entropy(outputs[0], data.y)

    trainer = QG.Trainer.from_config({**config, "criterion": loss})
    trainer.run_training(*loaders)
    assert len(seen) == 9 and set(seen) == {trainer}  # in training; validation has its own


def test_checkpoints_of_january_are_weights_by_name(config, loaders):
    trainer = QG.Trainer(config)
    model = trainer.initialize_model()
    trainer.save_checkpoint("mine")
    before = weights(model)
    torch.nn.init.zeros_(next(model.parameters()))
    trainer.load_checkpoint("mine")
    assert torch.equal(weights(trainer.model), before)
    assert trainer.latest_checkpoint.name == "model_mine.pt"
    assert len(trainer.run_test(loaders[1], "mine")) == 1
    with pytest.raises(FileNotFoundError):
        trainer.load_checkpoint("another")


def test_a_trainer_of_may_goes_on_from_a_checkpoint(config, loaders):
    config["training"]["num_epochs"] = 2
    trainer = QG.Trainer.from_config(config)
    trainer.run_training(*loaders)
    trainer.save_checkpoint("_mine")
    path = trainer.checkpoint_path / "epoch_2_mine"
    loaded = QG.Trainer.load_checkpoint(path)
    assert torch.equal(weights(loaded.model), weights(trainer.model)) and loaded.epoch == 2
    pd.testing.assert_frame_equal(loaded.validator.data, trainer.validator.data)
    assert loaded.early_stopper.to_state_dict() == trainer.early_stopper.to_state_dict()
    assert loaded.optimizer.state_dict()["state"].keys() == {0, 1, 2, 3, 4, 5}
    loaded._engine.config["training"]["num_epochs"] = 3
    training, _ = loaded.run_training(*loaders)
    assert training["epoch"].tolist() == [2]
    assert torch.equal(weights(trainer.load_model(path)), weights(weights_of(path, config)))


def weights_of(path, config):
    model = QG.GNNModel.from_config(config["model"])
    model.load_state_dict(Snapshot.load(path).model_state_dict)
    return model


def test_a_snapshot_without_its_parts_is_refused(tmp_path):
    torch.save({"epoch": 0, "model_state_dict": {}}, tmp_path / "old")
    with pytest.raises(ValueError, match="optimizer_state_dict, config_path"):
        Snapshot.load(tmp_path / "old")


def test_optuna_gets_the_validation_loss_and_may_prune(config, loaders):
    optuna = pytest.importorskip("optuna")
    reported = []

    class Trial:
        def report(self, value, epoch):
            reported.append((epoch, value))

        def should_prune(self):
            return len(reported) == 2

    trainer = QG.Trainer.from_config(config)
    with pytest.raises(optuna.TrialPruned):
        trainer.run_training(*loaders, trial=Trial())
    assert [epoch for epoch, _ in reported] == [0, 1]
    assert [value for _, value in reported] == trainer.validator.data["loss_avg"].tolist()


def test_losses_are_told_of_batches(config, loaders):
    config = copy.deepcopy(config)
    config["training"]["num_epochs"] = 1
    table, _ = QG.Trainer.from_config(config).run_training(*loaders)
    row = table.iloc[0]
    assert row["min_loss"] <= row["median_loss"] <= row["max_loss"]
    tensor, _ = QG.Trainer(config).run_training(*loaders)
    assert tensor.tolist()[0] == pytest.approx([row["mean_loss"], row["std_loss"]])
    assert np.isfinite(row["std_loss"])


def test_each_trainer_has_a_folder_of_its_own(config):
    """Although folders are named by the second."""
    assert len({QG.Trainer(config).data_path for _ in range(3)}) == 3


def test_targets_that_are_no_classes_are_a_warning(config, mymodule, caplog):
    """The loss may want them so; the workflow refuses them."""

    def collect(raw):
        graph = mymodule.collect(raw)
        graph.y = 7 * graph.y
        return graph

    def loss(outputs, data):
        return (outputs[0].sum(1) - data.y).square().mean()

    config["data"]["pre_transform"], config["criterion"] = collect, loss
    config["validation"]["validator"] = None
    trainer = QG.Trainer.from_config({**config, "early_stopping": None})
    trainer.run_training(*trainer.prepare_dataloaders()[:2])
    assert "targets go up to 7" in caplog.text and trainer.epoch == 3
