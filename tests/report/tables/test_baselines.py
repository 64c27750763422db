"""The baselines beside the model, from a ``baselines.json`` written by hand."""

import json

import pytest

from qgpipe import paths
from qgpipe.errors import DataError
from qgpipe.report.page.page import render
from qgpipe.report.tables.baselines import (
    best_scores,
    interval,
    metric_by_best,
    other_metrics,
    ranked,
    reasons,
    verdicts,
)
from qgpipe.report.tables.results_text import results_text
from qgpipe.system.files import sha256


def score(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def compared(value, p, model_is):
    differences = {"difference": 0.7 - value, "difference_low": -0.1, "difference_high": 0.25}
    return {**score(value, value - 0.1, value + 0.1), **differences, "p": p, "model_is": model_is}


OTHERS = {
    "constant": compared(0.3, 0.001, "better"),
    "linear": compared(0.8, 0.25, "not different"),
    "boosting": compared(0.75, 0.5, "not different"),
}
CONTENT = {
    "format": 1,
    "run": "a_run",
    "num_graphs": 10,
    "num_tested": 12,
    "num_train": 48_000,
    "fitted_to": 20_000,
    "features": ["ordering_fraction", "link_fraction"],
    "resamples": 400,
    "seed": 0,
    "baselines": {"constant": "the same", "linear": "a line", "boosting": "trees"},
    "targets": [
        {
            "name": "cset_type",
            "measure": "accuracy",
            "better": "max",
            "num_graphs": 10,
            "test": "McNemar, exact",
            "model": score(0.7, 0.4, 0.9),
            "baselines": OTHERS,
            "best": "linear",
        }
    ],
    "metrics": {
        "f1_weighted": {
            "better": "max",
            "model": score(0.7012345678, 0.4, 0.9),
            "baselines": {
                "constant": score(0.25), "linear": score(0.815), "boosting": score(None),
            },
        }
    },
    "left_out": [
        {"baseline": "two_order", "target": "cset_type", "reason": "no 2-order test"},
        {"baseline": "linear+two_order", "target": "cset_type", "reason": "no 2-order test"},
        {"baseline": "myrheim_meyer", "target": None, "reason": "no dimension"},
    ],
}  # fmt: skip


@pytest.fixture
def with_baselines(results):
    """A run with baselines; its result files."""

    def write(content=CONTENT, **parts):
        run = results(**parts)
        test = run.run_folder / "test"
        checksum = sha256(test / "predictions.csv")
        (test / "baselines.json").write_text(json.dumps({"predictions": checksum, **content}))
        return run

    return write


def test_a_run_without_the_file_has_no_baselines(results):
    assert results().baselines is None


def test_baselines_of_other_predictions_do_not_count(with_baselines):
    assert with_baselines().baselines["run"] == "a_run"
    assert with_baselines({**CONTENT, "predictions": "sha256:0"}).baselines is None


def test_a_damaged_file_is_named_with_the_remedy(with_baselines):
    run = with_baselines({**CONTENT, "targets": 3})
    with pytest.raises(DataError, match=r"baselines\.json is damaged.*--forcerun compare_run"):
        _ = run.baselines


def test_a_best_one_that_is_not_there_is_named(with_baselines):
    run = with_baselines({**CONTENT, "targets": [{**CONTENT["targets"][0], "best": "forest"}]})
    with pytest.raises(DataError, match="'forest' is not compared"):
        _ = run.baselines


def test_the_best_comes_first():
    assert ranked(CONTENT) == ["linear", "boosting", "constant"]
    lower = {**CONTENT["targets"][0], "better": "min"}
    assert ranked({**CONTENT, "targets": [lower]}) == ["constant", "boosting", "linear"]
    assert ranked({**CONTENT, "targets": []}) == ["constant", "linear", "boosting"]


def test_the_verdict_is_about_the_best():
    assert verdicts(CONTENT) == [
        "accuracy: the model (0.7, 0.4 to 0.9) is not different from linear (0.8, 0.7 to 0.9), "
        "p = 0.25"
    ]
    assert interval(score(0.5)) == "0.5"
    assert interval(score(None)) == "not finite"


def test_what_was_left_out_for_one_reason_stands_together():
    assert reasons(CONTENT) == [
        ("two_order, linear+two_order", "no 2-order test"), ("myrheim_meyer", "no dimension"),
    ]  # fmt: skip


def test_a_metric_is_compared_with_that_of_the_best():
    assert metric_by_best(CONTENT, "f1_weighted") == ("linear", 0.815)
    assert metric_by_best(CONTENT, "mcc") is None


def test_a_metric_that_is_the_score_is_not_shown_twice():
    same = {name: score(one["value"]) for name, one in OTHERS.items()}
    accuracy = {"better": "max", "model": score(0.7), "baselines": same}
    content = {**CONTENT, "metrics": {**CONTENT["metrics"], "accuracy": accuracy}}
    assert list(other_metrics(content, content["targets"][0])) == ["f1_weighted"]


def test_tables_over_runs_have_the_best_score():
    assert best_scores(CONTENT) == {"baseline_accuracy": 0.8}
    assert best_scores(None) == {}
    second = {**CONTENT["targets"][0], "name": "size", "measure": "mean absolute error"}
    assert set(best_scores({**CONTENT, "targets": [*CONTENT["targets"], second]})) == {
        "baseline_accuracy_cset_type", "baseline_mean_absolute_error_size",
    }  # fmt: skip


def test_the_page_shows_them_instead_of_the_constant_answer(with_baselines):
    html = render(with_baselines())
    table = html[html.index('<table class="baselines">') :]
    table = table[: table.index("</table>")]
    rows = [row.split("</tr>")[0] for row in table.split("<tr>")[2:]]
    assert [row.split('row"')[1].split(">")[1].split("<")[0] for row in rows] == [
        "model", "linear", "boosting", "constant",
    ]  # fmt: skip
    assert '<data value="0.8">' in rows[1] and '<data value="0.815">' in rows[1]
    assert rows[3].endswith("<td>better</td>")
    assert "0.815 by linear" in html
    assert "majority class" not in html
    assert "fitted to 20,000 of 48,000 training graphs, with 2 features" in html
    assert "compared on 10 of 12 test graphs" in html
    assert "two_order, linear+two_order (no 2-order test); myrheim_meyer (no dimension)." in html


def test_the_page_says_why_there_are_none(with_baselines):
    none = {**CONTENT, "baselines": {}, "targets": [], "metrics": {}, "features": []}
    html = render(with_baselines(none))
    assert "no 2-order test" in html
    assert "majority class" in html  # as without baselines


def test_the_text_has_a_column_for_each(with_baselines):
    run = with_baselines()
    config = {"name": "run", "training": {"path": str(run.run_folder.parent)},
              "testing": {"calibrate": None, "outlier_score": None},
              "data": {"output": "nowhere", "variant": None}}  # fmt: skip
    assert paths.baselines(config).exists()
    lines = results_text(config).splitlines()
    assert lines[1].split() == ["test", "metric", "model", "linear", "boosting", "constant"]
    assert lines[2].split() == ["loss_avg", "0.1235"]
    assert lines[3].split() == ["f1_weighted", "0.7012", "0.815", "0.25"]
    assert lines[5].startswith("  accuracy: the model (0.7, 0.4 to 0.9) is not different from")
    paths.baselines(config).unlink()
    assert results_text(config).splitlines()[1].split()[-2:] == ["majority", "class"]
