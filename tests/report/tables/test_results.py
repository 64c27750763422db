import json

import pytest

from qgpipe.errors import DataError
from qgpipe.report.tables.results import RunResults


def without(path, name):
    """Take a column or key out of a result file."""
    if path.suffix == ".csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        place = rows[0].index(name)
        path.write_text("".join(",".join(row[:place] + row[place + 1 :]) + "\n" for row in rows))
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
        ("summary", "run/summary.json", "versions"),
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


LINES = {
    "history": [
        "epoch,train_loss_avg,train_loss_min,train_loss_max,val_loss_avg,val_loss_min,"
        "val_loss_max,val_f1,val_note,lr",
        "1,1.0,0.8,1.3,1.1,1.0,1.2,0.3,good,0.01",
        "2,0.7,0.5,0.9,,,,nan,bad,1e-3",
        "3,0.5,0.4,0.8,inf,0.7,0.9,0.7,,0.001",
    ],
    "predictions": [
        "id,target,output_0,output_1,predicted",
        "a/0,0,0.5,-inf,0",
        "a/1,1,,0.25,",
        "a/12,1,1e3,2,1",
    ],
}
FILES = {"history": "run/history.csv", "predictions": "run/test/predictions.csv"}
DAMAGE = [
    # part, line (from 1), what is put in its place, what is said
    ("history", 3, "3,0.7,0.5,0.9,,,,nan,bad,1e-3", "line 3: epoch 3 where 2 was to come"),
    ("history", 3, "1,0.7,0.5,0.9,,,,nan,bad,1e-3", "line 3: epoch 1 where 2 was to come"),
    ("history", 3, "1.5,0.7,0.5,0.9,,,,nan,bad,1", "line 3: epoch 1.5 where 2 was to come"),
    ("history", 3, ",0.7,0.5,0.9,,,,nan,bad,1e-3", "line 3: nothing is no number, in column 'ep"),
    ("history", 2, "1,x,0.8,1.3,1,1,1,0.3,good,1", "line 2: 'x' is no number, in column 'train_l"),
    ("history", 2, "1,1,0.8,1.3,x,1,1,0.3,good,1", "line 2: 'x' is no number, in column 'val_lo"),
    (
        "history",
        2,
        "1,1,0.8,1.3,1,1,1,1_0,good,1",
        "line 2: '1_0' is no number, in column 'val_f1'",
    ),
    ("history", 2, "1,1,0.8,1.3,1,1,1,0.3,7,1", "line 3: 'bad' is no number, in column 'val_note'"),
    ("history", 2, "1,1,0.8,1.3,1,1,1,0.3,good", "line 2: 9 values for 10 columns"),
    ("history", 2, "1,1,0.8,1.3,1,1,1,0.3,good,1,2", "line 2: 11 values for 10 columns"),
    ("history", 2, "", "line 2: 0 values for 10 columns"),
    ("history", 2, None, "line 2: epoch 2 where 1 was to come"),
    ("history", 4, None, "has 2 epochs, summary.json says 3"),
    ("history", 1, "epoch,lr,lr", "line 1: this is no line of column names"),
    ("history", 2, '1,"', "is damaged: unexpected end of data"),
    ("history", 3, "2,\0", "line 3: there is a NUL byte"),
    ("predictions", 2, "a/0,0,x,1,0", "line 2: 'x' is no number, in column 'output_0'"),
    ("predictions", 2, "a/0,zero,1,1,0", "line 2: 'zero' is no number, in column 'target'"),
    ("predictions", 3, "a/0,0,1,1,0", "line 3: 'a/0' is there twice"),
    ("predictions", 3, "a,0,1,1,0", "line 3: 'a' is no id of a graph"),
    ("predictions", 3, ",0,1,1,0", "line 3: 'nan' is no id of a graph"),
    ("predictions", 3, None, "has 2 graphs, metrics.json says 3"),
    ("predictions", 1, "id,target,output_0,output_1,", "line 1: this is no line of column names"),
]


def written(tmp_path, part, lines, end="\n"):
    (tmp_path / FILES[part]).write_text("\n".join(lines) + end)


@pytest.fixture
def run(results, tmp_path):
    found = results(predictions={"id": ["0", "1", "12"]})
    for part, lines in LINES.items():
        written(tmp_path, part, lines)
    return found


def test_what_training_and_test_write_is_read(run):
    assert run.history["val_f1"].tolist()[::2] == [0.3, 0.7]
    assert run.history["val_note"].isna().all()
    assert run.history["val_loss_avg"].tolist()[2] == float("inf")
    assert run.predictions["predicted"].isna().tolist() == [False, True, False]
    assert run.predictions["id"].tolist() == ["a/0", "a/1", "a/12"]


@pytest.mark.parametrize(("part", "line", "text", "said"), DAMAGE)
def test_a_damaged_line_is_named(run, tmp_path, part, line, text, said):
    lines = list(LINES[part])
    lines[line - 1 : line] = [] if text is None else [text]
    written(tmp_path, part, lines)
    with pytest.raises(DataError) as caught:
        getattr(run, part)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / FILES[part]))
    rule = {"history": "train_run", "predictions": "test_run"}[part]
    assert str(caught.value).endswith(f"; make it again with --forcerun {rule}")


@pytest.mark.parametrize("part", FILES)
def test_a_table_that_is_cut_short_anywhere_is_refused(run, tmp_path, part):
    path = tmp_path / FILES[part]
    text = path.read_text()
    for length in range(len(text)):
        path.write_text(text[:length])
        with pytest.raises(DataError):
            getattr(RunResults(run.run_folder, run.dataset_json, run.split_json), part)


def test_a_json_file_that_is_no_mapping_is_refused(results, tmp_path):
    run = results()
    (tmp_path / "split.json").write_text("[1]")
    with pytest.raises(DataError, match=r"split\.json is damaged"):
        _ = run.split


def test_an_id_stays_text(results):
    assert results(predictions={"id": ["0/007"]}).predictions["id"].tolist() == ["0/007"]
