"""Tables and figures over several runs, from result files written by hand."""

import json
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from qgpipe.config import Run
from qgpipe.errors import DataError
from qgpipe.report.figures.comparison_figures import write_cross_validation, write_sweep
from qgpipe.report.tables.comparison import cross_validation_table, sweep_table
from qgpipe.report.tables.results_text import comparison_text

# label, fold, score on the validation set, accuracy on the test set
SWEEP = [("lr=0.1", None, 0.5, 0.6), ("lr=0.01", None, 0.3, 0.9), ("lr=0.001", None, 0.4, 0.7)]
FOLDS = [("", 1, 0.5, 0.6), ("", 2, 0.3, 0.9), ("", 3, 0.4, 0.9)]

SUMMARY = {
    "best_epoch": 4,
    "epochs": 9,
    "stopped_by": "num_epochs",
    "seconds": 2.5,
    "graphs_per_second": None,
    "parameters": 7,
    "device": "cpu",
    "checkpoints": "checkpoints/0123456789abcdef",
    "versions": {},
}
METRICS = {
    "run": "study",
    "num_graphs": 10,
    "task": "other",
    "loss": {"loss_avg": 0.2, "loss_min": 0.1, "loss_max": None},
    "baseline": None,
    "class_names": None,
    "confusion_matrix": None,
}


@pytest.fixture
def write(tmp_path):
    """Write the results of some runs; the folder, and where each run stands."""

    def results(rows, metric="val_loss_avg", stopping=None):
        places = {}
        for label, fold, score, accuracy in rows:
            ending = f"fold={fold}" if fold else ""
            name = "-".join(filter(None, ["study", ",".join(filter(None, [label, ending]))]))
            folder = tmp_path / name
            (folder / "test").mkdir(parents=True)
            summary = {**SUMMARY, "metric": metric, "best_score": score}
            (folder / "summary.json").write_text(json.dumps(summary))
            tested = {**METRICS, "metrics": {"accuracy": accuracy}}
            (folder / "test/metrics.json").write_text(json.dumps(tested))
            (folder / "config.yaml").write_text(json.dumps({"early_stopping": stopping}))
            point = {"training.lr": float(label[3:])} if label else {}
            places[name] = {
                "base": "study", "point": point, "along": {"criterion": "!pyobject a.b"} if label
                else {}, "fold": fold, "label": label,
            }  # fmt: skip
        return tmp_path, places

    return results


def test_the_best_run_has_the_lowest_loss(write):
    table = sweep_table(*write(SWEEP))
    assert table.to_dict("list") == {
        "run": ["study-lr=0.1", "study-lr=0.01", "study-lr=0.001"],
        "rank": [3, 1, 2],
        "training.lr": [0.1, 0.01, 0.001],
        "criterion": ["b", "b", "b"],
        "best_epoch": [4, 4, 4],
        "epochs": [9, 9, 9],
        "val_loss_avg": [0.5, 0.3, 0.4],
        "test_loss_avg": [0.2, 0.2, 0.2],
        "test_accuracy": [0.6, 0.9, 0.7],
    }


@pytest.mark.parametrize(
    ("mode", "metric", "ranks"),
    [("max", "f1", [1, 3, 2]), ("min", "f1", [3, 1, 2]), ("max", "other", [3, 1, 2])],
)
def test_what_is_better_is_what_early_stopping_says_of_the_score(write, mode, metric, ranks):
    stopping = {"tasks": {"a": {"metric": metric, "mode": mode}}, "mode": "any"}
    assert sweep_table(*write(SWEEP, "val_f1", stopping))["rank"].tolist() == ranks


def test_a_score_that_is_missing_comes_last_and_has_no_rank(write):
    table = sweep_table(*write([*SWEEP, ("lr=1", None, None, 0.1)]))
    assert table["rank"].fillna(0).tolist() == [3, 1, 2, 0]


