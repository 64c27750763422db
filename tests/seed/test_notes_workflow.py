"""What the notes ask for, in one run of the workflow, and the same numbers from the library."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
import sys

import pandas as pd
import pytest
import scipy.special
import sklearn.metrics

from qgpipe import Trainer
from qgpipe.config import load_config, resolve_config
from qgpipe.config.objects import import_object

pytestmark = pytest.mark.slow

RUN = """\
name: everything
data:
  files: [data.zarr]
  reader: !pyobject mymodule.reader
  pre_filter: !pyobject mymodule.pre_filter
  pre_transform: [!pyobject mymodule.pre_transform]
  transform: {type: !pyobject torch_geometric.transforms.Constant, kwargs: {value: 2.0}}
  split: [0.75, 0.25]
  subset: 0.9
  shuffle: true
  n_processes: 2
model: {type: !pyobject mymodule.Model, args: [13], kwargs: {classes: 3}}
criterion: !partial {type: mymodule.weighted_loss, kwargs: {weight: 5e-1}}
training:
  seed: 11
  device: cpu
  num_epochs: 9
  batch_size: 8
  optimizer_type: !pyobject torch.optim.SGD
  optimizer_args: [0.05]
  optimizer_kwargs: {momentum: 0.9}
  checkpoint_at: 2
validation:
  batch_size: 5
  validator: {type: !pyobject mymodule.Validator}
testing:
  data: {files: [test.zarr]}
  tester:
    evaluator_tasks:
      - {name: f1, monitor: !pyobject sklearn.metrics.f1_score, kwargs: {average: macro}}
      - name: accuracy
        monitor: !pyobject torchmetrics.classification.MulticlassAccuracy
        kwargs: {num_classes: 3, average: micro}
early_stopping: {type: !pyobject mymodule.StopAfter, kwargs: {epochs: 4}}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory, make_folder, make_store):
    """A folder in which the workflow has run."""
    folder = make_folder(tmp_path_factory.mktemp("everything"))
    make_store(folder.path / "test.zarr", samples=9, seed=5)
    folder.save(RUN)
    result = folder.snakemake("test")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def run(ran):
    return ran.path / "results" / "runs" / "everything"


@pytest.fixture(scope="module")
def history(run):
    return pd.read_csv(run / "history.csv", float_precision="round_trip")


@pytest.fixture(scope="module")
def metrics(run):
    return json.loads((run / "test" / "metrics.json").read_text())


@pytest.fixture(scope="module")
def predictions(run):
    return pd.read_csv(run / "test" / "predictions.csv")


def test_note_05_classes_of_ones_own_are_used(history, run):
    assert len(history) == 4  # StopAfter
    assert (history["val_batches"] == 2).all()  # Validator
    summary = json.loads((run / "summary.json").read_text())
    assert summary["stopped_by"] == "early stopping"


def test_note_10_filters_subsets_and_splits_are_counted(ran):
    data = ran.path / "results" / "data"
    dataset = json.loads((data / "dataset.json").read_text())
    split = json.loads((data / "split.json").read_text())
    kept = {"data": 0, "test": 0}
    for part in dataset["parts"]:
        kept[part["store"]] += part["num_graphs"]
    assert sum(kept.values()) == dataset["num_graphs"] == 36 + 9 - dataset["num_filtered"]
    drawn = -(-9 * kept["data"] // 10)
    train = -(-3 * drawn // 4)
    sizes = [len(split[stage]) for stage in ("train", "validation", "test")]
    assert sizes == [train, drawn - train, kept["test"]]


def test_note_22_epochs_are_kept(run):
    (folder,) = (run / "checkpoints").iterdir()
    assert sorted(f.name for f in folder.glob("epoch_*")) == ["epoch_0002.pt", "epoch_0004.pt"]


def test_note_24_the_metrics_are_those_of_the_predictions(metrics, predictions):
    target, predicted = predictions["target"], predictions["predicted"]
    assert metrics["metrics"] == pytest.approx(
        {
            "f1": sklearn.metrics.f1_score(target, predicted, average="macro"),
            "accuracy": sklearn.metrics.accuracy_score(target, predicted),
        }
    )
    assert predictions["id"].str.startswith("test/").all()


def test_note_26_the_best_epoch_was_tested(metrics, history):
    best = history["val_loss_avg"].idxmin()
    assert metrics["epoch"] == history["epoch"][best]


def test_note_27_the_loss_is_over_samples(metrics, predictions):
    outputs = predictions.filter(regex=r"^output_").to_numpy()
    shares = scipy.special.softmax(outputs, axis=1)
    expected = 0.5 * sklearn.metrics.log_loss(predictions["target"], shares, labels=[0, 1, 2])
    assert metrics["loss"]["loss_avg"] == pytest.approx(expected, rel=1e-4)


def test_note_04_the_resolved_configuration_is_written_and_loads_back(ran, run, monkeypatch):
    written = load_config(run / "config.yaml")
    assert written == resolve_config(written) == resolve_config(load_config(ran.path / "run.yaml"))
    text = (run / "config.yaml").read_text()
    assert "criterion: !partial" in text
    assert "type: !pyobject mymodule.Model" in text
    monkeypatch.syspath_prepend(ran.path)
    mymodule = importlib.import_module("mymodule")
    criterion = import_object(written["criterion"])
    assert isinstance(criterion, functools.partial)
    assert (criterion.func, criterion.args) == (mymodule.weighted_loss, ())
    assert criterion.keywords == {"weight": 0.5}
    sys.modules.pop("mymodule")


def test_note_29_the_library_gives_the_same_numbers_for_what_it_is_handed_back(
    ran, run, history, metrics, folder, make_store
):
    shutil.copy(run / "config.yaml", "again.yaml")
    make_store(folder.path / "test.zarr", samples=9, seed=5)
    trainer = Trainer.from_config(load_config("again.yaml"))
    loaders = trainer.prepare_dataloaders()
    training, validation = trainer.run_training(loaders.train, loaders.validation)
    ours = pd.concat(
        [
            training[["loss_avg", "lr"]].set_axis(["train_loss_avg", "lr"], axis=1),
            validation[["loss_avg", "batches"]].add_prefix("val_"),
        ],
        axis=1,
    )
    pd.testing.assert_frame_equal(ours, history[list(ours)], rtol=1e-6)
    row = trainer.run_test(loaders.test).iloc[0]
    assert row["f1"] == pytest.approx(metrics["metrics"]["f1"])
    assert row["loss_avg"] == pytest.approx(metrics["loss"]["loss_avg"], rel=1e-6)


def test_note_28_nothing_is_left_to_do_with_code_of_ones_own(ran):
    result = ran.snakemake("test", "--dry-run")
    assert "Nothing to be done" in result.stdout + result.stderr
