import io
import json
import logging
import os
import subprocess
import sys

import pytest

from qgpipe import paths
from qgpipe.system.logs import LINES, SHOWING, SHOWN
from qgpipe.training.steps import progress
from qgpipe.training.steps.progress import Progress

ROW = {
    "epoch": 2,
    "train_loss_avg": 0.512345,
    "train_loss_min": 0.1,
    "train_loss_max": 0.9,
    "val_loss_avg": 0.25,
    "val_loss_min": 0.2,
    "val_f1": 0.75,
    "lr": 0.001,
    "seconds": 1.0,
    "graphs_per_second": 1234.5,
}
LINE = "epoch 2/5: train_loss_avg 0.51235, val_loss_avg 0.25, val_f1 0.75, 1234 graphs/s"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on(monkeypatch, tmp_path):
    """A function that runs an epoch of the run ``tiny`` before a stream, and gives its words."""
    monkeypatch.delenv(SHOWING, raising=False)

    def shown_on(stream):
        monkeypatch.setattr(progress, "terminal", lambda: stream)
        shown = Progress(num_epochs=5, folder=tmp_path / "tiny")
        shown.start_epoch(2, step=1, num_steps=3)
        shown.step()
        shown.step()
        shown.end_epoch(ROW)
        return stream.getvalue()

    return shown_on


def test_without_a_terminal_there_is_a_line_an_epoch(on, caplog):
    with caplog.at_level(logging.INFO):
        assert on(io.StringIO()) == ""
    assert caplog.messages == [LINE]


def test_on_a_terminal_there_is_a_bar_from_the_step_where_it_starts(on):
    text = on(Terminal())
    assert "epoch 2/5:  33%" in text
    assert "| 1/3 [" in text
    assert text.rstrip().endswith(LINE)


def test_a_job_of_a_workflow_draws_no_bar_and_names_its_run(on, monkeypatch, caplog):
    monkeypatch.setenv(SHOWING, LINES)
    with caplog.at_level(logging.INFO):
        assert on(Terminal()) == ""
    assert caplog.messages == [f"tiny: {LINE}"]


@pytest.mark.parametrize(("showing", "lines"), [(LINES, 2), (SHOWN, 1)])
def test_a_job_leaves_its_epochs_to_the_display_of_the_workflow(showing, lines, tmp_path):
    script = f"""
from pathlib import Path
from qgpipe.system.logs import stage
from qgpipe.training.steps.progress import Progress

folder = Path({str(tmp_path)!r})
with stage(folder / "tiny/logs/train.log"):
    progress = Progress(5, folder / "tiny")
    progress.end_epoch({ROW})
    progress.say("a warning")
"""
    job = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, SHOWING: showing},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    expected = [f"tiny: {LINE}", "tiny: a warning"]
    assert job.stderr.splitlines() == expected[-lines:]
    log = (tmp_path / "tiny/logs/train.log").read_text().splitlines()
    assert [line.partition(": ")[2] for line in log] == expected


def test_where_it_stands_is_written_for_others(on, tmp_path):
    on(io.StringIO())
    position = json.loads(paths.training_position(tmp_path / "tiny").read_text())
    assert position == {
        "num_epochs": 5, "resumed_after": 1, "epoch": 2, "step": 1, "num_steps": 3
    }  # fmt: skip


def test_a_disk_that_takes_nothing_more_does_not_end_a_training(on, tmp_path):
    (tmp_path / "tiny").write_text("a file, where the folder of the run should be")
    assert on(io.StringIO()) == ""
    assert (tmp_path / "tiny").is_file()
