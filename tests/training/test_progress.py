import io
import logging

from qgpipe.training import progress
from qgpipe.training.progress import Progress

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


def run(progress):
    progress.start_epoch(2, step=1, num_steps=3)
    progress.step()
    progress.step()
    progress.end_epoch(ROW)


def test_without_a_terminal_there_is_a_line_an_epoch(monkeypatch, caplog):
    stream = io.StringIO()
    monkeypatch.setattr(progress, "terminal", lambda: stream)
    with caplog.at_level(logging.INFO):
        run(Progress(num_epochs=5))
    assert caplog.messages == [LINE]
    assert stream.getvalue() == ""


def test_on_a_terminal_there_is_a_bar_from_the_step_where_it_starts(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(progress, "terminal", lambda: stream)
    run(Progress(num_epochs=5))
    assert "epoch 2/5:  33%" in stream.getvalue()
    assert "| 1/3 [" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith(LINE)
