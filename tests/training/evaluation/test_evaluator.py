import logging
import math

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch
from torch.nn.functional import cross_entropy

from qgpipe.errors import ConfigError, TrainingError
from qgpipe.training.evaluation.evaluator import (
    Evaluator,
    Validator,
    build_evaluator,
    last_row,
    report_row,
)
from qgpipe.training.evaluation.evaluator import Tester as OwnTester


def first_head(outputs, data):
    return cross_entropy(outputs[0], data.y)


def mean_output(outputs, data):
    return outputs[0].mean()


VALUES = [1.0, 2.0, 3.0, 4.0, 10.0]  # by sample; batches of two: means 1.5, 3.5, 10


def test_loss_avg_is_over_samples_though_the_last_batch_is_short(make_batches, make_table):
    evaluator = Evaluator("cpu", mean_output)
    row = evaluator.evaluate(make_table([[v] for v in VALUES]), make_batches([0] * 5, 2))
    assert list(row.columns) == ["loss_avg", "loss_min", "loss_max"]
    assert row.to_dict("records") == [{"loss_avg": 4.0, "loss_min": 1.5, "loss_max": 10.0}]


def test_the_losses_of_the_samples_are_those_of_their_batches(make_batches, make_table):
    evaluator = Evaluator("cpu", mean_output)
    evaluator.evaluate(make_table([[v] for v in VALUES]), make_batches([0] * 5, 2))
    assert evaluator.collected.losses.tolist() == [1.5, 1.5, 3.5, 3.5, 10.0]


def test_mean_of_the_losses_equals_loss_avg(make_batches, make_table):
    evaluator = Evaluator("cpu", mean_output, [{"name": "mean", "monitor": np.mean}])
    row = evaluator.evaluate(make_table([[v] for v in VALUES]), make_batches([0] * 5, 2))
    assert row["mean"].item() == row["loss_avg"].item() == 4.0


def test_a_task_called_loss_avg_is_that_columns_value(make_batches, make_table, caplog):
    with caplog.at_level(logging.WARNING):
        evaluator = Evaluator("cpu", mean_output, [{"name": "loss_avg", "monitor": "numpy.max"}])
    row = evaluator.evaluate(make_table([[v] for v in VALUES]), make_batches([0] * 5, 2))
    losses = {"loss_avg": 10.0, "loss_min": 1.5, "loss_max": 10.0}
    assert row.to_dict("records") == [{**losses, "criterion_loss_avg": 4.0}]
    assert caplog.messages == [
        "evaluator.evaluator_tasks[0]: the column 'loss_avg' is what this monitor gives, not the "
        "loss, which is in the column 'criterion_loss_avg'"
    ]


def test_a_task_called_loss_avg_that_is_the_mean_of_the_losses_replaces_nothing(
    make_batches, make_table, caplog
):
    evaluator = Evaluator("cpu", mean_output, [{"name": "loss_avg", "monitor": "numpy.mean"}])
    row = evaluator.evaluate(make_table([[v] for v in VALUES]), make_batches([0] * 5, 2))
    assert row.to_dict("records") == [{"loss_avg": 4.0, "loss_min": 1.5, "loss_max": 10.0}]
    assert caplog.messages == []


def test_a_metric_of_outputs_that_are_not_finite_is_no_number(make_batches, make_table):
    tasks = [
        {"name": "accuracy", "monitor": sklearn.metrics.accuracy_score},
        {"name": "auc", "monitor": sklearn.metrics.roc_auc_score},
        {"name": "own", "monitor": lambda predictions, targets: 0.5},
        {"name": "median", "monitor": "numpy.median"},
    ]
    logits = torch.tensor([[0.0, 1.0], [math.nan, math.nan], [2.0, 0.0], [math.nan, 0.0]])
    evaluator = Evaluator("cpu", lambda outputs, data: torch.tensor(1.5), tasks)
    row = evaluator.evaluate(make_table(logits), make_batches([1, 0, 0, 0], 3)).iloc[0]
    assert row[["accuracy", "auc", "own"]].isna().all()
    assert row["median"] == row["loss_avg"] == 1.5
    assert evaluator.undecided.tolist() == [1, 3]
    row = evaluator.evaluate(make_table(logits[[0, 2, 0, 2]]), make_batches([1, 0, 1, 0], 3))
    assert row[["accuracy", "auc"]].to_numpy().tolist() == [[1.0, 1.0]]
    assert len(evaluator.undecided) == 0


def test_metrics_see_all_batches_in_order(make_batches, make_table):
    torch.manual_seed(0)
    logits, classes = torch.randn(23, 3), torch.randint(0, 3, (23,))
    tasks = [
        {
            "name": "f1",
            "monitor": sklearn.metrics.f1_score,
            "kwargs": {"average": "weighted"},
        }
    ]
    evaluator = Validator("cpu", first_head, tasks)
    row = evaluator.validate(make_table(logits), make_batches(classes, 4))
    expected = sklearn.metrics.f1_score(classes, logits.argmax(1), average="weighted")
    assert row["f1"].item() == expected
    assert row["loss_avg"].item() == pytest.approx(cross_entropy(logits, classes).item(), rel=1e-6)


