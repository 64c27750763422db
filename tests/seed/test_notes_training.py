"""Notes 21 to 29 of what the seed document has to mean: training and evaluation."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional
from torch.utils._python_dispatch import TorchDispatchMode

import qgpipe
from qgpipe import DefaultEarlyStopping, Trainer
from qgpipe.errors import ConfigError, TrainingError
from qgpipe.models import call_model


@pytest.fixture
def prepared(folder, configured):
    """A trainer and its loaders, for a configuration with changes."""

    def make(**changes):
        trainer = Trainer.from_config(configured(**changes))
        return trainer, trainer.prepare_dataloaders()

    return make


@pytest.fixture
def trained(prepared):
    """A trainer that has trained, its loaders, and both tables."""

    def make(**changes):
        trainer, loaders = prepared(**changes)
        return trainer, loaders, *trainer.run_training(loaders.train, loaders.validation)

    return make


def predicted(model, loader) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of the first head and targets of all graphs of a loader, batch by batch."""
    model.eval()
    with torch.no_grad():
        pairs = [(call_model(model, batch)[0], batch.y) for batch in loader]
    outputs, targets = zip(*pairs, strict=True)
    return torch.cat(outputs), torch.cat(targets)


class Recorder:
    """A loss that keeps what it is called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, *args):
        self.calls.append(args)
        outputs, data = args
        return torch.nn.functional.cross_entropy(outputs[0], data.y)


def test_note_21_a_criterion_gets_outputs_and_data_everywhere(trained):
    losses = {stage: Recorder() for stage in ("training", "validation", "testing")}
    trainer, loaders, *_ = trained(
        criterion=losses["training"],
        validation={"validator": {"criterion": losses["validation"]}},
        testing={"tester": {"criterion": losses["testing"]}},
    )
    trainer.run_test(loaders.test)
    for stage, batches in (("training", 2 * 3), ("validation", 2 * 2), ("testing", 2)):
        calls = losses[stage].calls
        assert len(calls) == batches
        assert all(set(outputs) == {0} and data.num_graphs for outputs, data in calls)


def test_note_22_optimizer_and_schedule_are_built_from_type_args_and_kwargs(trained):
    trainer, _, training, _ = trained(
        training={
            "num_epochs": 4,
            "optimizer_type": "torch.optim.SGD",
            "optimizer_args": [0.5],
            "optimizer_kwargs": {"momentum": 0.9},
            "lr_scheduler_type": torch.optim.lr_scheduler.StepLR,
            "lr_scheduler_args": [2],
            "lr_scheduler_kwargs": {"gamma": 0.1},
        }
    )
    assert trainer.optimizer.param_groups[0]["momentum"] == 0.9
    assert training["lr"].tolist() == pytest.approx([0.5, 0.5, 0.05, 0.05])


class Scripted(qgpipe.Validator):
    """Answers with losses that are given, and keeps the weights that it was shown."""

    def __init__(self, device, criterion, losses):
        super().__init__(device, criterion)
        self.losses = list(losses)
        self.seen = []

    def evaluate(self, model, data_loader):
        self.seen.append([p.detach().clone() for p in model.parameters()])
        loss = self.losses[len(self.seen) - 1]
        return pd.DataFrame({"loss_avg": [loss], "score": [-loss]})


def scripted(*losses):
    return {"validator": {"type": Scripted, "kwargs": {"losses": list(losses)}}}


def test_note_22_a_plateau_schedule_gets_the_monitored_value(trained):
    _, _, training, _ = trained(
        training={
            "num_epochs": 5,
            "optimizer_kwargs": {"lr": 1.0},
            "lr_scheduler_type": "torch.optim.lr_scheduler.ReduceLROnPlateau",
            "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5, "threshold": 0},
        },
        validation=scripted(3.0, 2.0, 2.5, 1.0, 1.5),  # worse in epochs 3 and 5
    )
    assert training["lr"].tolist() == [1, 1, 1, 0.5, 0.5]


@pytest.mark.parametrize(("every", "kept"), [(2, ["0002", "0004"]), (None, [])])
def test_note_22_an_epoch_is_kept_every_so_often(trained, every, kept):
    trainer, *_ = trained(training={"num_epochs": 5, "checkpoint_at": every})
    names = sorted(file.stem for file in trainer.checkpoints.folder.glob("epoch_*.pt"))
    assert names == [f"epoch_{epoch}" for epoch in kept]
    assert (trainer.checkpoints.folder / "last.pt").exists()
    assert (trainer.checkpoints.folder / "best.pt").exists()


def test_note_22_loader_keys_belong_to_each_stage(prepared):
    _, loaders = prepared(
        training={"num_workers": 2, "drop_last": True, "prefetch_factor": 3, "pin_memory": False},
        validation={"batch_size": 5},
        testing={"batch_size": 4, "drop_last": True, "persistent_workers": True},
    )
    assert [loader.batch_size for loader in loaders] == [8, 5, 4]
    assert [len(loader) for loader in loaders] == [18 // 8, 2, 9 // 4]
    assert [sum(batch.num_graphs for batch in loader) for loader in loaders] == [16, 9, 8]


@pytest.mark.parametrize("shuffle", [None, False])
def test_note_22_shuffling_is_for_training_unless_said_otherwise(prepared, shuffle):
    _, loaders = prepared(training={"shuffle": shuffle}, testing={"shuffle": shuffle is False})
    for loader, shuffled in zip(loaders, (shuffle is None, False, shuffle is False), strict=True):
        orders = []
        for epoch in (1, 2):
            loader.set_epoch(epoch)
            orders.append([i for batch in loader for i in batch.sample_position.tolist()])
        assert (orders[0] != orders[1]) == shuffled
        assert sorted(orders[0]) == sorted(orders[1])


def test_note_23_evaluators_return_a_row_and_report_logs_it(trained, caplog):
    tasks = [{"name": "accuracy", "monitor": "sklearn.metrics.accuracy_score"}]
    trainer, loaders, training, validation = trained(
        validation={"validator": {"evaluator_tasks": tasks}},
        testing={"tester": {"evaluator_tasks": tasks}},
    )
    assert {"epoch", "loss_avg", "loss_min", "loss_max", "lr", "seconds"} <= set(training)
    columns = ["loss_avg", "loss_min", "loss_max", "accuracy"]
    assert validation.columns.tolist() == ["epoch", *columns]
    assert isinstance(trainer.validator, qgpipe.Evaluator)
    assert isinstance(trainer.tester, qgpipe.Evaluator)
    row = trainer.validator.evaluate(trainer.best_model(), loaders.test)
    assert row.columns.tolist() == columns
    assert len(row) == 1
    with caplog.at_level(logging.INFO):
        result = trainer.run_test(loaders.test)
    pd.testing.assert_frame_equal(result, row)
    assert f"Test: loss_avg {result['loss_avg'].item():.5g}" in caplog.text


class Named:
    """An evaluator of a user's own that has nothing but the names that the trainer calls."""

    def __init__(self, device=None, criterion=None):
        self.device, self.criterion, self.calls = device, criterion, []

    def validate(self, model, data_loader):
        self.calls.append("validate")
        return pd.DataFrame({"loss_avg": [1.0]})

    def test(self, model, data_loader):
        self.calls.append("test")
        return pd.DataFrame({"loss_avg": [2.0]})

    def report(self, data):
        self.calls.append("report")


