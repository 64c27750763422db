import functools
import json
import logging
import os
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch.nn.functional import cross_entropy

from qgpipe.errors import ConfigError, DivergenceError, TrainingError
from qgpipe.models import load_model, read_model_file
from qgpipe.system.lock import FolderInUse, writing
from qgpipe.training.distributed.signals import Interrupted
from qgpipe.training.early_stopping import DefaultEarlyStopping
from qgpipe.training.trainer import Trainer


@pytest.fixture
def train(open_data):
    """Train as a configuration says; returns the trainer and the two tables."""

    def run(config):
        trainer = Trainer(config)
        loaders = open_data(config)
        return trainer, *trainer.run_training(loaders.train, loaders.validation)

    return run


def test_the_schema_is_that_of_the_configuration():
    assert json.dumps(Trainer.schema).startswith('{"$schema"')
    assert {"training", "model", "criterion"} <= set(Trainer.schema["properties"])


def test_a_configuration_is_resolved_first():
    with pytest.raises(ConfigError, match=r"model\.encoder_type: missing"):
        Trainer.from_config({"data": {"files": ["a"]}, "model": {}, "criterion": "a.b"})


def test_both_tables_have_a_row_an_epoch(make_config, train):
    _, training, validation = train(make_config())
    assert training["epoch"].tolist() == validation["epoch"].tolist() == [1, 2, 3, 4]
    assert list(validation.columns) == ["epoch", "loss_avg", "loss_min", "loss_max", "accuracy"]
    assert {"loss_avg", "loss_min", "loss_max", "lr", "seconds"} <= set(training.columns)


def test_it_learns(make_config, train):
    _, training, validation = train(make_config(training={"num_epochs": 25}))
    assert training["loss_avg"].iloc[-1] < 0.8 < 1.0 < training["loss_avg"].iloc[0]
    assert validation["accuracy"].iloc[-1] >= 0.7


def test_the_test_is_of_the_best_model(make_config, train, open_data):
    config = make_config(testing={"tester": {"evaluator_tasks": [
        {"name": "accuracy", "monitor": accuracy_score}]}})  # fmt: skip
    trainer, _, validation = train(config)
    assert trainer.selection.epoch == validation["epoch"][validation["loss_avg"].idxmin()]
    (batch,) = open_data(make_config(testing={"batch_size": 10})).test
    outputs = trainer.best_model()(batch.x, batch.edge_index, batch.batch)
    results = trainer.run_test(open_data(config).test)
    assert isinstance(results, pd.DataFrame)
    assert results["accuracy"].item() == accuracy_score(batch.y, outputs[0].argmax(1))
    expected = cross_entropy(outputs[0], batch.y).item()
    assert results["loss_avg"].item() == pytest.approx(expected, rel=1e-6)


def test_there_is_nothing_to_test_before_training(make_config, open_data):
    config = make_config()
    with pytest.raises(TrainingError, match="no trained model yet; call run_training first"):
        Trainer(config).run_test(open_data(config).test)


