import functools
import math
import warnings

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics
from torchmetrics.classification import MulticlassF1Score

from qgpipe.errors import ConfigError, TrainingError
from qgpipe.training.evaluation.metrics import Collected, Monitor, build_monitors, scalars

generator = torch.Generator().manual_seed(5)
LOGITS = torch.randn(60, 3, generator=generator)
CLASSES = torch.randint(0, 3, (60,), generator=generator)
VALUES = torch.randn(60, 1, generator=generator)
REAL = torch.randn(60, generator=generator)


def collected(head=LOGITS, targets=CLASSES, losses=None, **heads):
    losses = np.arange(len(head), dtype=float) if losses is None else losses
    return Collected(len(head), losses, {0: head, **heads}, 1 + len(heads), targets)


def value(monitor, data=None, **keys):
    return Monitor({"name": "m", "monitor": monitor, **keys})(data or collected())


# functions


def test_a_partial_is_called_as_what_it_is_a_partial_of():
    f1 = functools.partial(sklearn.metrics.f1_score, average="macro")
    assert value(f1) == sklearn.metrics.f1_score(CLASSES, LOGITS.argmax(1), average="macro")
    metric = functools.partial(MulticlassF1Score, num_classes=3)
    assert value(metric) == value(MulticlassF1Score, kwargs={"num_classes": 3})


@pytest.mark.parametrize("name", ["sklearn.metrics.f1_score", "!pyobject sklearn.metrics.f1_score"])
def test_a_function_keeps_its_kwargs_for_the_call(name):
    expected = sklearn.metrics.f1_score(CLASSES, LOGITS.argmax(1), average="weighted")
    assert value(name, kwargs={"average": "weighted"}) == expected


def test_args_of_a_function_become_its_keyword_arguments():
    expected = sklearn.metrics.fbeta_score(CLASSES, LOGITS.argmax(1), beta=2.0, average="macro")
    assert value(sklearn.metrics.fbeta_score, args=[2.0], kwargs={"average": "macro"}) == expected


@pytest.mark.parametrize(
    "metric",
    [
        sklearn.metrics.accuracy_score,
        sklearn.metrics.balanced_accuracy_score,
        sklearn.metrics.matthews_corrcoef,
    ],
)
def test_y_pred_gets_class_labels_for_integer_targets(metric):
    assert value(metric) == metric(CLASSES, LOGITS.argmax(1))


@pytest.mark.parametrize("metric", [sklearn.metrics.r2_score, sklearn.metrics.mean_absolute_error])
def test_y_pred_gets_raw_values_for_real_targets(metric):
    data = collected(VALUES, REAL)
    expected = metric(REAL.double(), VALUES[:, 0].double())
    assert value(metric, data) == pytest.approx(expected, rel=1e-12)


def test_a_single_logit_is_class_one_when_positive():
    truth = torch.tensor([0, 1, 1, 0])
    logits = torch.tensor([[-1.0], [2.0], [-0.1], [0.3]])
    assert value(sklearn.metrics.accuracy_score, collected(logits, truth)) == 0.5


def test_y_score_gets_probabilities():
    expected = sklearn.metrics.roc_auc_score(
        CLASSES, torch.softmax(LOGITS.double(), 1), multi_class="ovr"
    )
    got = value(sklearn.metrics.roc_auc_score, kwargs={"multi_class": "ovr"})
    assert got == pytest.approx(expected, rel=1e-12)


def test_y_score_of_two_classes_is_that_of_class_one():
    truth = (CLASSES > 0).long()
    expected = sklearn.metrics.roc_auc_score(truth, (LOGITS[:, 1] - LOGITS[:, 0]))
    assert value(sklearn.metrics.roc_auc_score, collected(LOGITS[:, :2], truth)) == expected


def test_y_proba_gets_probabilities_too():
    expected = torch.nn.functional.cross_entropy(LOGITS.double(), CLASSES).item()
    assert value(sklearn.metrics.log_loss) == pytest.approx(expected, rel=1e-9)


def test_outputs_that_are_probabilities_are_taken_as_they_are():
    shares = torch.softmax(LOGITS, 1)
    expected = torch.nn.functional.cross_entropy(LOGITS.double(), CLASSES).item()
    assert value(sklearn.metrics.log_loss, collected(shares)) == pytest.approx(expected, rel=1e-5)


def test_one_required_parameter_gets_the_losses_of_the_samples():
    data = collected(losses=np.array([1.0, 2.0, 6.0] * 20))
    assert value(np.mean, data) == 3.0
    assert value("numpy.max", data) == 6.0
    assert value(np.quantile, data, kwargs={"q": 0.5}) == 2.0


def test_two_parameters_get_predictions_and_targets():
    data = collected(VALUES, REAL)
    expected = torch.nn.functional.l1_loss(VALUES[:, 0], REAL).item()
    assert value(torch.nn.functional.l1_loss, data) == expected


