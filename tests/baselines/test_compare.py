import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score

from qgpipe.baselines.answers import BaselineAnswers, TargetAnswers
from qgpipe.baselines.compare import comparison, resamples_of
from qgpipe.report.tables.baselines import BASELINES
from qgpipe.report.tables.scores import wilson_interval
from qgpipe.system.json_shapes import misfit
from qgpipe.training.evaluation.metrics import build_monitors

TEST = {"run": "a", "num_graphs": 100, "metrics": {}}
N = 100
IDS = [f"a/{i}" for i in range(N)]
RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, N)


def logits(labels, wrong):
    """Outputs [N, 3] that are right but for so many graphs, the first or the last ones."""
    answer = labels.copy()
    answer[wrong] = (answer[wrong] + 1) % 3
    return np.eye(3)[answer] * 5


def table(outputs, target=TRUTH, **more):
    columns = {f"output_{k}": values for k, values in enumerate(outputs.T)}
    return pd.DataFrame({"id": IDS, "target": target, **columns, **more})


def answers(outputs, target=TRUTH, num_classes=3, name="kind", ids=IDS):
    one = TargetAnswers(name, num_classes, target, outputs, {"two_order": "none"})
    return BaselineAnswers(list(ids), 80, 80, ["x"], [one], {})


def shares(outputs):
    return np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)


GOOD, BAD = logits(TRUTH, slice(0, 5)), logits(TRUTH, slice(80, 100))
MONITORS = [
    {"name": "accuracy", "monitor": "sklearn.metrics.accuracy_score"},
    {"name": "f1", "monitor": "sklearn.metrics.f1_score", "kwargs": {"average": "macro"}},
    {"name": "loss", "monitor": "numpy.mean"},
]


def compared(predictions, given, monitors=(), test=TEST):
    found = comparison(test, predictions, given, build_monitors(monitors, "testing"))
    assert misfit({**found, "predictions": ""}, BASELINES) is None
    return found


def test_classes_are_compared_by_the_test_of_mcnemar():
    found = compared(table(GOOD), answers({"linear": shares(BAD), "constant": shares(GOOD)}))
    (target,) = found["targets"]
    assert (target["name"], target["measure"], target["num_graphs"]) == ("kind", "accuracy", 100)
    low, high = wilson_interval(np.array([95]), np.array([100]))
    assert target["model"] == {"value": 0.95, "low": low[0], "high": high[0]}
    linear = target["baselines"]["linear"]
    assert (linear["only_model_right"], linear["only_baseline_right"]) == (20, 5)
    assert linear["p"] == pytest.approx(0.004077, abs=1e-6)  # 2 P(X ≤ 5), X of 25 coins
    assert linear["difference"] == pytest.approx(0.15)
    assert linear["model_is"] == "better"
    same = target["baselines"]["constant"]
    assert (same["p"], same["model_is"]) == (1, "not different")
    assert target["best"] == "constant"
    assert found["left_out"] == [{"baseline": "two_order", "target": "kind", "reason": "none"}]


def test_a_model_may_be_worse():
    found = compared(table(BAD), answers({"linear": shares(GOOD)}))
    assert found["targets"][0]["baselines"]["linear"]["model_is"] == "worse"


def test_metrics_are_those_of_the_tester():
    test = {**TEST, "metrics": {"accuracy": 0.95, "f1": 0.9}}
    found = compared(table(GOOD), answers({"linear": shares(BAD)}), MONITORS, test)
    assert set(found["metrics"]) == {"accuracy", "f1"}  # the losses are of batches
    f1 = found["metrics"]["f1"]
    assert f1["model"]["value"] == 0.9  # as it was computed
    assert f1["baselines"]["linear"]["value"] == pytest.approx(
        f1_score(TRUTH, BAD.argmax(axis=1), average="macro")
    )
    assert f1["baselines"]["linear"]["low"] < f1["baselines"]["linear"]["value"]
    of_target = found["targets"][0]["baselines"]["linear"]
    accuracy = found["metrics"]["accuracy"]["baselines"]["linear"]
    assert accuracy == {k: of_target[k] for k in ("value", "low", "high")}