def test_there_is_nothing_to_save_before_training(make_config, tmp_path):
    with pytest.raises(TrainingError, match="no trained model yet; call run_training first"):
        Trainer(make_config()).save_best_model(tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def test_a_training_leaves_a_trainer_no_attribute_that_it_had_not_before(make_config, open_data):
    config = make_config(training={"ema_decay": 0.9})
    trainer, loaders = Trainer(config), open_data(config)
    before = set(vars(trainer))
    assert trainer.checkpoints is None
    trainer.run_training(loaders.train, loaders.validation)
    assert set(vars(trainer)) == before
    assert trainer.checkpoints.last.exists()


def test_the_best_model_is_in_a_file_that_rebuilds_it(make_config, train, open_data):
    trainer, *_ = train(make_config())
    model = load_model(trainer.checkpoints.best)
    (batch, *_) = open_data(make_config()).test
    inputs = (batch.x, batch.edge_index, batch.batch)
    assert torch.equal(model.eval()(*inputs)[0], trainer.best_model()(*inputs)[0])
    facts = read_model_file(trainer.checkpoints.best)
    assert facts["epoch"] == trainer.selection.epoch
    assert facts["score"] == trainer.selection.score
    assert facts["node_features"] == ["a", "b", "c"]
    assert facts["class_names"] == ["low", "middle", "high"]


# which epoch is the best, and when to stop


def test_early_stopping_ends_the_training(make_config, train):
    stopping = {"tasks": {0: {"metric": "loss_avg", "delta": 10.0}}, "patience": 2}
    trainer, training, _ = train(make_config(early_stopping=stopping))
    assert len(training) == 3  # the first is better than infinity, then patience falls twice
    assert trainer.selection.stopped
    assert trainer.selection.epoch == 1


HIGHER = {"lr_scheduler_kwargs": {"mode": "max"}}


def test_the_best_epoch_is_chosen_by_the_early_stopping_metric(make_config, train):
    stopping = {"tasks": {0: {"metric": "accuracy", "mode": "max"}}, "patience": 50}
    config = make_config(early_stopping=stopping, training={"num_epochs": 12, **HIGHER})
    trainer, _, validation = train(config)
    assert trainer.selection.epoch == validation["epoch"][validation["accuracy"].idxmax()]
    assert trainer.selection.score == validation["accuracy"].max()


def test_a_plateau_schedule_follows_the_first_early_stopping_metric(make_config, train):
    stopping = {"tasks": {0: {"metric": "accuracy", "mode": "max"}}, "patience": 50}
    config = make_config(early_stopping=stopping, training={"num_epochs": 8, **HIGHER})
    _, training, validation = train(config)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.02), "max", patience=0, factor=0.5
    )
    rates = []
    for value in validation["accuracy"]:
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    assert training["lr"].tolist() == rates


def test_if_no_epoch_is_better_the_last_is_kept_with_a_warning(make_config, train, caplog):
    stopping = {"tasks": {0: {"metric": "loss_avg", "init_best_score": 0.0}}, "patience": 9}
    with caplog.at_level(logging.WARNING):
        trainer, _, validation = train(make_config(early_stopping=stopping))
    assert trainer.selection.epoch == 4
    assert trainer.selection.score == validation["loss_avg"].iloc[-1]
    assert "no epoch was better than the initial score" in caplog.text


class Nothing:
    """A loss that is a number in training only."""

    def __call__(self, outputs, data):
        loss = cross_entropy(outputs[0], data.y)
        return loss if torch.is_grad_enabled() else loss * float("nan")


F1 = {"monitor": "sklearn.metrics.f1_score", "kwargs": {"average": "macro"}}
TASKS = {"evaluator_tasks": [{"name": "loss_avg", **F1}]}


def test_where_a_metric_is_called_loss_avg_the_best_epoch_is_by_the_loss(make_config, train):
    config = make_config(validation={"validator": TASKS}, training={"num_epochs": 8})
    trainer, _, validation = train(config)
    loss, score = validation["criterion_loss_avg"], validation["loss_avg"]
    assert trainer.selection.epoch == validation["epoch"][loss.idxmin()]
    assert trainer.selection.column(trainer.history) == "val_criterion_loss_avg"
    assert trainer.selection.score == loss.min() < loss.max()
    assert score.between(0, 1).all() and score.idxmin() != loss.idxmin()