def test_two_heads_are_judged_by_their_own_targets(make_batches, make_table):
    torch.manual_seed(1)
    logits, values = torch.randn(9, 3), torch.randn(9, 1)
    table = torch.stack([torch.randint(0, 3, (9,)).float(), torch.randn(9)], dim=1)

    def both(outputs, data):
        y = data.y.reshape(data.num_graphs, 2)
        losses = cross_entropy(outputs[0], y[:, 0].long())
        return losses + torch.nn.functional.mse_loss(outputs[1][:, 0], y[:, 1])

    tasks = [{"name": "mae", "monitor": sklearn.metrics.mean_absolute_error, "task": 1}]
    evaluator = Evaluator("cpu", both, tasks)
    row = evaluator.evaluate(make_table(logits, values), make_batches(table, 4))
    expected = sklearn.metrics.mean_absolute_error(table[:, 1], values[:, 0])
    assert row["mae"].item() == pytest.approx(expected, rel=1e-6)


def test_a_head_alone_of_several_is_judged_by_its_own_target(make_batches, make_table):
    model = make_table(torch.zeros(4, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]] * 2))
    model.active_tasks = {0: False, 1: True}
    tasks = [{"name": "accuracy", "monitor": sklearn.metrics.accuracy_score, "task": 1}]
    evaluator = Evaluator("cpu", lambda outputs, data: outputs[1].sum(), tasks)
    evaluator.apply_model = lambda model, batch: {1: model(batch)[1]}
    row = evaluator.evaluate(model, make_batches([[1, 0], [1, 1], [0, 0], [0, 1]], 3))
    assert row["accuracy"].item() == 1.0


def test_a_tester_keeps_outputs_targets_and_positions(make_batches, make_table):
    logits, classes = torch.eye(5)[:, :3], [0, 1, 2, 0, 1]
    tester = OwnTester("cpu", first_head)
    tester.test(make_table(logits), make_batches(classes, 2))
    assert torch.equal(tester.collected.heads[0], logits)
    assert tester.collected.targets.tolist() == classes
    assert tester.collected.positions.tolist() == [0, 1, 2, 3, 4]
    assert tester.collected.num_graphs == 5


def test_a_validator_without_metrics_keeps_no_outputs(make_batches, make_table):
    validator = Validator("cpu", first_head)
    validator.validate(make_table(torch.eye(3)), make_batches([0, 1, 2], 2))
    assert validator.collected.heads == {}


def test_data_has_a_row_an_evaluation(make_batches, make_table):
    evaluator = Evaluator("cpu", mean_output, [{"name": "mean", "monitor": np.mean}])
    model, loader = make_table([[2.0], [4.0]]), make_batches([0, 0], 1)
    assert evaluator.data.empty
    assert list(evaluator.data.columns) == ["loss_avg", "loss_min", "loss_max", "mean"]
    evaluator.evaluate(model, loader)
    evaluator.evaluate(model, loader)
    assert evaluator.data["loss_avg"].tolist() == [3.0, 3.0]


def test_evaluation_is_in_evaluation_mode_and_without_gradients(make_batches):
    class Watching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.seen = None

        def forward(self, data):
            self.seen = self.training, torch.is_grad_enabled()
            return {0: self.weight * data.x[data.ptr[:-1]]}

    model = Watching().train()
    Evaluator("cpu", mean_output).evaluate(model, make_batches([0], 1))
    assert model.seen == (False, False)


def test_apply_model_calls_the_model(make_batches, make_table):
    evaluator = Evaluator(
        "cpu", mean_output, apply_model=lambda model, data: {0: 2 * model(data)[0]}
    )
    row = evaluator.evaluate(make_table([[1.0], [3.0]]), make_batches([0, 0], 2))
    assert row["loss_avg"].item() == 4.0


def test_report_logs_the_last_row(caplog):
    with caplog.at_level(logging.INFO):
        Validator("cpu", mean_output).report(pd.DataFrame({"loss_avg": [2.0, 0.5], "f1": [0, 1]}))
    assert caplog.messages == ["Validation: loss_avg 0.5, f1 1"]


def test_outputs_that_are_not_a_row_a_graph_hurt_nothing(make_batches):
    class Matrices(torch.nn.Module):
        def forward(self, data):
            return {0: torch.ones(data.num_graphs, data.num_nodes), 1: torch.ones(())}

    tester = OwnTester("cpu", mean_output)
    row = tester.test(Matrices(), make_batches([0, 0, 0], 2))
    assert row["loss_avg"].item() == 1.0
    assert tester.collected.heads == {}


