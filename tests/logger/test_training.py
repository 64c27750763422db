"""A training followed by its files, by traces worked by hand."""

import json

import pytest

from qgpipe import paths
from snakemake_logger_plugin_qgpipe import epoch_text
from snakemake_logger_plugin_qgpipe.training import Training

HEADER = "epoch,train_loss_avg,train_loss_min,val_loss_avg,val_loss_min,val_f1,graphs_per_second\n"


@pytest.fixture
def write(tmp_path):
    """Write what a training writes: the epochs of its history, and its position."""

    def to(epochs, half="", **position):
        (tmp_path / "logs").mkdir(exist_ok=True)
        if epochs is not None:
            lines = "".join(f"{i},0.5{i},0.1,0.25,0.2,0.75,1234.5\n" for i in epochs)
            paths.epoch_log(tmp_path).write_text(HEADER + lines + half)
        if position:
            paths.training_position(tmp_path).write_text(json.dumps(position))

    return to


def at(epoch, step=0, resumed_after=0):
    return {"resumed_after": resumed_after, "num_epochs": 5, "epoch": epoch, "step": step,
            "num_steps": 4}  # fmt: skip


def test_it_tells_each_epoch_once(tmp_path, write):
    training = Training("tiny", tmp_path)
    assert training.poll() == []
    assert epoch_text.running_epoch(training) == "starting"
    write(None, **at(1, step=1))
    assert training.poll() == []
    assert epoch_text.running_epoch(training) == "epoch 1/5  25%"
    write([1], **at(2))
    assert [row["epoch"] for row in training.poll()] == ["1"]
    assert training.poll() == []
    write([1, 2, 3], **at(4))
    assert [row["epoch"] for row in training.poll()] == ["2", "3"]


def test_what_an_earlier_attempt_left_is_no_news(tmp_path, write):
    write([1, 2, 3], **at(4, step=2))
    training = Training("tiny", tmp_path)
    assert training.poll() == []
    assert training.num_epochs is None
    # It goes on after epoch 2, its last checkpoint, and tells the third epoch again.
    write([1, 2], **at(3, step=1, resumed_after=2))
    assert training.poll() == []
    assert training.epochs_done == 2.25
    write([1, 2, 3])
    assert [row["epoch"] for row in training.poll()] == ["3"]


def test_a_line_that_is_half_written_waits(tmp_path, write):
    training = Training("tiny", tmp_path)
    write([1], half="2,0.", **at(2, step=3))
    assert [row["epoch"] for row in training.poll()] == ["1"]
    assert training.row["epoch"] == "1"


def test_a_position_that_is_half_written_waits(tmp_path, write):
    training = Training("tiny", tmp_path)
    write([1], **at(2))
    paths.training_position(tmp_path).write_text('{"resumed_')
    assert training.poll() == []
    write(None, **at(2))
    assert [row["epoch"] for row in training.poll()] == ["1"]


def test_the_time_left_follows_from_the_epochs_since_it_was_resumed(tmp_path, write, clock):
    training = Training("tiny", tmp_path, clock)
    write([1], **at(2, resumed_after=1))
    training.poll()
    assert training.seconds_left is None
    clock.now = 130.0  # an epoch and a half in half a minute: 20 s an epoch
    write([1, 2], **at(3, step=2, resumed_after=1))
    training.poll()
    assert training.seconds_per_epoch == 20
    assert training.seconds_left == 2.5 * 20
    clock.now = 140.0
    assert training.seconds_left == 40
    clock.now = 1000.0
    assert training.seconds_left == 0


def test_an_epoch_in_words(tmp_path, write):
    training = Training("tiny", tmp_path)
    write([1], **at(2))
    (row,) = training.poll()
    assert epoch_text.ended_epoch(training, row) == (
        "tiny: epoch 1/5, loss 0.51, val loss 0.25, f1 0.75, 1,234 graphs/s"
    )
    assert epoch_text.running(training) == {
        "epoch": "epoch 2/5   0%",
        "loss": "loss 0.51",
        "val": "val loss 0.25",
        "metric": "f1 0.75",
        "rate": "1,234 graphs/s",
    }
    assert epoch_text.ended_training(training, 75) == (
        "tiny: trained, 1 epochs, loss 0.51, val loss 0.25, f1 0.75, 1:15"
    )


def test_a_training_without_validation_has_its_loss(tmp_path):
    row = {"epoch": "3", "train_loss_avg": "1e-07", "graphs_per_second": "0.5"}
    assert epoch_text.values(row) == {"loss": "loss 1e-07", "rate": "0.5 graphs/s"}
