import json

import pytest

from qgpipe.errors import DataError
from qgpipe.report.results import RunResults


def without(path, name):
    """Take a column or key out of a result file."""
    if path.suffix == ".csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        place = rows[0].index(name)
        path.write_text("\n".join(",".join(row[:place] + row[place + 1 :]) for row in rows))
    else:
        value = json.loads(path.read_text())
        del value[name]
        path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("part", "file", "name"),
    [
        ("history", "run/history.csv", "epoch"),
        ("history", "run/history.csv", "train_loss_avg"),
        ("history", "run/history.csv", "val_loss_max"),
        ("history", "run/history.csv", "lr"),
        ("best_epoch", "run/summary.json", "best_epoch"),
        ("test", "run/test/metrics.json", "confusion_matrix"),
        ("predictions", "run/test/predictions.csv", "id"),
        ("dataset", "dataset.json", "sizes"),
        ("split", "split.json", "class_counts"),
    ],
)
def test_a_missing_column_or_key_is_named_with_its_file(results, tmp_path, part, file, name):
    run = results()
    without(tmp_path / file, name)
    with pytest.raises(DataError) as caught:
        getattr(run, part)
    assert str(tmp_path / file) in str(caught.value)
    assert f"'{name}'" in str(caught.value)


@pytest.mark.parametrize(
    "part", ["history", "best_epoch", "test", "predictions", "dataset", "split"]
)
def test_a_missing_file_is_named(tmp_path, part):
    run = RunResults(tmp_path / "run", tmp_path / "dataset.json", tmp_path / "split.json")
    with pytest.raises(DataError, match="no such file"):
        getattr(run, part)


@pytest.mark.parametrize("text", ["", "a,b\n1,2,3\n4,5,6,7\n", "\udcff"])
def test_a_damaged_table_is_named(results, tmp_path, text):
    run = results()
    path = tmp_path / "run/history.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"history\.csv"):
        _ = run.history


def test_an_epoch_without_a_number_is_refused(results):
    losses = dict.fromkeys(("train_loss_avg", "train_loss_min", "train_loss_max", "lr"), 0.5)
    run = results(history={"epoch": [1, None, 3], **losses})
    with pytest.raises(DataError, match="epoch without a number"):
        _ = run.history


def test_a_json_file_that_is_no_mapping_is_refused(results, tmp_path):
    run = results()
    (tmp_path / "split.json").write_text("[1]")
    with pytest.raises(DataError, match=r"split\.json is damaged"):
        _ = run.split


def test_an_id_stays_text(results):
    assert results(predictions={"id": ["007"]}).predictions["id"].tolist() == ["007"]