def test_graphs_are_found_by_their_ids():
    order = RNG.permutation(N)
    given = answers(
        {"linear": shares(GOOD)[order]}, TRUTH[order], ids=np.array(IDS)[order].tolist()
    )
    found = compared(table(GOOD)[:90], given)
    assert found["num_graphs"] == 90
    assert found["targets"][0]["baselines"]["linear"]["p"] == 1


def test_of_some_of_the_tested_graphs_the_model_has_other_metrics():
    given = answers({"linear": shares(GOOD)[:50]}, TRUTH[:50], ids=IDS[:50])
    test = {**TEST, "metrics": {"accuracy": 0.95}}
    found = compared(table(GOOD), given, MONITORS[:1], test)
    assert (found["num_graphs"], found["num_tested"]) == (50, 100)
    assert found["metrics"]["accuracy"]["model"]["value"] == 0.9
    assert found["targets"][0]["model"]["value"] == 0.9


def test_values_are_compared_by_a_paired_bootstrap():
    target = RNG.normal(size=N)
    model = (target + RNG.normal(0, 0.1, N))[:, None]
    given = answers({"linear": target + 0.5, "constant": np.zeros(N)}, target, None)
    (entry,) = compared(table(model, target), given)["targets"]
    error = np.abs(model[:, 0] - target)
    assert (entry["measure"], entry["better"]) == ("mean absolute error", "min")
    assert entry["model"]["value"] == pytest.approx(error.mean(), rel=1e-5)
    linear = entry["baselines"]["linear"]
    assert linear["value"] == pytest.approx(0.5, rel=1e-5)
    assert linear["difference"] == pytest.approx(error.mean() - 0.5, rel=1e-4)
    assert linear["model_is"] == "better"
    assert entry["best"] == "linear"