def test_runs_that_watch_different_scores_are_not_ranked(write):
    folder, places = write(SWEEP)
    file = folder / "study-lr=0.1/summary.json"
    file.write_text(file.read_text().replace("val_loss_avg", "val_f1"))
    table = sweep_table(folder, places)
    assert "rank" not in table
    write_sweep(folder, places, folder / "sweep.csv", folder / "sweep.svg")
    assert ElementTree.parse(folder / "sweep.svg").getroot().tag.endswith("svg")


def test_folds_have_mean_and_sample_deviation(write):
    table = cross_validation_table(*write(FOLDS)).set_index("fold")
    assert table["test_accuracy"].to_dict() == pytest.approx(
        {"1": 0.6, "2": 0.9, "3": 0.9, "mean": 0.8, "deviation": 0.03**0.5}
    )
    assert set(table["run"]) == {"study"}


def test_a_point_of_a_sweep_with_folds_is_the_mean_over_them(write):
    rows = [(label, fold, score + fold, 0.5) for label, _, score, _ in SWEEP for fold in (1, 2)]
    folder, places = write(rows)
    table = sweep_table(folder, places)
    assert table["val_loss_avg"].tolist() == pytest.approx([2.0, 1.8, 1.9])
    assert table["val_loss_avg_deviation"].tolist() == pytest.approx([0.5**0.5] * 3)
    assert table["run"].tolist() == ["study-lr=0.1", "study-lr=0.01", "study-lr=0.001"]
    folds = cross_validation_table(folder, places)
    assert len(folds) == 3 * 4
    assert folds["run"].unique().tolist() == table["run"].tolist()


@pytest.mark.parametrize(
    "rows", [SWEEP, FOLDS, [(a, f, s, t) for a, _, s, t in SWEEP for f in (1, 2)]]
)
def test_tables_and_figures_are_written(write, rows):
    folder, places = write(rows)
    if any(place["point"] for place in places.values()):
        write_sweep(folder, places, folder / "sweep.csv", folder / "sweep.svg")
        assert len(pd.read_csv(folder / "sweep.csv")) == 3
        assert ElementTree.parse(folder / "sweep.svg").getroot().tag.endswith("svg")
    if any(place["fold"] for place in places.values()):
        write_cross_validation(folder, places, folder / "cv.csv", folder / "cv.svg")
        assert ElementTree.parse(folder / "cv.svg").getroot().tag.endswith("svg")


def test_equal_results_give_equal_figures(write):
    folder, places = write(SWEEP)
    for name in ("one", "two"):
        write_sweep(folder, places, folder / f"{name}.csv", folder / f"{name}.svg")
    assert (folder / "one.svg").read_bytes() == (folder / "two.svg").read_bytes()


def test_the_best_come_first_in_the_text(write):
    folder, places = write(SWEEP)
    (folder / "study").mkdir()
    write_sweep(folder, places, folder / "study/sweep.csv", folder / "study/sweep.svg")
    config = {"training": {"path": str(folder)}, "name": ""}
    runs = [Run({**config, "name": name}, **place) for name, place in places.items()]
    lines = comparison_text(runs).splitlines()
    assert lines[:4] == [
        "study: 3 runs",
        "  best by val_loss_avg: study-lr=0.01",
        "  run             rank  val_loss_avg  test_loss_avg  test_accuracy",
        "  study-lr=0.01      1           0.3            0.2            0.9",
    ]


def test_without_results_there_is_nothing_to_show(write):
    folder, places = write(SWEEP)
    config = {"training": {"path": str(folder)}}
    runs = [Run({**config, "name": name}, **place) for name, place in places.items()]
    with pytest.raises(DataError, match=r"study/sweep.csv is not there yet; run the pipeline"):
        comparison_text(runs)
    (folder / "study-lr=0.1/summary.json").unlink()
    with pytest.raises(DataError, match=r"no such file: .*study-lr=0.1/summary.json"):
        sweep_table(folder, places)