@pytest.mark.parametrize(
    ("task", "watched", "message"),
    [
        (F1, {"metric": "a"}, "more of 'a' is better, and the mode is 'min'; write max"),
        ({"monitor": "sklearn.metrics.log_loss"}, {"metric": "a", "mode": "max"}, "less of 'a' is"),
        ({"monitor": "torchmetrics.Accuracy", "args": ["multiclass"], "kwargs": {"num_classes": 3}},
         {"metric": "a"}, "more of 'a' is better"),
        (F1, {"metric": "loss_avg", "mode": "max"}, "less of 'loss_avg' is better"),
        ({"name": "loss_avg", **F1}, {"metric": "loss_avg"}, "more of 'loss_avg' is better"),
        ({"name": "loss_max", **F1}, {"metric": "criterion_loss_max", "mode": "max"}, "less of"),
        ({"monitor": "numpy.median"}, {"metric": "a", "mode": "max"}, "less of 'a' is better"),
    ],
)  # fmt: skip
def test_the_mode_of_early_stopping_is_held_against_what_is_known(
    make_config, task, watched, message
):
    config = make_config(
        validation={"validator": {"evaluator_tasks": [{"name": "a", **task}]}},
        early_stopping={"tasks": {"x": watched}, "patience": 3},
    )
    with pytest.raises(ConfigError, match=f"^early_stopping.tasks.x.mode: {message}"):
        Trainer(config)


def of_class_one(y_true, y_pred):
    return float((y_pred == 1).mean())


def test_of_a_monitor_of_the_users_either_mode_may_be_meant(make_config):
    tasks = {"evaluator_tasks": [{"name": "a", "monitor": of_class_one}]}
    for mode in ("min", "max"):
        stopping = {"tasks": {"x": {"metric": "a", "mode": mode}}, "patience": 3}
        kwargs = {"lr_scheduler_kwargs": {"mode": mode}}
        Trainer(make_config(validation={"validator": tasks}, early_stopping=stopping,
                            training=kwargs))  # fmt: skip


@pytest.mark.parametrize(
    ("watched", "mode", "which"),
    [
        ({"metric": "accuracy", "mode": "max"}, "min", "'accuracy', of which more"),
        ({"metric": "loss_avg"}, "max", "'loss_avg', of which less"),
        (None, "max", "'loss_avg', of which less"),
    ],
)
def test_a_plateau_schedule_takes_for_better_what_the_selection_does(
    make_config, watched, mode, which
):
    stopping = {"tasks": {0: watched}, "patience": 3} if watched else None
    kwargs = {"lr_scheduler_kwargs": {"mode": mode}}
    with pytest.raises(ConfigError, match=f"follows {which} is better, and its mode is '{mode}'"):
        Trainer(make_config(early_stopping=stopping, training=kwargs))


def test_a_validation_loss_that_is_no_number_is_never_the_best(make_config, train, caplog):
    trainer, training, _ = train(make_config(criterion=Nothing))
    assert len(training) == trainer.selection.epoch == 4
    assert "val_loss_avg is not a number after epoch 1" in caplog.text


def test_without_a_validation_the_last_epoch_is_the_best(make_config, train):
    trainer, training, validation = train(make_config(validation=None))
    assert validation.empty
    assert trainer.selection.epoch == len(training) == 4
    assert all(
        torch.equal(value, trainer.selection.weights[name])
        for name, value in trainer.model.state_dict().items()
    )


def test_a_watched_column_that_will_not_be_there_is_found_before_training(make_config, train):
    stopping = {"tasks": {0: {"metric": "f1"}}, "patience": 2}
    message = r"early_stopping\.tasks\.0\.metric: .*no column 'f1'; the columns are loss_avg, "
    with pytest.raises(ConfigError, match=message):
        train(make_config(early_stopping=stopping))


class StopAfterTwo:
    def __call__(self, validation):
        return len(validation) == 2


def test_early_stopping_of_the_users_sees_all_validation_results(make_config, train):
    trainer, training, validation = train(make_config(early_stopping={"type": StopAfterTwo}))
    assert len(training) == 2
    assert trainer.selection.epoch == validation["epoch"][validation["loss_avg"].idxmin()]


class Twice(DefaultEarlyStopping):
    pass


