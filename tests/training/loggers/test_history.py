import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.training.loggers.history import History


def history(validation=True):
    table = History()
    for epoch in (1, 2):
        table.add(
            epoch=epoch,
            losses={"loss_avg": 1 / epoch, "loss_min": 0.1, "loss_max": 3.0},
            validation={"loss_avg": 0.5 / epoch, "f1": 0.3} if validation else None,
            lr=0.001,
            seconds=2.0,
            num_graphs=100,
        )
    return table


def test_the_columns_of_the_file():
    assert history().to_csv().splitlines() == [
        "epoch,train_loss_avg,train_loss_min,train_loss_max,val_loss_avg,val_f1,lr,seconds,"
        "graphs_per_second",
        "1,1.0,0.1,3.0,0.5,0.3,0.001,2.0,50.0",
        "2,0.5,0.1,3.0,0.25,0.3,0.001,2.0,50.0",
    ]


def test_without_a_validation_there_are_no_such_columns():
    table = history(validation=False)
    assert "val_" not in table.to_csv()
    assert table.validation().empty


def test_training_and_validation_are_tables_of_their_own():
    assert list(history().training().columns) == [
        "epoch", "loss_avg", "loss_min", "loss_max", "lr", "seconds", "graphs_per_second",
    ]  # fmt: skip
    assert history().validation().to_dict("list") == {
        "epoch": [1, 2],
        "loss_avg": [0.5, 0.25],
        "f1": [0.3, 0.3],
    }


def test_a_column_that_comes_later_is_empty_before():
    table = history(validation=False)
    table.rows[1]["val_f1"] = 0.5
    assert [row["val_f1"] for row in csv.DictReader(io.StringIO(table.to_csv()))] == ["", "0.5"]


@given(st.floats())
def test_floats_are_written_with_all_their_digits(value):
    table = History()
    losses = dict.fromkeys(("loss_avg", "loss_min", "loss_max"), value)
    table.add(1, losses, None, 0.1, 1.0, 1)
    (row,) = csv.DictReader(io.StringIO(table.to_csv()))
    read = float(row["train_loss_avg"])
    assert read == value or (math.isnan(read) and math.isnan(value))


def test_a_history_goes_on_from_its_state():
    second = History()
    second.load_state_dict(history().state_dict())
    assert second.to_csv() == history().to_csv()


def test_no_time_is_no_throughput():
    table = History()
    table.add(1, history().training().iloc[0], None, 0.1, seconds=0.0, num_graphs=5)
    assert table.rows[0]["graphs_per_second"] == pytest.approx(0.0)
