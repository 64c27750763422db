import csv
import json
import logging
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, r2_score
from torch.nn.functional import cross_entropy

from qgpipe.config.load import load_config
from qgpipe.config.resolve import resolve_config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.errors import ConfigError, DataError, DivergenceError
from qgpipe.models import load_model, read_model_file
from qgpipe.system import tensor_files
from qgpipe.training import run
from qgpipe.training.loaders import open_loaders
from qgpipe.training.trainer import Trainer

TESTS = {
    "evaluator_tasks": [
        {"name": "accuracy", "monitor": "sklearn.metrics.accuracy_score"},
        {"name": "f1", "monitor": "sklearn.metrics.f1_score", "kwargs": {"average": "weighted"}},
    ]
}


@pytest.fixture(scope="module")
def finished(make_config_in, data, tmp_path_factory):
    """A run that is trained and tested; its folder, configuration and data."""
    folder = tmp_path_factory.mktemp("run")
    config = make_config_in(folder, training={"num_epochs": 6}, testing={"tester": TESTS})
    run.train_run(config, *data, folder / "tiny")
    run.test_run(config, *data, folder / "tiny" / "model.pt", folder / "tiny" / "test")
    return folder / "tiny", config, data


def load_json(path):
    return json.loads(path.read_text())


def all_outputs(folder, data):
    """Outputs (60, 3) and targets of all graphs, by the model in the file."""
    dataset = PackedDataset(data[0])
    batch = dataset.batch(np.arange(60))
    with torch.no_grad():
        outputs = load_model(folder / "model.pt").eval()(batch.x, batch.edge_index, batch.batch)
    return outputs[0], batch.y


def test_training_leaves_its_files(finished):
    folder = finished[0]
    files = {"config.yaml", "model.pt", "history.csv", "summary.json", "checkpoints", "test",
             "logs"}  # fmt: skip
    assert {f.name for f in folder.iterdir() if not f.name.startswith(".")} == files


def test_the_configuration_can_be_run_again_as_it_is(finished):
    folder, config, _ = finished
    assert resolve_config(load_config(folder / "config.yaml")) == config