def test_a_subclass_of_early_stopping_is_constructed_as_it_is_given(make_config, train):
    kwargs = {"tasks": {0: {"metric": "accuracy", "mode": "max"}}, "patience": 1}
    stopping = {"type": Twice, "kwargs": kwargs}
    trainer, *_ = train(make_config(early_stopping=stopping, training=HIGHER))
    assert trainer.selection.column(trainer.history) == "val_accuracy"


# models, losses and loaders of the user's


class Own(torch.nn.Module):
    def __init__(self, features, classes=3):
        super().__init__()
        self.linear = torch.nn.Linear(features, classes)

    def forward(self, x, edge_index, batch):
        sums = torch.zeros(int(batch.max()) + 1, x.shape[1]).index_add(0, batch, x)
        return self.linear(sums)


def of_a_tensor(outputs, data):
    return cross_entropy(outputs, data.y)


def test_a_model_of_the_users_trains_is_saved_and_tested(make_config, train, open_data):
    model = {"type": Own, "args": [3], "kwargs": {"classes": 4}}
    config = make_config(criterion=of_a_tensor)
    config["model"] = model
    trainer, training, _ = train(config)
    assert training["loss_avg"].iloc[-1] < training["loss_avg"].iloc[0]
    assert load_model(trainer.checkpoints.best, trust=True).linear.out_features == 4
    assert trainer.run_test(open_data(config).test)["loss_avg"].item() > 0


def test_apply_model_reaches_training_validation_and_test(make_config, train, open_data):
    calls = []

    def doubled(model, data):
        calls.append(model.training)
        return {0: 2 * model(data.x, data.edge_index, data.batch)[0]}

    config = make_config(apply_model=doubled, training={"num_epochs": 1})
    trainer, *_ = train(config)
    assert calls.count(True) == 5  # batches of training
    before = len(calls)
    trainer.run_test(open_data(config).test)
    assert len(calls) - before == 2


def test_apply_model_is_constructed_once(make_config, train):
    by_name = {"!partial": {"type": "qgpipe.models.build.call_model"}}
    trainer, *_ = train(make_config(apply_model=by_name, training={"num_epochs": 1}))
    assert isinstance(trainer.apply_model, functools.partial)
    assert trainer.validator.apply_model is trainer.apply_model
    assert trainer.tester.apply_model is trainer.apply_model


class Weighted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, outputs, data):
        return cross_entropy(outputs[0] * self.scale, data.y)


def test_a_criterion_with_parameters_learns_them(make_config, train):
    trainer, *_ = train(make_config(criterion=Weighted))
    assert trainer.criterion.scale.item() != 1.0
    assert trainer.validator.criterion is trainer.criterion


def test_the_test_is_with_the_criterion_of_the_best_epoch(make_config, train, open_data):
    config = make_config(criterion=Weighted, training={"num_epochs": 3}, validation=None)
    trainer, *_ = train(config)
    last, learnt = trainer.criterion.scale.item(), torch.tensor(0.25)
    trainer.selection.criterion_weights = {"scale": learnt}  # as if another epoch had been the best
    results = trainer.run_test(open_data(config).test)
    outputs, targets = trainer.tester.collected.heads[0], trainer.tester.collected.targets
    expected = cross_entropy(outputs * learnt, targets).item()
    assert results["loss_avg"].item() == pytest.approx(expected)
    assert trainer.criterion.scale.item() == last


def two_losses(outputs, data):
    return cross_entropy(outputs[0], data.y) + cross_entropy(outputs[1], 2 - data.y)


def test_two_heads_are_trained_and_judged_together(make_config, train, open_data):
    heads = [["torch.nn.Linear", [8, 3]], ["torch.nn.Linear", [8, 3]]]
    tasks = [{"name": "first", "monitor": accuracy_score, "task": 0},
             {"name": "second", "monitor": accuracy_score, "task": 1}]  # fmt: skip
    config = make_config(
        model={"downstream_tasks": heads},
        criterion=two_losses,
        validation={"validator": {"evaluator_tasks": tasks}},
    )
    trainer, _, validation = train(config)
    assert {"first", "second"} <= set(validation.columns)
    trainer.run_test(open_data(config).test)
    assert set(trainer.tester.collected.heads) == {0, 1}