def test_note_23_validate_test_and_report_are_what_the_trainer_calls(trained):
    own = {"type": Named}
    trainer, loaders, _, validation = trained(
        validation={"validator": own}, testing={"tester": own}
    )
    assert trainer.validator.calls == ["validate", "report"] * 2
    assert trainer.run_test(loaders.test)["loss_avg"].item() == 2.0
    assert trainer.tester.calls == ["test", "report"]
    assert validation["loss_avg"].tolist() == [1.0, 1.0]
    assert trainer.tester.device == trainer.device
    assert trainer.tester.criterion is trainer.criterion


def test_note_23_what_an_evaluator_lacks_is_that_of_the_training(prepared):
    seen = []

    def apply_model(model, data):
        seen.append(model.training)
        return call_model(model, data)

    trainer, loaders = prepared(apply_model=apply_model, criterion=Recorder())
    for evaluator in (trainer.validator, trainer.tester):
        assert evaluator.criterion is trainer.criterion
        assert evaluator.device == trainer.device
    trainer.run_training(loaders.train, loaders.validation)
    trainer.run_test(loaders.test)
    assert seen.count(True) == 2 * 3
    assert seen.count(False) >= 2 * 2 + 2


def own_metric(predictions, targets, *, scale=1.0):
    """Two required parameters: predictions and targets, concatenated, on the CPU."""
    assert predictions.device.type == targets.device.type == "cpu"
    return scale * (predictions.argmax(1) == targets).float().mean()