def test_a_function_of_the_users_sees_tensors_on_the_cpu():
    seen = []

    def count(predictions, targets, scale=1.0):
        seen.append((predictions.device.type, tuple(predictions.shape), tuple(targets.shape)))
        return scale * len(targets)

    assert value(count, kwargs={"scale": 0.5}) == 30.0
    assert seen == [("cpu", (60, 3), (60,))]


# classes


class Counting:
    constructed = 0

    def __init__(self, factor, offset=0.0):
        Counting.constructed += 1
        self.factor, self.offset = factor, offset

    def __call__(self, y_true, y_pred):
        return self.factor * float((y_true == y_pred).mean()) + self.offset


def test_a_class_is_constructed_once_and_then_called():
    Counting.constructed = 0
    monitor = Monitor({"name": "m", "monitor": Counting, "args": [2.0], "kwargs": {"offset": 1.0}})
    accuracy = sklearn.metrics.accuracy_score(CLASSES, LOGITS.argmax(1))
    assert [monitor(collected()) for _ in range(2)] == [2 * accuracy + 1] * 2
    assert Counting.constructed == 1


def test_a_torch_module_is_called_with_predictions_and_targets():
    expected = torch.nn.functional.smooth_l1_loss(VALUES[:, 0], REAL, beta=0.5).item()
    assert value(torch.nn.SmoothL1Loss, collected(VALUES, REAL), kwargs={"beta": 0.5}) == expected


def test_a_torchmetrics_class_starts_anew_each_time():
    monitor = Monitor(
        {
            "name": "f1",
            "monitor": MulticlassF1Score,
            "kwargs": {"num_classes": 3, "average": "weighted"},
        }
    )
    first = monitor(collected())
    expected = sklearn.metrics.f1_score(CLASSES, LOGITS.argmax(1), average="weighted")
    assert first == pytest.approx(expected, rel=1e-6)
    shifted = collected(targets=(CLASSES + 1) % 3)
    again = sklearn.metrics.f1_score((CLASSES + 1) % 3, LOGITS.argmax(1), average="weighted")
    assert monitor(shifted) == pytest.approx(again, rel=1e-6)
    assert monitor(collected()) == first


def test_a_torchmetrics_regression_metric_takes_a_column():
    expected = sklearn.metrics.mean_squared_error(REAL, VALUES[:, 0])
    got = value(torchmetrics.MeanSquaredError, collected(VALUES, REAL))
    assert got == pytest.approx(expected, rel=1e-6)


# several heads


def test_task_picks_the_head_and_the_target_column():
    targets = torch.stack([CLASSES, 2 - CLASSES], dim=1)
    data = Collected(60, np.zeros(60), {0: LOGITS, 1: -LOGITS}, 2, targets)
    first = sklearn.metrics.accuracy_score(CLASSES, LOGITS.argmax(1))
    second = sklearn.metrics.accuracy_score(2 - CLASSES, (-LOGITS).argmax(1))
    assert value(sklearn.metrics.accuracy_score, data) == first
    assert value(sklearn.metrics.accuracy_score, data, task=1) == second


def test_targets_strung_together_by_batching_are_taken_apart():
    targets = torch.stack([CLASSES, 2 - CLASSES], dim=1).reshape(-1)
    data = Collected(60, np.zeros(60), {0: LOGITS, 1: -LOGITS}, 2, targets)
    second = sklearn.metrics.accuracy_score(2 - CLASSES, (-LOGITS).argmax(1))
    assert value(sklearn.metrics.accuracy_score, data, task=1) == second


def test_a_head_that_is_not_there_is_named():
    with pytest.raises(TrainingError, match="has no output for task 2 \\(there are: 0\\)"):
        value(sklearn.metrics.accuracy_score, task=2)


def test_a_target_column_that_is_not_there_is_named():
    data = Collected(60, np.zeros(60), {0: LOGITS, 2: LOGITS}, 3, torch.stack([CLASSES] * 2, 1))
    with pytest.raises(TrainingError, match="task 2 has no target: 'y' has 2 columns"):
        value(sklearn.metrics.accuracy_score, data, task=2)


# errors