# options of the training pass


NO_DROPOUT = {"encoder_kwargs": {"layers": [
    ["torch_geometric.nn.SAGEConv", [3, 8], {}, "x, edge_index"], ["torch.nn.ReLU", [], {}, "x"],
]}}  # fmt: skip


@pytest.mark.parametrize("batch_size", [20, 16, 12])  # a step of 40; 32 and 8; 24 and 12 + 4
def test_accumulated_batches_train_as_large_ones(make_config, train, batch_size):
    large, small = (
        train(make_config(model=NO_DROPOUT, name=name, training=training))
        for name, training in (
            ("large", {"batch_size": 2 * batch_size}),
            ("small", {"batch_size": batch_size, "accumulate_steps": 2}),
        )
    )
    for column in ("loss_avg", "loss_min", "loss_max"):
        expected = large[1][column].to_numpy()
        assert small[1][column].to_numpy() == pytest.approx(expected, abs=1e-6)
    for name, weight in large[0].model.state_dict().items():
        assert torch.allclose(small[0].model.state_dict()[name], weight, rtol=0, atol=1e-6)


def test_the_average_of_the_weights_is_validated_tested_and_saved(make_config, train, open_data):
    trainer, _, validation = train(make_config(training={"ema_decay": 0.95}))
    (batch, *_) = open_data(make_config(validation={"batch_size": 10})).validation
    inputs = batch.x, batch.edge_index, batch.batch
    average, last = trainer.average.model.eval(), trainer.model.eval()
    losses = [cross_entropy(model(*inputs)[0], batch.y).item() for model in (average, last)]
    assert validation["loss_avg"].iloc[-1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-5)
    assert trainer.selection.epoch == 4
    saved = load_model(trainer.checkpoints.best).state_dict()
    assert all(torch.equal(saved[n], w) for n, w in average.state_dict().items())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_and_is_validated_in_full(make_config, train, precision):
    types = set()

    def criterion(outputs, data):
        types.add(outputs[0].dtype)
        return cross_entropy(outputs[0], data.y)

    config = make_config(criterion=criterion, training={"num_epochs": 25, "precision": precision})
    trainer, training, _ = train(config)
    assert training["loss_avg"].iloc[-1] < 0.8 < 1.0 < training["loss_avg"].iloc[0]
    assert types == {torch.float32}
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


class OnlyFull(torch.nn.Module):
    """A layer that cannot compute in half precision."""

    def forward(self, x):
        return torch.special.bessel_j0(x)


def test_a_layer_that_cannot_is_found_before_training(make_config, train):
    layers = [["torch_geometric.nn.SAGEConv", [3, 8], {}, "x, edge_index"], [OnlyFull]]
    config = make_config(
        model={"encoder_kwargs": {"layers": layers}}, training={"precision": "fp16"}
    )
    with pytest.raises(
        ConfigError, match=r"OnlyFull fails: .*'Half'.*; set training\.precision to bf16"
    ):
        train(config)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.dropout = torch.nn.Dropout(0.3)

    def forward(self, x, edge_index, batch, num_graphs):
        sums = torch.zeros(num_graphs, x.shape[1]).index_add(0, batch, x)
        return {0: self.linear(self.dropout(sums))}


class Stopping:
    """Cross entropy; at its call number ``at`` the process is told to stop."""

    def __init__(self, at=None):
        self.calls, self.at = 0, at

    def __call__(self, outputs, data):
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), signal.SIGTERM)
        return cross_entropy(outputs[0], data.y)


