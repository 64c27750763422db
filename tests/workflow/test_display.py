"""What a user sees of a run: on a terminal (emulated), and in a pipe."""

import copy
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pyte
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COLUMNS, LINES = 100, 40
FAILS, TRAINS = "tiny-lr=1e+30", "tiny-lr=0.001"
CLOCK = r"\d\d:\d\d:\d\d  "
NAN = "the loss is nan"
# Every line that may ever be seen, those of the part that is drawn anew first.
DRAWN = [
    r"train  [━─]{20}  [012]/2",
    rf"  ({re.escape(FAILS)}|{re.escape(TRAINS)})  +(starting|epoch \d/3( .*)?)",
    r"\d of 2 jobs done, \d+:\d\d",
]
SAID = [
    "Using workflow specific profile .*",
    rf"train: epoch \d, step \d, .*{NAN}.*|train: epoch \d, step \d: {NAN}.*",
    rf"{CLOCK}failed: train {re.escape(FAILS)}",
    rf"          log: .*{re.escape(FAILS)}/logs/train.log",
    rf"{CLOCK}{re.escape(TRAINS)}: trained, 3 epochs, loss .*",
    "Shutting down, this might take some time.",
]
END = [
    r"A job has failed, after \d+:\d\d:",
    rf"  train {re.escape(FAILS)}",
    rf"    .*{NAN}.*",
    r"    log: .*/logs/train.log",
    r"All that Snakemake said is in .*/\.snakemake/log/.*\.snakemake\.log",
]


@pytest.fixture(scope="module")
def sweep(finished, tmp_path_factory):
    """Prepared data, and two runs to be trained on it, of which one fails."""
    folder = tmp_path_factory.mktemp("display") / "sweep"
    shutil.copytree(finished.folder, folder)
    shutil.rmtree(folder / "results/runs")
    made = replace(finished, folder=folder, config=copy.deepcopy(finished.config))
    made.config["training"]["optimizer_kwargs"]["lr"] = {"!sweep": {"values": [1e30, 0.001]}}
    made.save()
    return made


def command(project, *arguments):
    return [
        sys.executable, "-m", "snakemake", "train", *arguments,
        "--snakefile", str(ROOT / "Snakefile"), "--directory", str(project.folder),
        "--cores", "2", "--set-threads", "train_run=1",
        "--configfile", str(project.folder / "run.yaml"),
    ]  # fmt: skip


class Terminal:
    """A terminal that a command runs in, with all that was ever seen on it."""

    def __init__(self, arguments):
        self.screen = pyte.HistoryScreen(COLUMNS, LINES)
        self.seen: list[list[str]] = []
        self.received = b""
        stream = pyte.ByteStream(self.screen)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
        process = subprocess.Popen(
            arguments, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        while True:
            if not select.select([ours], [], [], 0.1)[0]:
                self._look()  # it rests: no line is half drawn
                if process.poll() is not None:
                    break
                continue
            try:
                data = os.read(ours, 65536)
            except OSError:  # nobody has the other end any more
                break
            if not data:
                break
            self.received += data
            stream.feed(data)
        self._look()
        os.close(ours)
        self.code = process.wait()

    def _look(self):
        # A line that is as long as the terminal is wide goes on in the next one.
        joined = "".join(
            line if line[-1] != " " else f"{line.rstrip()}\n" for line in self.screen.display
        )
        if not self.seen or joined.splitlines() != self.seen[-1]:
            self.seen.append(joined.splitlines())


def kind(line):
    """The pattern that a line follows."""
    patterns = (p for p in [*DRAWN, *SAID, *END, ""] if re.fullmatch(p, line))
    return next(patterns, f"no pattern: {line!r}")


def test_two_trainings_at_once_on_a_terminal(sweep):
    terminal = Terminal(command(sweep))
    assert terminal.code == 1
    for looked in terminal.seen:
        kinds = [kind(line) for line in looked]
        assert [found for found in kinds if found.startswith("no pattern")] == []
        assert kinds.count(DRAWN[0]) == kinds.count(DRAWN[2]) <= 1
        assert kinds.count(DRAWN[1]) <= 2
    # Both were seen to train, each on a line of its own.
    everything = [line for looked in terminal.seen for line in looked]
    assert any(re.match(rf"  {re.escape(TRAINS)}  +epoch \d/3", line) for line in everything)
    assert any(
        re.match(rf"  {re.escape(FAILS)} +(starting|epoch 1/3)", line) for line in everything
    )
    # In the end the part that was drawn is gone; what has failed, and why, is there to be read.
    kinds = [kind(line) for line in terminal.seen[-1] if line]
    assert not set(DRAWN) & set(kinds)
    assert kinds[-len(END) :] == END
    assert sum(NAN in line for line in terminal.seen[-1]) == 2
    assert not terminal.screen.cursor.hidden
    assert b"\x1b[?25l" not in terminal.received


def test_in_a_pipe_there_are_plain_lines_and_a_resumed_training_goes_on_counting(sweep):
    sweep.config["training"].update(
        num_epochs=4, optimizer_kwargs={**sweep.config["training"]["optimizer_kwargs"], "lr": 0.001}
    )
    sweep.config["name"] = TRAINS
    sweep.save()
    said = subprocess.run(
        command(sweep), cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert said.stdout == ""
    lines = said.stderr.splitlines()[1:]
    patterns = [
        rf"{CLOCK}to do: train 1",
        rf"{CLOCK}train {re.escape(TRAINS)}",
        rf"{CLOCK}{re.escape(TRAINS)}: epoch 4/4, loss [\d.]+, val loss [\d.]+, "
        r"f1_weighted [\d.]+, [\d,.]+ graphs/s",
        rf"{CLOCK}train: done, \d+:\d\d",
        r"Done in \d+:\d\d\. Results:",
        rf"  .*/results/runs/{re.escape(TRAINS)}/model\.pt",
    ]
    assert len(lines) == len(patterns), lines
    for pattern, line in zip(patterns, lines, strict=True):
        assert re.fullmatch(pattern, line)


def test_quiet_is_silent_and_a_dry_run_says_what_snakemake_says(sweep):
    silent = subprocess.run(
        command(sweep, "--quiet", "all", "--forcerun", "train_run"),
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert silent.stdout == ""
    assert silent.stderr.splitlines()[1:] == []
    dry = subprocess.run(
        command(sweep, "--dry-run", "--forcerun", "train_run"),
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Job stats:\njob          count\n" in dry.stdout
    assert f"train {TRAINS}\nReason: Forced execution" in dry.stdout
