"""Scores on further sets, from files written by hand."""

import json

import pytest

from qgpipe.errors import DataError
from qgpipe.report.page.page import render
from qgpipe.report.tables.evaluations import (
    evaluated_tasks,
    evaluation_columns,
    evaluation_lines,
    left_out_texts,
    read_baseline_scores,
)


def of_classes(accuracy, confidence=0.8):
    known = 0 if accuracy is None else 10
    return {
        "kind": "classification",
        "num_known": known,
        "accuracy": accuracy,
        "accuracy_interval": None if accuracy is None else [accuracy - 0.1, accuracy + 0.1],
        "nll": None if accuracy is None else 0.5,
        "calibration_error": None if accuracy is None else 0.1,
        "confidence": confidence,
        "predicted": {"a": 0.25, "b": 0.75},
        "confusion_matrix": [[0, 0], [0, known]],
    }


def of_values(mae, bias=0.0):
    measures = {"mae": mae, "rmse": 2 * mae, "bias": bias, "r2": 0.5}
    return {"kind": "regression", "num_known": 10, **measures}


def evaluation(name, *tasks):
    return {
        "run": "a_run",
        "set": name,
        "num_graphs": 10,
        "sizes": {"min": 5, "max": 9, "mean": 7.0},
        "class_names": None,
        "set_class_names": None,
        "outlier_share": None,
        "tasks": [{"task": k, "num_not_finite": 0, **task} for k, task in enumerate(tasks)],
    }


def baselines(name, *targets, left_out=None):
    missing = {"myrheim_meyer": "the target is not a dimension"}
    return {
        "set": name,
        "num_graphs": 10,
        "num_train": 80,
        "fitted_to": 80,
        "features": [],
        "targets": [
            {"name": "y", "baselines": one, "left_out": missing if left_out is None else left_out}
            for one in targets
        ],
        "left_out": {},
    }


BETTER_LAST = {"constant": of_classes(0.25), "linear": of_classes(0.625)}


def test_baselines_are_beside_the_model_the_best_first():
    (task,) = evaluated_tasks(
        [evaluation("larger", of_classes(0.5))], [baselines("larger", BETTER_LAST)]
    )
    assert list(task.baselines) == ["linear", "constant"]
    assert task.left_out == [("myrheim_meyer", "the target is not a dimension")]
    errors = {"constant": of_values(2.0), "linear": of_values(0.5)}
    (task,) = evaluated_tasks([evaluation("s", of_values(1.0))], [baselines("s", errors)])
    assert list(task.baselines) == ["linear", "constant"]


def test_a_line_has_the_first_measure_of_each_baseline():
    lines = evaluation_lines(
        [evaluation("larger", of_classes(0.5)), evaluation("other", of_classes(None, 0.9))],
        [baselines("larger", BETTER_LAST), baselines("other", {"linear": of_classes(None, 0.7)})],
    )
    assert lines[1] == "    baselines: accuracy linear 0.625, constant 0.25"
    assert lines[3] == "    baselines: confidence linear 0.7"
    assert len(evaluation_lines([evaluation("larger", of_classes(0.5))])) == 1


def test_columns_name_the_best_baseline_on_the_set():
    columns = evaluation_columns(
        [evaluation("s", of_classes(0.5)), evaluation("t", of_values(2.0))],
        [baselines("s", BETTER_LAST)],
    )
    assert columns == {
        "evaluate_s_accuracy": 0.5,
        "evaluate_s_baseline_accuracy": 0.625,
        "evaluate_t_mae": 2.0,
    }


def test_each_head_has_the_baselines_of_its_target():
    first, second = evaluated_tasks(
        [evaluation("s", of_classes(0.5), of_values(1.0))],
        [baselines("s", BETTER_LAST, {"linear": of_values(3.0)})],
    )
    assert list(first.baselines) == ["linear", "constant"]
    assert second.baselines == {"linear": of_values(3.0)}


def test_over_several_targets_of_one_head_scores_are_averaged():
    of_targets = ({"linear": of_values(1.0, 0.5)}, {"linear": of_values(3.0, -1.5)})
    (task,) = evaluated_tasks([evaluation("s", of_values(1.0))], [baselines("s", *of_targets)])
    assert task.baselines == {"linear": {"mae": 2.0, "rmse": 4.0, "bias": -0.5, "r2": 0.5}}


def test_classes_that_a_model_predicts_as_values_are_compared_as_values():
    one = {"linear": of_classes(0.5) | {"as_value": of_values(0.25)}, "boosting": of_classes(0.5)}
    (task,) = evaluated_tasks([evaluation("s", of_values(1.0))], [baselines("s", one)])
    assert task.baselines["linear"]["mae"] == 0.25
    nothing = {"linear": {"kind": "other", "num_known": 0}}
    (task,) = evaluated_tasks(
        [evaluation("s", {"kind": "other", "num_known": 0})], [baselines("s", nothing)]
    )
    assert task.baselines == {}


def test_reasons_name_their_sets_unless_they_hold_for_all():
    evaluations = [evaluation("s", of_classes(0.5)), evaluation("t", of_classes(0.5))]
    found = [baselines("s", BETTER_LAST), baselines("t", BETTER_LAST)]
    every = ["myrheim_meyer (the target is not a dimension)"]
    assert left_out_texts(evaluated_tasks(evaluations, found)) == every
    found[1] = baselines("t", BETTER_LAST, left_out={"linear": "no edges", "boosting": "no edges"})
    assert left_out_texts(evaluated_tasks(evaluations, found)) == [
        f"{every[0]} on s", "linear, boosting (no edges) on t",
    ]  # fmt: skip


def test_the_page_has_a_row_for_each_baseline_and_the_reasons(results):
    tasks = evaluated_tasks(
        [evaluation("larger", of_classes(0.5))], [baselines("larger", BETTER_LAST)]
    )
    run = results()
    html = render(run, tasks)
    section = html[html.index('id="further"') :].split("</section>")[0]
    assert section.index(">larger</th>") < section.index(">linear</th>")
    assert section.index(">linear</th>") < section.index(">constant</th>")
    assert "Baselines that are left out: myrheim_meyer (the target is not a dimension)." in section
    alone = render(run, evaluated_tasks([evaluation("larger", of_classes(0.5))]))
    assert "left out" not in alone[alone.index('id="further"') :].split("</section>")[0]


def test_a_damaged_file_is_named_with_a_remedy(tmp_path):
    file = tmp_path / "scores.json"
    file.write_text(json.dumps(baselines("s", {"linear": {"kind": "odd", "num_known": 1}})))
    with pytest.raises(DataError, match=r"is damaged: .*kind.*--forcerun apply_baselines"):
        read_baseline_scores(file)