@pytest.mark.skipif(" " in sys.prefix, reason="torch.compile needs a path without spaces")
def test_a_compiled_model_goes_on_and_its_weights_keep_their_names(make_config, train):
    def run(name, at=None):
        config = make_config(
            name=name, criterion=Stopping(at), validation=None, training={"compile": True}
        )
        return train({**config, "model": {"type": Small}})

    with pytest.raises(Interrupted):
        run("stopped", at=8)  # the third step of the second epoch
    trainer, stopped, _ = run("stopped")
    assert list(trainer.selection.weights) == ["linear.weight", "linear.bias"]
    assert torch.equal(
        load_model(trainer.checkpoints.best, trust=True).linear.bias, trainer.model.linear.bias
    )
    _, whole, _ = run("whole")
    assert stopped["loss_avg"].tolist() == pytest.approx(whole["loss_avg"].tolist(), rel=1e-5)


def test_deterministic_algorithms_are_asked_for_in_training_and_test_only(
    make_config, train, open_data
):
    seen = []

    def criterion(outputs, data):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return cross_entropy(outputs[0], data.y)

    config = make_config(criterion=criterion, training={"deterministic": True, "num_epochs": 1})
    trainer, *_ = train(config)
    trainer.run_test(open_data(config).test)
    assert all(seen)
    assert len(seen) == 5 + 2 + 2
    assert not torch.are_deterministic_algorithms_enabled()


# what stops a training


class Poisoned:
    """A loss that is not a number from its call number ``at`` on."""

    def __init__(self, at):
        self.calls, self.at = 0, at

    def __call__(self, outputs, data):
        self.calls += torch.is_grad_enabled()
        return cross_entropy(outputs[0], data.y) * (float("nan") if self.calls >= self.at else 1)


def test_a_loss_that_is_no_number_names_epoch_step_and_samples(make_config, train, open_data):
    config = make_config(criterion=Poisoned(at=8))  # five steps an epoch
    with pytest.raises(TrainingError) as caught:
        train(config)
    loader = open_data(config).train
    ids = [f"tiny/{i}" for i in loader.order(2)[16:24]]
    assert str(caught.value) == (
        f"epoch 2, step 3: the loss is nan, with the samples {', '.join(ids)}; "
        "look at these samples, or lower the learning rate; the last good checkpoint is kept"
    )


def test_the_last_good_checkpoint_is_kept_and_gone_on_from(make_config, train):
    criterion = Poisoned(at=8)
    config = make_config(criterion=criterion)
    with pytest.raises(TrainingError):
        train(config)
    criterion.at = 1000
    trainer, training, _ = train(config)
    healthy, expected, _ = train(make_config(criterion=Poisoned(at=1000), name="healthy"))
    assert training["loss_avg"].tolist() == expected["loss_avg"].tolist()
    assert trainer.epoch == healthy.epoch == 4


class Exploding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, loss):
        return loss.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


def exploding(outputs, data):
    return Exploding.apply(cross_entropy(outputs[0], data.y))


def test_gradients_that_are_no_numbers_name_step_and_samples(make_config, train, open_data):
    config = make_config(criterion=exploding, training={"accumulate_steps": 2})
    with pytest.raises(TrainingError) as caught:
        train(config)
    ids = [f"tiny/{i}" for i in open_data(config).train.order(1)[:8]]
    assert str(caught.value) == (
        f"epoch 1, step 1: the norm of the gradients is nan, with the samples {', '.join(ids)} "
        "and 8 more; look at these samples, or lower the learning rate; "
        "the last good checkpoint is kept"
    )
    assert not list(Path(config["training"]["path"]).rglob("*.pt"))


def test_weights_that_are_no_numbers_are_never_saved(make_config, train):
    sgd = {"optimizer_type": torch.optim.SGD, "optimizer_kwargs": {"lr": 3e38}}
    config = make_config(
        criterion=lambda outputs, data: 1e6 * cross_entropy(outputs[0], data.y),
        training={"batch_size": 40, **sgd},  # one step an epoch
    )
    with pytest.raises(TrainingError, match="weights are not finite numbers after epoch 1; lower"):
        train(config)
    assert not list(Path(config["training"]["path"]).rglob("*.pt"))