def test_values_may_be_asked_of_classes():
    """One output for a whole number: classes answer with their mean."""
    given = answers({"linear": np.tile([0.5, 0, 0.5], (N, 1))})
    (entry,) = compared(table(TRUTH[:, None] * 1.0), given)["targets"]
    expected = np.abs(1.0 - TRUTH).mean()
    assert entry["baselines"]["linear"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize("as_probabilities", [True, False])
def test_answers_come_as_logits_or_probabilities_like_the_models(as_probabilities):
    given = shares(GOOD) if as_probabilities else GOOD
    seen = []

    def monitor(predictions, targets):
        seen.append(predictions)
        return 1.0

    compared(table(given), answers({"linear": shares(BAD)}), [{"name": "m", "monitor": monitor}])
    one = seen[-1].double().numpy()
    expected = shares(BAD) if as_probabilities else np.log(shares(BAD))
    assert one.shape == (N, 3)
    assert seen[1].double().numpy() == pytest.approx(expected, abs=1e-4)


def test_outputs_that_are_whole_numbers_are_outputs():
    seen = []

    def monitor(predictions, targets):
        seen.append((predictions.dtype, targets.dtype))
        return 1.0

    given = answers({"linear": shares(BAD)})
    compared(table(GOOD.astype(int)), given, [{"name": "m", "monitor": monitor}])
    assert {*seen} == {(torch.float32, torch.int64)}


def test_a_single_logit_is_of_two_classes():
    truth = TRUTH % 2
    model = np.where(truth == 1, 3.0, -3.0)[:, None]
    two = np.stack([0.9 - 0.8 * truth, 0.1 + 0.8 * truth], axis=1)
    given = answers({"linear": two, "constant": np.full((N, 2), [0.6, 0.4])}, truth, 2)
    (entry,) = compared(table(model, truth), given)["targets"]
    assert entry["baselines"]["linear"]["value"] == 1
    assert entry["baselines"]["constant"]["value"] == (truth == 0).mean()


def test_each_head_is_compared_on_its_own_target():
    values = RNG.normal(size=N)
    predictions = pd.DataFrame(
        {
            "id": IDS,
            "target_0": TRUTH.astype(float),
            "target_1": values,
            "task0_output_0": TRUTH * 1.0,
            "task1_output_0": values + 1,
        }
    )
    one = TargetAnswers("kind", 3, TRUTH, {"linear": np.eye(3)[TRUTH]})
    other = TargetAnswers("size", None, values, {"linear": values, "constant": values + 2})
    given = BaselineAnswers(IDS, 80, 80, [], [one, other], {})
    monitors = [{"name": "r2", "monitor": "sklearn.metrics.r2_score", "task": 1}]
    found = compared(predictions, given, monitors)
    first, second = found["targets"]
    assert (first["name"], second["name"]) == ("kind", "size")
    assert list(first["baselines"]) == ["linear"]
    assert second["baselines"]["linear"]["model_is"] == "worse"
    assert second["baselines"]["constant"]["model_is"] == "better"
    assert found["metrics"]["r2"]["baselines"]["linear"]["value"] == pytest.approx(1)


def test_one_head_may_answer_several_values():
    values = RNG.normal(size=(N, 2))
    columns = {"target_0": values[:, 0], "target_1": values[:, 1]}
    columns |= {"output_0": values[:, 0], "output_1": values[:, 1] + 1}
    predictions = pd.DataFrame({"id": IDS, **columns})
    targets = [TargetAnswers(str(k), None, values[:, k], {"constant": np.zeros(N)}) for k in (0, 1)]
    found = compared(predictions, BaselineAnswers(IDS, 80, 80, [], targets, {}))
    assert [t["model"]["value"] for t in found["targets"]] == pytest.approx([0, 1], abs=1e-6)


def test_targets_that_a_transform_has_changed_are_not_compared():
    found = compared(table(GOOD, TRUTH[::-1].copy()), answers({"linear": shares(GOOD)}))
    assert found["targets"] == []
    assert found["baselines"] == {}
    assert "a transform gives the model other targets" in found["left_out"][0]["reason"]


def test_other_graphs_are_not_compared():
    given = answers({"linear": shares(GOOD)}, ids=[f"b/{i}" for i in range(N)])
    found = compared(table(GOOD), given)
    assert found["left_out"][0]["reason"] == "the model was tested on other graphs"


def test_outputs_of_elements_have_no_baselines():
    given = BaselineAnswers(IDS, 80, 80, [], [], {"constant": "the data has no target"})
    found = compared(pd.DataFrame({"id": IDS}), given, MONITORS)
    assert (found["targets"], found["metrics"]) == ([], {})
    assert found["left_out"] == [
        {"baseline": "constant", "target": None, "reason": "the data has no target"}
    ]


def test_a_metric_that_fails_on_a_baseline_is_null(caplog):
    def fails(predictions, targets):
        if predictions.max() < 1:
            raise ValueError("too small")
        return 1.0

    monitors = [{"name": "m", "monitor": fails}]
    found = compared(table(GOOD), answers({"linear": shares(BAD)}), monitors)
    assert found["metrics"]["m"]["baselines"]["linear"] == dict.fromkeys(("value", "low", "high"))
    assert "too small" in caplog.text


@pytest.mark.parametrize(("graphs", "number"), [(0, 200), (300, 200), (8000, 125), (10**6, 100)])
def test_of_large_test_sets_fewer_samples_are_drawn(graphs, number):
    assert resamples_of(graphs) == number


def test_a_slow_metric_has_no_interval(monkeypatch):
    monkeypatch.setattr("qgpipe.baselines.compare.SLOWEST", 0)
    found = compared(table(GOOD), answers({"linear": shares(BAD)}), MONITORS[1:2])
    assert found["metrics"]["f1"]["baselines"]["linear"]["low"] is None
    assert found["metrics"]["f1"]["baselines"]["linear"]["value"] is not None