MONITORS = [
    {"name": "f1", "monitor": "sklearn.metrics.f1_score", "kwargs": {"average": "weighted"}},
    {"name": "accuracy", "monitor": sklearn.metrics.accuracy_score},
    {"name": "auc", "monitor": "sklearn.metrics.roc_auc_score", "kwargs": {"multi_class": "ovr"}},
    {
        "name": "tm_class",
        "monitor": "torchmetrics.classification.MulticlassF1Score",
        "kwargs": {"num_classes": 3, "average": "weighted"},
    },
    {
        "name": "tm_function",
        "monitor": torchmetrics.functional.accuracy,
        "kwargs": {"task": "multiclass", "num_classes": 3},
    },
    {"name": "mean_loss", "monitor": "numpy.mean"},
    {"name": "worst", "monitor": np.quantile, "kwargs": {"q": 1.0}},
    {"name": "own", "monitor": own_metric, "kwargs": {"scale": 2.0}},
    {"name": "cross_entropy", "monitor": torch.nn.CrossEntropyLoss, "args": []},
]


def test_note_24_what_a_monitor_is_decides_how_it_is_called(trained):
    trainer, loaders, *_ = trained(testing={"tester": {"evaluator_tasks": MONITORS}})
    row = trainer.run_test(loaders.test).iloc[0]
    outputs, targets = predicted(trainer.best_model(), loaders.test)
    true, labels = targets.numpy(), outputs.argmax(1).numpy()
    shares = torch.softmax(outputs.double(), dim=1).numpy()
    expected = {
        "f1": sklearn.metrics.f1_score(true, labels, average="weighted"),
        "accuracy": (true == labels).mean(),
        "auc": sklearn.metrics.roc_auc_score(true, shares, multi_class="ovr"),
        "tm_class": sklearn.metrics.f1_score(true, labels, average="weighted"),
        "tm_function": (true == labels).mean(),
        "mean_loss": row["loss_avg"],
        "worst": row["loss_max"],
        "own": 2 * (true == labels).mean(),
        "cross_entropy": sklearn.metrics.log_loss(true, shares),
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected, rel=1e-5)


def both_losses(outputs, data):
    kinds, sizes = data.y[:, 0].long(), data.y[:, 1]
    return torch.nn.functional.cross_entropy(outputs[0], kinds) + torch.nn.functional.mse_loss(
        outputs[1][:, 0], sizes
    )


def kind_and_size(data):
    data.y = torch.tensor([[float(data.y), float(data.num_nodes)]])
    return data


def test_note_24_a_task_picks_head_and_target_column(trained):
    tasks = [
        {"name": "error", "monitor": "sklearn.metrics.mean_squared_error", "task": 1},
        {"name": "r2", "monitor": "torchmetrics.R2Score", "task": 1},
    ]
    trainer, loaders, *_ = trained(
        data={"pre_transform": kind_and_size},
        model={"downstream_tasks": [["torch.nn.Linear", [8, 3]], ["torch.nn.Linear", [8, 1]]]},
        criterion=both_losses,
        testing={"tester": {"evaluator_tasks": tasks}},
    )
    row = trainer.run_test(loaders.test).iloc[0]
    model = trainer.best_model()
    with torch.no_grad():
        sizes = torch.cat([call_model(model, batch)[1] for batch in loaders.test])[:, 0].numpy()
    true = torch.cat([batch.y for batch in loaders.test])[:, 1].numpy()
    assert row["error"] == pytest.approx(sklearn.metrics.mean_squared_error(true, sizes))
    assert row["r2"] == pytest.approx(sklearn.metrics.r2_score(true, sizes), rel=1e-4)


def one_logit_loss(outputs, data):
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs[0][:, 0], data.y.float())


def is_manifold_like(data):
    data.y = (data.y > 0).long()
    return data