class OutOfMemory:
    """A loss for which there is no memory at its call number ``at``."""

    def __init__(self, at):
        self.calls, self.at = 0, at

    def __call__(self, outputs, data):
        self.calls += 1
        if self.calls == self.at:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return cross_entropy(outputs[0], data.y)


def test_out_of_memory_says_where_how_large_the_batch_was_and_what_to_change(make_config, train):
    message = (
        r"epoch 2, step 3: a batch of 8 graphs, \d\d nodes, \d\d edges does not fit into the "
        r"memory of cpu; make training\.batch_size smaller and training\.accumulate_steps larger"
    )
    with pytest.raises(TrainingError, match=message):
        train(make_config(criterion=OutOfMemory(at=7 + 3)))


def test_so_does_it_for_the_first_batch_and_the_validation(make_config, train):
    def greedy(model, data):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(
        TrainingError, match=r"the first batch: a batch of 8 graphs, .* make training\.batch_size"
    ):
        train(make_config(apply_model=greedy))
    with pytest.raises(
        TrainingError, match=r"validation\.validator: a batch of .* make the batch_size"
    ):
        train(make_config(criterion=OutOfMemory(at=7)))


def test_a_loss_without_a_gradient_is_an_error(make_config, train):
    config = make_config(criterion=lambda outputs, data: outputs[0].detach().mean())
    with pytest.raises(TrainingError, match="epoch 1, step 1: the loss has no gradient"):
        train(config)


def test_a_vector_of_losses_says_where_and_what_to_do(make_config, train):
    config = make_config(criterion=lambda o, d: cross_entropy(o[0], d.y, reduction="none"))
    message = r"epoch 1, step 1: criterion '<lambda>' returned .* \(8,\); return the mean"
    with pytest.raises(TrainingError, match=message):
        train(config)


def test_features_that_do_not_fit_are_found_before_training(make_config, train):
    layers = [["torch_geometric.nn.SAGEConv", [12, 8], {}, "x, edge_index"]]
    config = make_config(model={"encoder_kwargs": {"layers": layers}})
    message = r"SAGEConv expects 12 node features, the data has 3 \(a, b, c\)"
    with pytest.raises(ConfigError, match=message):
        train(config)


def test_classes_that_do_not_fit_are_found_before_training(make_config, train):
    config = make_config(model={"downstream_tasks": [["torch.nn.Linear", [8, 2]]]})
    with pytest.raises(ConfigError, match="targets go up to 2 but head 0 has 2 outputs"):
        train(config)


def test_an_epoch_without_a_batch_is_an_error(make_config, train):
    config = make_config(training={"batch_size": 64, "drop_last": True})
    with pytest.raises(ConfigError, match=r"training\.drop_last: all 40 graphs are left out"):
        train(config)


def test_graphs_that_are_left_out_of_validation_and_test_are_said(
    make_config, train, open_data, caplog
):
    left_out = {"batch_size": 4, "drop_last": True}
    config = make_config(training=left_out, validation=left_out, testing=left_out)
    with caplog.at_level(logging.WARNING):
        trainer, *_ = train(config)
        trainer.run_test(open_data(config).test)
    assert caplog.messages == [
        f"{stage}.drop_last leaves out 2 of 10 graphs" for stage in ("validation", "testing")
    ]


def test_a_loader_without_a_batch_is_an_error(make_config):
    class Empty(list):
        dataset = ()

    with pytest.raises(TrainingError, match=r"no batch to train on \(0 graphs\)"):
        Trainer(make_config(validation=None)).run_training(Empty())


def blind_in_evaluation(model, data):
    """Sees nothing in graphs of five elements, unless it is trained."""
    outputs = model(data.x, data.edge_index, data.batch)
    if not torch.is_grad_enabled():
        outputs[0][data.ptr.diff() == 5] = float("nan")
    return outputs