def test_a_failing_monitor_is_named_with_its_key_and_the_cause():
    def broken(y_true, y_pred):
        raise RuntimeError("no such luck")

    (monitor,) = build_monitors([{"name": "luck", "monitor": broken}], "testing.tester.tasks")
    with pytest.raises(TrainingError) as caught:
        monitor(collected())
    assert str(caught.value) == (
        "testing.tester.tasks[0]: monitor 'luck' failed: RuntimeError: no such luck "
        f"(test_metrics.py, line {broken.__code__.co_firstlineno + 1}); "
        "it is called with (y_true, y_pred), and has to return one number"
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_monitor_has_to_return_one_number():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = r"it returned an array of shape \(3,\), not a number"
        with pytest.raises(TrainingError, match=message):
            value(sklearn.metrics.f1_score, kwargs={"average": None})
    with pytest.raises(TrainingError, match="it returned str, not a number"):
        value(lambda losses: "many")


def test_a_monitor_may_be_nan():
    assert math.isnan(value(lambda losses: float("nan")))


def test_missing_targets_are_an_error_of_the_monitor():
    with pytest.raises(TrainingError, match="monitor 'm' failed: the data has no targets 'y'"):
        value(sklearn.metrics.accuracy_score, Collected(60, np.zeros(60), {0: LOGITS}, 1))


def test_what_cannot_be_constructed_is_an_error_with_its_key():
    with pytest.raises(ConfigError, match=r"evaluator_tasks\.monitor: cannot construct Multiclass"):
        value(MulticlassF1Score, kwargs={"num_classes": "three"})


def test_a_name_may_be_used_once():
    task = {"name": "f1", "monitor": np.mean}
    with pytest.raises(ConfigError, match=r"tasks\[1\]\.name: 'f1' is there twice"):
        build_monitors([task, task], "tasks")


@pytest.mark.parametrize("name", ["epoch", "criterion_loss_avg", "criterion_loss_max"])
def test_a_name_may_not_be_that_of_another_column(name):
    with pytest.raises(ConfigError, match=rf"tasks\[0\]\.name: '{name}' is a column already"):
        build_monitors([{"name": name, "monitor": np.mean}], "tasks")


def test_more_args_than_a_function_takes_are_refused():
    with pytest.raises(ConfigError, match="takes no 2 arguments beside the data; use kwargs"):
        value(lambda y_true, y_pred, average: 0.0, args=["macro", 1])


def test_an_argument_that_a_function_does_not_take_is_found_at_once():
    with pytest.raises(ConfigError, match=r"kwargs\.averaged: f1_score takes no 'averaged'; it ta"):
        Monitor({"name": "f1", "monitor": sklearn.metrics.f1_score, "kwargs": {"averaged": 1}})


# monitors written for QuantumGravPy: lists with an entry for each batch


def by_batch(bare=False, sizes=None, **keys):
    sizes = [20, 25, 15] if sizes is None else sizes
    return Collected(60, np.zeros(60), {0: LOGITS, 1: VALUES}, 2, CLASSES, batch_sizes=sizes,
                     bare=bare, **keys)  # fmt: skip


def annotated(predictions: list[dict[int, torch.Tensor]], targets: list[torch.Tensor]):
    assert [p[1].shape for p in predictions] == [(20, 1), (25, 1), (15, 1)]
    assert torch.equal(torch.cat([p[0] for p in predictions]), LOGITS)
    assert torch.equal(torch.cat(targets), CLASSES)
    return len(predictions)


def of_lists(predictions, targets):
    return torch.cat([p[0] for p in predictions]).mean() + len(targets)


def of_tensors(predictions: torch.Tensor, targets: torch.Tensor):
    return predictions.mean()


def test_a_monitor_that_is_annotated_with_lists_gets_batches():
    assert value(annotated, by_batch()) == 3.0


def test_a_monitor_gets_batches_if_its_module_imports_quantumgrav():
    import qgpipe.compat.quantumgrav

    code = "def f(predictions, targets):\n    return len(targets)\n"
    for imported in (qgpipe.compat.quantumgrav, qgpipe.compat.quantumgrav.zarr_group_to_dict, None):
        names = {} if imported is None else {"QG": imported}
        exec(code, names)
        assert value(names["f"], by_batch()) == (60 if imported is None else 3)


def test_a_monitor_that_fails_with_tensors_gets_batches():
    assert value(of_lists, by_batch()) == pytest.approx(LOGITS.mean().item() + 3)
    assert value(of_tensors, by_batch()) == LOGITS.mean().item()


def test_a_monitor_that_took_tensors_once_gets_no_batches_if_it_fails():
    given = []

    def tiring(predictions, targets):
        given.append(type(predictions))
        if len(given) > 1:
            raise ValueError("tired")
        return 1.0

    monitor = Monitor({"name": "m", "monitor": tiring})
    assert monitor(by_batch()) == 1.0
    with pytest.raises(TrainingError, match="tired"):
        monitor(by_batch())
    assert given == [torch.Tensor, torch.Tensor]


def test_the_error_is_that_with_tensors_if_both_fail():
    def broken(predictions, targets):
        raise ValueError(type(predictions).__name__)

    with pytest.raises(TrainingError, match="ValueError: Tensor"):
        value(broken, by_batch())


def test_batches_are_what_the_model_returned():
    outputs, targets = by_batch(bare=True).by_batch()
    assert [o.shape for o in outputs] == [(20, 3), (25, 3), (15, 3)]
    assert [len(t) for t in targets] == [20, 25, 15]
    sizes = torch.tensor([2, 3, 1])  # elements of three graphs
    of_elements = Collected(3, np.zeros(3), {0: torch.arange(6)}, 1, torch.arange(6), sizes=sizes,
                            batch_sizes=[2, 1])  # fmt: skip
    assert [o[0].tolist() for o in of_elements.by_batch()[0]] == [[0, 1, 2, 3, 4], [5]]


def test_several_values_are_a_column_each():
    def each(predictions: list, targets: list):
        return np.array([0.25, 0.75])

    found = value(each, by_batch())
    assert scalars({"a": 1.0, "each": found}) == {"a": 1.0, "each[0]": 0.25, "each[1]": 0.75}