def test_note_24_the_sign_of_a_single_logit_is_the_class(trained):
    tasks = [
        {"name": "accuracy", "monitor": "sklearn.metrics.accuracy_score"},
        {"name": "auc", "monitor": "sklearn.metrics.roc_auc_score"},
    ]
    trainer, loaders, *_ = trained(
        data={"pre_transform": is_manifold_like},
        model={"downstream_tasks": [["torch.nn.Linear", [8, 1]]]},
        criterion=one_logit_loss,
        testing={"tester": {"evaluator_tasks": tasks}},
    )
    row = trainer.run_test(loaders.test).iloc[0]
    logits, true = predicted(trainer.best_model(), loaders.test)
    assert row["accuracy"] == pytest.approx(((logits[:, 0] > 0).long() == true).float().mean())
    assert row["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(true, logits[:, 0]))


def test_note_24_a_task_called_loss_avg_is_that_columns_value(trained):
    tasks = [{"name": "loss_avg", "monitor": "numpy.max"}]
    trainer, loaders, *_ = trained(testing={"tester": {"evaluator_tasks": tasks}})
    row = trainer.run_test(loaders.test).iloc[0]
    assert row["loss_avg"] == row["loss_max"] > row["loss_min"]


class CountTransfers(TorchDispatchMode):
    """Counts what makes the CPU wait for a device: reading a number from a tensor."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_note_23_an_evaluation_does_not_wait_for_the_device_at_each_batch(prepared):
    counts = []
    for batch_size in (9, 1):
        tasks = [{"name": "own", "monitor": own_metric}]
        trainer, loaders = prepared(
            testing={"batch_size": batch_size, "tester": {"evaluator_tasks": tasks}}
        )
        with CountTransfers() as transfers:
            trainer.tester.evaluate(trainer.model, loaders.test)
        counts.append(transfers.count)
    assert counts[0] == counts[1]


def test_note_27_training_does_not_wait_for_the_device_at_each_step(prepared):
    counts = []
    for batch_size in (18, 1):
        trainer, loaders = prepared(
            training={
                "batch_size": batch_size,
                "num_epochs": 1,
                "optimizer_type": "torch.optim.SGD",
            },
            name=f"batches-of-{batch_size}",
            validation=None,
        )
        with CountTransfers() as transfers:
            trainer.run_training(loaders.train)
        counts.append(transfers.count)
    assert counts[0] == counts[1]


LOSS = {"metric": "loss"}
SCORE = {"metric": "score", "mode": "max"}
NAN = float("nan")
# (tasks, mode, patience, losses, scores, epoch after which it stops), worked out by hand
TRACES = {
    "min": ({0: LOSS}, "any", 2, [5, 4, 4, 4], None, 4),
    "max": ({0: SCORE}, "any", 2, None, [0.1, 0.3, 0.2, 0.3], 4),
    "delta counts from the best": (
        {0: {**LOSS, "delta": 0.5}}, "any", 2, [5, 4.6, 4.4, 4.2, 4.1], None, 5,
    ),
    "better fills patience again": ({0: LOSS}, "any", 2, [5, 6, 4, 6, 6], None, 5),
    "grace keeps patience for two epochs": (
        {0: {**LOSS, "grace_period": 2}}, "any", 1, [3, 4, 4], None, 3,
    ),
    "every grace has to be over": (
        {0: LOSS, 1: {**SCORE, "grace_period": 3}}, "any", 1, [3] * 4, [1] * 4, 4,
    ),
    "patience 0 stops at the first epoch without improvement": (
        {0: LOSS}, "any", 0, [3, 2, 2], None, 3,
    ),
    "any: one task is enough": (
        {0: LOSS, 1: SCORE}, "any", 2, [5, 6, 6, 6], [0.1, 0.2, 0.2, 0.1], 4,
    ),
    "all: the best of a task waits for the others": (
        {0: LOSS, 1: SCORE}, "all", 2, [5, 6, 4, 3, 3], [0.1, 0.2, 0.2, 0.2, 0.1], 5,
    ),
    "a number that is none is never better": ({0: LOSS}, "any", 2, [3, NAN, NAN], None, 3),
    "the first score to beat": (
        {0: {**LOSS, "init_best_score": 1.0}}, "any", 2, [2.0, 1.5], None, 2,
    ),
    "a score to beat that anything beats": (
        {0: {**LOSS, "init_best_score": 1e9}}, "any", 1, [2.0, 1.5, 1.5], None, 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("restored", [False, True])
def test_note_25_early_stopping_follows_the_traces(name, restored):
    tasks, mode, patience, losses, scores, last = TRACES[name]
    stopping = DefaultEarlyStopping(tasks, patience, mode)
    stopped = []
    for epoch in range(last):
        values = {"loss": losses, "score": scores}
        row = {column: [list_[epoch]] for column, list_ in values.items() if list_}
        stopped.append(stopping(pd.DataFrame(row)))
        if restored:  # as after a restart
            state, stopping = stopping.state_dict(), DefaultEarlyStopping(tasks, patience, mode)
            stopping.load_state_dict(state)
    assert stopped == [False] * (last - 1) + [True]


def test_note_25_a_missing_column_is_an_error_that_lists_the_columns(prepared):
    stopping = {"tasks": {0: {"metric": "f1"}}, "patience": 2}
    with pytest.raises(ConfigError) as caught:
        prepared(early_stopping=stopping)
    assert str(caught.value) == (
        "early_stopping.tasks.0.metric: the validation results have no column 'f1'; "
        "the columns are loss_avg, loss_min, loss_max"
    )


def test_note_25_it_ends_a_training(trained):
    stopping = {"tasks": {0: {"metric": "loss_avg"}}, "patience": 2}
    _, _, training, _ = trained(
        early_stopping=stopping,
        training={"num_epochs": 9},
        validation=scripted(3, 2, 2.5, 2.1, 1, 1, 1, 1, 1),
    )
    assert len(training) == 4


@pytest.mark.parametrize(
    ("stopping", "best"),
    [
        (None, 2),  # the lowest validation loss
        ({"tasks": {0: {"metric": "score"}}, "patience": 9}, 3),  # the lowest score
        ({"tasks": {0: {"metric": "score", "mode": "max"}}, "patience": 9}, 2),
    ],
)
def test_note_26_testing_uses_the_best_model(trained, stopping, best):
    trainer, loaders, *_ = trained(
        early_stopping=stopping,
        training={"num_epochs": 4},
        validation=scripted(2.0, 1.0, 4.0, 3.0),
    )
    assert trainer.selection.epoch == best
    for mine, seen in zip(
        trainer.best_model().parameters(), trainer.validator.seen[best - 1], strict=True
    ):
        assert torch.equal(mine, seen)
    result = trainer.run_test(loaders.test)
    outputs, targets = predicted(trainer.best_model(), loaders.test)
    expected = torch.nn.functional.cross_entropy(outputs, targets)
    assert result["loss_avg"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_note_26_without_validation_the_last_model_is_tested(trained):
    trainer, *_ = trained(validation=None, training={"num_epochs": 3})
    assert trainer.selection.epoch == 3
    for best, last in zip(
        trainer.best_model().parameters(), trainer.model.parameters(), strict=True
    ):
        assert torch.equal(best, last)


def test_note_27_loss_avg_is_over_samples_though_batches_differ_in_size(trained):
    still = {"optimizer_type": "torch.optim.SGD", "optimizer_kwargs": {"lr": 0.0}, "num_epochs": 1}
    trainer, loaders, training, validation = trained(training={**still, "batch_size": 7})
    for loader, loss in (
        (loaders.train, training["loss_avg"]),  # 7 + 7 + 4
        (loaders.validation, validation["loss_avg"]),  # 7 + 2
        (loaders.test, trainer.run_test(loaders.test)["loss_avg"]),
    ):
        outputs, targets = predicted(trainer.model, loader)
        shares = torch.softmax(outputs.double(), dim=1).numpy()
        expected = sklearn.metrics.log_loss(targets.numpy(), shares, labels=[0, 1, 2])
        assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_note_28_a_model_of_ones_own_is_trained_resumed_and_tested(folder, configured):
    def run(epochs, name):
        config = configured(model=None, name=name, training={"num_epochs": epochs})
        config["model"] = {"type": "mymodule.Model", "kwargs": {"in_features": 12, "classes": 3}}
        trainer = Trainer.from_config(config)
        loaders = trainer.prepare_dataloaders()
        training, _ = trainer.run_training(loaders.train, loaders.validation)
        return training["loss_avg"], trainer.run_test(loaders.test)

    first, _ = run(2, "resumed")
    resumed, tested = run(4, "resumed")
    whole, tested_whole = run(4, "whole")
    assert resumed[:2].tolist() == first.tolist()
    assert resumed.tolist() == whole.tolist()
    pd.testing.assert_frame_equal(tested, tested_whole)


def test_note_29_objects_of_python_may_stand_in_the_configuration(trained, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder.path)
    import mymodule

    trainer, loaders, training, validation = trained(
        data={"reader": mymodule.data_reader},
        model={"encoder_type": qgpipe.models.Sequential, "aggregate_pooling_type": torch.cat},
        criterion=mymodule.compute_loss,
        training={"optimizer_type": torch.optim.Adam, "path": Path("runs")},
    )
    assert len(loaders) == 3
    assert training["epoch"].tolist() == validation["epoch"].tolist() == [1, 2]
    assert len(trainer.run_test(loaders.test)) == 1


def test_note_29_testing_before_training_is_an_error(prepared):
    trainer, loaders = prepared()
    with pytest.raises(TrainingError, match="there is no trained model yet"):
        trainer.run_test(loaders.test)