def test_outputs_that_are_not_finite_end_no_training_but_are_said(
    make_config, train, open_data, caplog
):
    config = make_config(apply_model=blind_in_evaluation)
    with caplog.at_level(logging.INFO):
        trainer, _, validation = train(config)
    validated = open_data(config).validation
    blind = torch.cat([b.sample_position[b.ptr.diff() == 5] for b in validated])
    assert (
        f"epoch 1, validation: the outputs for {len(blind)} of 10 graphs are not finite, with the "
        f"samples {', '.join(validated.dataset.sample_ids(blind.tolist()))}"
    ) in caplog.messages
    assert validation[["loss_avg", "accuracy"]].isna().all(axis=None)
    assert trainer.selection.epoch == 4
    notes = [record.getMessage() for record in caplog.records if record.name.endswith("notes")]
    assert notes == [
        "val_loss_avg is not finite in 4 of 4 epochs, which are never the best",
        "no epoch was better than the initial score; the last one is kept",
    ]


def test_outputs_that_are_not_finite_are_no_result_of_a_test(make_config, train, open_data):
    config = make_config(apply_model=blind_in_evaluation)
    trainer, *_ = train(config)
    with pytest.raises(DivergenceError, match="the test: the outputs for 2 of 10 graphs are not"):
        trainer.run_test(open_data(config).test)


def test_early_stopping_needs_a_validation_loader(make_config, open_data):
    stopping = {"tasks": {0: {"metric": "loss_avg"}}, "patience": 2}
    config = make_config(early_stopping=stopping)
    with pytest.raises(TrainingError, match="early stopping needs a validation loader"):
        Trainer(config).run_training(open_data(config).train)


def test_a_model_that_cannot_be_saved_is_refused_at_once(make_config):
    config = make_config()
    config["model"] = {"type": lambda: torch.nn.Linear(1, 1)}
    with pytest.raises(ConfigError, match=r"model\.type: .* has no importable name"):
        Trainer(config)


def test_two_trainings_in_one_folder_are_kept_apart(make_config, train):
    config = make_config()
    folder = Path(config["training"]["path"]) / config["name"]
    with writing(folder / ".training.lock"):
        with pytest.raises(FolderInUse, match=f"{folder}: in use by process {os.getpid()} on host"):
            train(config)
        assert [file.name for file in folder.iterdir()] == [".training.lock"]
        train({**config, "name": "other"})
    train(config)


def test_weights_that_were_loaded_by_hand_are_not_lost_in_silence(make_config, open_data, recwarn):
    config = make_config()
    trainer, loaders = Trainer(config), open_data(config)
    first, _ = trainer.run_training(loaders.train, loaders.validation)
    found, _ = Trainer(config).run_training(loaders.train, loaders.validation)
    again, _ = trainer.run_training(loaders.train, loaders.validation)
    assert found.equals(first) and again.equals(first)
    lost = [w for w in recwarn if "by hand" in str(w.message)]
    assert lost == []

    other = {k: torch.zeros_like(v) for k, v in trainer.model.state_dict().items()}
    for one in (trainer, Trainer(config)):
        one.model.load_state_dict(other)
        with pytest.warns(
            UserWarning, match=r"changed by hand, and are not used.* after epoch 4"
        ) as w:
            assert one.run_training(loaders.train, loaders.validation)[0].equals(first)
        assert w[0].filename == __file__


def test_a_training_starts_from_weights_that_were_loaded_by_hand(make_config, open_data, recwarn):
    frozen = {"num_epochs": 1, "optimizer_kwargs": {"lr": 0.0}}
    config = make_config(training=frozen)
    trainer, loaders = Trainer(config), open_data(config)
    trainer.model.load_state_dict(
        {name: torch.zeros_like(value) for name, value in trainer.model.state_dict().items()}
    )
    trainer.run_training(loaders.train, loaders.validation)
    assert not any(value.any() for value in trainer.best_model().state_dict().values())
    assert [w for w in recwarn if "by hand" in str(w.message)] == []