def test_the_history_has_a_row_an_epoch(finished):
    with (finished[0] / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == list("123456")
    assert list(rows[0]) == [
        "epoch", "train_loss_avg", "train_loss_min", "train_loss_max",
        "val_loss_avg", "val_loss_min", "val_loss_max", "val_accuracy",
        "lr", "seconds", "graphs_per_second",
    ]  # fmt: skip


def test_the_summary_says_how_it_went(finished):
    folder, *_ = finished
    summary = load_json(folder / "summary.json")
    history = pd.read_csv(folder / "history.csv")
    best = history["val_loss_avg"].idxmin()
    assert summary["best_epoch"] == history["epoch"][best]
    assert summary["best_score"] == history["val_loss_avg"][best]
    assert summary["metric"] == "val_loss_avg"
    assert summary["epochs"] == 6
    assert summary["stopped_by"] == "num_epochs"
    assert summary["graphs_per_second"] == pytest.approx(6 * 40 / history["seconds"].sum())
    assert summary["parameters"] == 2 * 3 * 8 + 8 + 8 * 3 + 3
    assert summary["versions"]["torch"] == torch.__version__
    assert (folder / summary["checkpoints"] / "last.pt").exists()


def test_the_model_file_is_the_best_one(finished):
    folder, *_ = finished
    best = folder / load_json(folder / "summary.json")["checkpoints"] / "best.pt"
    assert (folder / "model.pt").read_bytes() == best.read_bytes()


def test_metrics_are_those_of_the_test_set(finished):
    folder, _, data = finished
    outputs, y = (values[50:] for values in all_outputs(folder, data))
    predicted = outputs.argmax(1)
    metrics = load_json(folder / "test" / "metrics.json")
    assert metrics["run"] == "tiny"
    assert metrics["epoch"] == load_json(folder / "summary.json")["best_epoch"]
    assert metrics["num_graphs"] == 10
    assert metrics["task"] == "classification"
    assert metrics["metrics"] == {
        "accuracy": accuracy_score(y, predicted),
        "f1": f1_score(y, predicted, average="weighted"),
    }
    assert metrics["loss"]["loss_avg"] == pytest.approx(cross_entropy(outputs, y).item(), rel=1e-6)
    assert metrics["class_names"] == ["low", "middle", "high"]
    assert metrics["confusion_matrix"] == confusion_matrix(y, predicted, labels=range(3)).tolist()


def test_the_baseline_is_the_majority_class_of_the_training_set(finished):
    folder, _, data = finished
    _, y = all_outputs(folder, data)
    majority = torch.bincount(y[:40]).argmax()
    baseline = load_json(folder / "test" / "metrics.json")["baseline"]
    assert baseline["method"] == "majority class"
    always = majority.expand(10)
    assert baseline["metrics"] == {
        "accuracy": accuracy_score(y[50:], always),
        "f1": f1_score(y[50:], always, average="weighted"),
    }
    shares = (torch.bincount(y[:40]) + 1) / 43
    expected = cross_entropy(shares.log().expand(10, 3), y[50:]).item()
    assert baseline["loss"]["loss_avg"] == pytest.approx(expected, rel=1e-6)


def test_predictions_have_a_row_a_graph(finished):
    folder, _, data = finished
    outputs, y = (values[50:] for values in all_outputs(folder, data))
    table = pd.read_csv(folder / "test" / "predictions.csv")
    columns = ["id", "target", "output_0", "output_1", "output_2", "predicted"]
    assert list(table.columns) == columns
    assert table["id"].tolist() == [f"tiny/{i}" for i in range(50, 60)]
    assert table["target"].tolist() == y.tolist()
    assert table["predicted"].tolist() == outputs.argmax(1).tolist()
    # Batches of another size may round otherwise.
    written = table[["output_0", "output_1", "output_2"]].to_numpy()
    assert np.allclose(written, outputs.numpy(), rtol=1e-5, atol=1e-6)


def kind_of_two(outputs, data):
    return cross_entropy(outputs[1], data.y[:, 1])


def test_a_head_alone_of_several_is_tested_by_its_own_target(make_config_in, make_data, tmp_path):
    data = make_data(tmp_path, targets=lambda classes: np.stack([2 - classes, classes], 1))
    config = make_config_in(
        tmp_path,
        training={"num_epochs": 1},
        model={"downstream_tasks": [["torch.nn.Linear", [8, 3]]] * 2, "active_tasks": [1]},
        criterion=kind_of_two,
        validation=None,
        testing={"tester": {"evaluator_tasks": [
            {"name": "f1", "monitor": f1_score, "kwargs": {"average": "macro"}, "task": 1}
        ]}},
    )  # fmt: skip
    run.train_run(config, *data, tmp_path / "tiny")
    run.test_run(config, *data, tmp_path / "tiny" / "model.pt", tmp_path / "tiny" / "test")
    metrics = load_json(tmp_path / "tiny" / "test" / "metrics.json")
    table = pd.read_csv(tmp_path / "tiny" / "test" / "predictions.csv")
    expected = f1_score(table["target_1"], table["task1_predicted"], average="macro")
    assert metrics["metrics"]["f1"] == expected
    assert np.sum(metrics["confusion_matrix"]) == len(table)
    assert metrics["baseline"]["metrics"]["f1"] is not None


def test_integers_that_one_output_predicts_are_values(make_config_in, make_data, tmp_path):
    data = make_data(tmp_path, targets=lambda classes: 10 + 60 * classes.astype(np.int64))
    config = make_config_in(
        tmp_path,
        training={"num_epochs": 1},
        model={"downstream_tasks": [["torch.nn.Linear", [8, 1]]]},
        criterion="qgpipe.training.losses.mean_squared_error",
        validation=None,
        testing={"tester": {"evaluator_tasks": [{"name": "r2", "monitor": r2_score}]}},
    )
    run.train_run(config, *data, tmp_path / "tiny")
    run.test_run(config, *data, tmp_path / "tiny" / "model.pt", tmp_path / "tiny" / "test")
    metrics = load_json(tmp_path / "tiny" / "test" / "metrics.json")
    table = pd.read_csv(tmp_path / "tiny" / "test" / "predictions.csv")
    assert list(table.columns) == ["id", "target", "output_0"]
    assert metrics["task"] == "regression"
    assert metrics["confusion_matrix"] is None
    assert metrics["metrics"]["r2"] == pytest.approx(r2_score(table["target"], table["output_0"]))
    assert metrics["baseline"]["method"] == "mean value"
    assert metrics["baseline"]["loss"]["loss_avg"] < 70**2
    assert read_model_file(tmp_path / "tiny" / "model.pt")["binary_target"] is False


class Scaled(torch.nn.Module):
    """A cross entropy whose temperature is learnt."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, outputs, data):
        return cross_entropy(outputs[0] * self.scale, data.y)


@pytest.fixture
def learnt(make_config_in, data, tmp_path):
    """The configuration and model file of a run whose criterion has learnt something."""
    config = make_config_in(tmp_path, criterion=Scaled, validation=None)
    run.train_run(config, *data, tmp_path / "tiny")
    return config, tmp_path / "tiny" / "model.pt"


def test_the_test_is_with_the_criterion_that_was_trained(learnt, data, tmp_path):
    config, model = learnt
    trainer = Trainer(config, tmp_path / "again")
    loaders = open_loaders(config, *data)
    trainer.run_training(loaders.train)
    scale = read_model_file(model)["criterion_state_dict"]["scale"]
    assert scale != 1
    assert scale == trainer.criterion.scale
    run.test_run(config, *data, model, tmp_path / "test")
    metrics = load_json(tmp_path / "test" / "metrics.json")
    assert metrics["loss"]["loss_avg"] == trainer.run_test(loaders.test)["loss_avg"].item()
    shares = (np.bincount(loaders.train.dataset.targets(), minlength=3) + 1) / 43
    logits = torch.tensor(np.log(shares)).expand(10, 3) * scale
    expected = cross_entropy(logits, torch.tensor(loaders.test.dataset.targets())).item()
    assert metrics["baseline"]["loss"]["loss_avg"] == pytest.approx(expected)


def test_a_model_file_without_the_criterion_is_tested_with_a_warning(
    learnt, data, tmp_path, caplog
):
    config, model = learnt
    content = read_model_file(model)
    del content["criterion_state_dict"]
    tensor_files.save(model, content)
    run.test_run(config, *data, model, tmp_path / "test")
    assert "does not keep the weights of the criterion" in caplog.text


def test_a_criterion_that_has_changed_is_refused(learnt, data, tmp_path):
    config, model = learnt
    content = read_model_file(model)
    content["criterion_state_dict"] = {"other": torch.ones(())}
    tensor_files.save(model, content)
    with pytest.raises(DataError, match="do not fit the criterion"):
        run.test_run(config, *data, model, tmp_path / "test")


def test_a_damaged_model_file_is_not_tested(finished, tmp_path):
    folder, config, data = finished
    broken = tmp_path / "model.pt"
    broken.write_bytes((folder / "model.pt").read_bytes()[:-100])
    with pytest.raises(DataError, match=r"model\.pt is damaged"):
        run.test_run(config, *data, broken, tmp_path / "test")
    assert not (tmp_path / "test").exists()


def test_an_object_without_a_name_is_refused_before_the_work(make_config, data, tmp_path):
    config = make_config(criterion=lambda outputs, batch: outputs[0].mean())
    with pytest.raises(ConfigError, match=r"criterion: .* has no importable name"):
        run.train_run(config, *data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class OwnTester:
    """A tester that is none of ours."""

    def __init__(self, device, criterion):
        self.criterion = criterion

    def test(self, model, loader):
        return pd.DataFrame([{"answer": 42.0, "nothing": float("nan")}])

    def report(self, data):
        pass


def test_a_tester_of_the_users_gives_the_metrics_and_ours_the_rest(finished, tmp_path):
    folder, config, data = finished
    own = {**config, "testing": {**config["testing"], "tester": {"type": OwnTester}}}
    run.test_run(own, *data, folder / "model.pt", tmp_path)
    metrics = load_json(tmp_path / "metrics.json")
    assert metrics["metrics"] == {"answer": 42.0, "nothing": None}
    assert metrics["baseline"] is None
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 10


def blind(model, data):
    """Sees nothing in graphs of five elements."""
    outputs = model(data.x, data.edge_index, data.batch)
    outputs[0][data.ptr.diff() == 5] = float("nan")
    return outputs


def test_a_test_with_outputs_that_are_not_finite_leaves_no_results(finished, tmp_path):
    folder, config, data = finished
    with pytest.raises(DivergenceError) as caught:
        run.test_run({**config, "apply_model": blind}, *data, folder / "model.pt", tmp_path)
    assert re.fullmatch(
        r"the test: the outputs for 2 of 10 graphs are not finite, with the samples tiny/\d+, "
        r"tiny/\d+; look at these samples, or train a model whose outputs for them are finite",
        str(caught.value),
    )
    assert list(tmp_path.iterdir()) == []


def endless(outputs, data):
    return cross_entropy(outputs[0], data.y) * float("inf")


def test_a_result_that_is_not_finite_is_said(finished, tmp_path, caplog):
    folder, config, data = finished
    with caplog.at_level(logging.WARNING):
        run.test_run({**config, "criterion": endless}, *data, folder / "model.pt", tmp_path)
    assert caplog.messages == ["not finite, and null in metrics.json: loss_avg, loss_min, loss_max"]
    assert load_json(tmp_path / "metrics.json")["loss"]["loss_avg"] is None