def test_a_failing_criterion_says_in_which_evaluation(make_batches, make_table):
    validator = Validator("cpu", lambda outputs, data: outputs[0], key="validation.validator")
    message = r"validation\.validator: criterion '<lambda>' returned .*; return the mean"
    with pytest.raises(TrainingError, match=message):
        validator.validate(make_table(torch.eye(3)), make_batches([0, 1], 2))


def test_an_empty_set_has_no_loss():
    row = Evaluator("cpu", mean_output).evaluate(torch.nn.Identity(), [])
    assert math.isnan(row["loss_avg"].item())


# from a configuration


def config(**validator):
    return {
        "criterion": first_head,
        "apply_model": None,
        "validation": {"validator": validator},
        "testing": {"tester": validator},
    }


CPU = torch.device("cpu")


def test_what_a_native_section_leaves_out_is_that_of_the_training():
    top = config(device=None, criterion=None, apply_model=None, evaluator_tasks=[])

    def call(model, data):
        return model(data)

    validator = build_evaluator(top, "validation", CPU, first_head, call)
    assert type(validator) is Validator
    assert validator.device == CPU
    assert validator.criterion is first_head
    assert validator.apply_model is call


def test_the_same_criterion_named_twice_is_one_object():
    criterion = torch.nn.CrossEntropyLoss()
    top = config(criterion="torch.nn.CrossEntropyLoss")
    top["criterion"] = "torch.nn.CrossEntropyLoss"
    assert build_evaluator(top, "testing", CPU, criterion, None).criterion is criterion


def test_a_missing_device_is_named_with_its_key():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match=r"validation\.validator\.device: 'cuda' asks for CUDA"):
        build_evaluator(config(device="cuda"), "validation", CPU, first_head, None)


class Halving(Validator):
    def __init__(self, device, criterion, share, evaluator_tasks=None):
        super().__init__(device, criterion, evaluator_tasks)
        self.share = share

    def evaluate(self, model, data_loader):
        return super().evaluate(model, data_loader) * self.share


def test_a_class_of_the_users_gets_device_and_criterion_if_it_takes_them(make_batches, make_table):
    top = config(type=Halving, args=[], kwargs={"share": 0.5})
    top["criterion"] = mean_output
    validator = build_evaluator(top, "validation", CPU, mean_output, None)
    row = validator.validate(make_table([[2.0], [4.0]]), make_batches([0, 0], 2))
    assert row["loss_avg"].item() == 1.5


class OfItsOwn:
    def __init__(self, answer):
        self.answer = answer


def test_a_class_of_the_users_gets_nothing_it_does_not_take():
    top = config(type=OfItsOwn, args=[42], kwargs={})
    assert build_evaluator(top, "testing", CPU, first_head, None).answer == 42


def test_last_row_has_plain_numbers_and_no_epoch():
    table = pd.DataFrame({"epoch": [1, 2], "loss_avg": np.float32([0.5, 0.25])})
    row = last_row(table, "validation.validator")
    assert row == {"loss_avg": 0.25}
    assert type(row["loss_avg"]) is float


def test_results_that_are_no_table_are_an_error():
    with pytest.raises(TrainingError, match=r"validation\.validator: it returned float, not a tab"):
        last_row(0.5, "validation.validator")


# evaluators written for QuantumGravPy


class Reporting:
    """Adds a row to its table ``data`` as it reports."""

    def __init__(self):
        self.data = pd.DataFrame(columns=["f1"])

    def report(self, results):
        self.data.loc[len(self.data)] = [0.5 + len(self.data)]


class Keeping(Reporting):
    """Has added the row before."""

    def report(self, results):
        pass


def test_the_row_is_that_which_was_added_in_the_report():
    evaluator = Reporting()
    table = pd.DataFrame({"loss": [1.0, 2.0]})
    assert report_row(evaluator, table, "validator") == {"f1": 0.5}
    assert report_row(evaluator, None, "validator") == {"f1": 1.5}


def test_the_row_is_the_one_returned_or_the_last_of_the_table():
    evaluator = Keeping()
    assert report_row(evaluator, pd.DataFrame({"loss": [1.0, 2.0]}), "validator") == {"loss": 2.0}
    evaluator.data.loc[0] = [0.25]
    assert report_row(evaluator, None, "validator") == {"f1": 0.25}


def test_numbers_are_losses_of_batches():
    class Plain:
        def report(self, results):
            self.said = results

    losses = [torch.tensor(1.0), torch.tensor(4.0)]
    assert report_row(Plain(), losses, "validator") == {
        "loss_avg": 2.5, "loss_min": 1.0, "loss_max": 4.0,
    }  # fmt: skip
    with pytest.raises(TrainingError, match="validator: it returned NoneType, not a table"):
        report_row(Plain(), None, "validator")
