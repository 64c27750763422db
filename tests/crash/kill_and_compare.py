"""Kill runs of the pipeline at random instants, start them again, and compare what comes out.

    python tests/crash/kill_and_compare.py --kills 12 --stops 6

A small pipeline runs undisturbed. Then it runs again, and is killed with all its processes
a random while after each stage has begun, and started again by the same command, until it
is done; and so on until there were enough kills. Each time every artifact is compared with
that of the undisturbed run. Then the same with stops instead: Ctrl-C, SIGTERM, and the death of
``snakemake`` alone. Ends with a table, and with exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml

ROOT = Path(__file__).parents[2]
# By the first word of the line that tells of a job that starts.
STAGE_OF_WORD = {
    "generate": "generate",
    "preprocess": "preprocess",
    "gather": "preprocess",
    "split": "split",
    "train": "train",
    "test": "test",
    "draw": "report",
    "write": "report",
}
STAGES = list(dict.fromkeys(STAGE_OF_WORD.values()))
NOT_COMPARED = {"logs", "benchmarks", "checkpoints", ".lock", ".training.lock"}
TIMES = ["seconds", "graphs_per_second"]
PATIENCE = 120.0  # seconds within which a run ends that was asked to
A_ROUND = 2  # kills in each stage until a run is left to finish


@dataclass(frozen=True)
class Blow:
    """A signal to ``snakemake`` and, with ``to_all``, to all its processes at once."""

    number: signal.Signals
    to_all: bool


KILL = Blow(signal.SIGKILL, to_all=True)  # a crash
STOPS = [
    Blow(signal.SIGINT, to_all=True),  # Ctrl-C in a terminal
    Blow(signal.SIGTERM, to_all=True),  # a scheduler's time limit
    Blow(signal.SIGTERM, to_all=False),  # ``kill``
    Blow(signal.SIGKILL, to_all=False),  # the kernel, out of memory
]


@dataclass
class Tally:
    """How often a run was disturbed in each stage, and how often it ended in the same bytes."""

    blows: Counter[str] = field(default_factory=Counter)
    identical: Counter[str] = field(default_factory=Counter)


class Failure(Exception):
    """The pipeline did not do what it promises."""


def write_config(folder: Path) -> None:
    """The default run with few small causal sets and few epochs, as ``run.yaml``."""
    config = load_config(ROOT / "config" / "run.yaml")
    config["name"] = "crash"
    del config["evaluate"]
    config["generate"].update(num_samples=120, size=[8, 16])
    config["data"].update(chunksize=60, n_processes=1, split=[0.8, 0.1, 0.1], seed=None)
    config["training"].update(num_epochs=15, batch_size=8, checkpoint_at=4, device="cpu")
    (folder / "run.yaml").write_text(to_yaml(config))


class Run:
    """One ``snakemake`` with its children, in a process group of their own."""

    def __init__(self, folder: Path):
        command = [
            sys.executable, "-m", "snakemake", "--logger", "qgpipe",
            "--cores", "2", "--max-threads", "1",
            "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
            "--configfile", str(folder / "run.yaml"),
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.started: dict[str, float] = {}  # stages, and when they began
        self.output: deque[str] = deque(maxlen=200)
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def stage(self) -> str:
        """The stage that began last."""
        return list(self.started)[-1]

    def wait_for(self, stage: str) -> bool:
        """Wait until ``stage`` or one after it has begun; false if the run ends before."""
        aim = STAGES.index(stage)
        with self._news:
            self._news.wait_for(
                lambda: (
                    not self._reader.is_alive()
                    or any(STAGES.index(begun) >= aim for begun in self.started)
                )
            )
        return any(STAGES.index(begun) >= aim for begun in self.started)

    def ends_within(self, seconds: float) -> bool:
        """Whether the run ends by itself in the next ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self) -> None:
        """Wait for the end, which has to be a success."""
        code = self._process.wait()
        self._reader.join()
        if code:
            raise Failure(f"snakemake ended with {code}:\n" + "".join(self.output))

    def strike(self, blow: Blow) -> None:
        """Send the signal, and wait until no process is left."""
        if blow.to_all:
            os.killpg(self._process.pid, blow.number)
        else:
            self._process.send_signal(blow.number)
        if not self.ends_within(PATIENCE):
            os.killpg(self._process.pid, signal.SIGKILL)
            raise Failure(f"snakemake goes on after {blow}:\n" + "".join(self.output))
        deadline = time.monotonic() + PATIENCE
        while self._any_process():
            if time.monotonic() > deadline:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise Failure(f"a process of the run is left after {blow}")
            time.sleep(0.02)

    def _any_process(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)
            word = re.match(r"\d\d:\d\d:\d\d  (\w+) ", line)
            if word and word[1] in STAGE_OF_WORD:
                with self._news:
                    self.started.setdefault(STAGE_OF_WORD[word[1]], time.monotonic())
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()


def artifacts(folder: Path) -> dict[str, str]:
    """Checksums of all that a run has written, times left out."""
    results = folder / "results"
    files = (path for path in sorted(results.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(results)): hashlib.sha256(_content(path)).hexdigest()
        for path in files
        if path.suffix == ".tmp" or not NOT_COMPARED & set(path.relative_to(results).parts)
    }


def _content(path: Path) -> bytes:
    if path.name == "history.csv":
        return pd.read_csv(path, dtype=str).drop(columns=TIMES).to_csv().encode()
    if path.name == "summary.json":
        summary = json.loads(path.read_text())
        return json.dumps({k: v for k, v in summary.items() if k not in TIMES}).encode()
    if path.name == "report.html":
        return re.sub(rb'<span class="measured">.*?</span>', b"", path.read_bytes(), flags=re.S)
    if path.name.endswith(".provenance.json"):
        return b"a record of when it was made, among other things"
    return path.read_bytes()


def run_undisturbed(folder: Path) -> dict[str, float]:
    """Run the pipeline in ``folder`` to its end; returns the seconds that each stage took."""
    write_config(folder)
    run = Run(folder)
    run.finish()
    times = [*run.started.values(), time.monotonic()]
    return {
        stage: end - start
        for stage, start, end in zip(run.started, times[:-1], times[1:], strict=True)
    }


def run_disturbed(
    folder: Path,
    aims: list[str],
    seconds: dict[str, float],
    blows: list[Blow],
    chance: random.Random,
) -> list[str]:
    """Run the pipeline, disturbing it once for each stage of ``aims``, and then to its end.

    Returns the stages that were under way when it was disturbed.
    """
    write_config(folder)
    hit = []
    for aim in aims:
        run = Run(folder)
        if not run.wait_for(aim) or run.ends_within(chance.random() * seconds[run.stage]):
            run.finish()
            break
        hit.append(run.stage)
        run.strike(chance.choice(blows))
    Run(folder).finish()
    return hit


def choose_aims(total: int, done: Counter[str]) -> list[str]:
    """The stages to disturb a run in, in their order, so that all get their share of ``total``."""
    share, rest = divmod(total, len(STAGES))
    aims = []
    for place, stage in enumerate(STAGES):
        missing = share + (place < rest) - done[stage]
        aims += [stage] * max(0, min(missing, A_ROUND))
    return aims[: total - done.total()]


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """The names of files that are missing, surplus or different."""
    return [name for name in sorted(expected | found) if expected.get(name) != found.get(name)]


def disturb_and_compare(
    folder: Path, total: int, blows: list[Blow], seconds: dict[str, float], chance: random.Random
) -> Tally:
    """Disturb runs ``total`` times, and compare each with the one in ``folder/undisturbed``."""
    expected = artifacts(folder / "undisturbed")
    tally = Tally()
    while tally.blows.total() < total:
        disturbed = Path(tempfile.mkdtemp(dir=folder))
        aims = choose_aims(total, tally.blows)
        hit = run_disturbed(disturbed, aims, seconds, blows, chance)
        tally.blows.update(hit)
        differing = differences(expected, artifacts(disturbed))
        if differing:
            print(f"disturbed in {', '.join(hit)}: {', '.join(differing)} differ", flush=True)
        else:
            tally.identical.update(hit)
    return tally


def table(kills: Tally, stops: Tally) -> str:
    """A row a stage: kills, stops, and how many of each ended in the same bytes."""
    columns = [kills.blows, kills.identical, stops.blows, stops.identical]
    rows = [[counter[stage] for counter in columns] for stage in STAGES]
    rows.append([counter.total() for counter in columns])
    lines = [f"{'stage':<12}{'kills':>8}{'identical':>11}{'stops':>8}{'identical':>11}"]
    for name, (killed, same, stopped, alike) in zip([*STAGES, "all"], rows, strict=True):
        lines.append(f"{name:<12}{killed:>8}{same:>11}{stopped:>8}{alike:>11}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=12, help="how many in all (%(default)s)")
    parser.add_argument("--stops", type=int, default=0, help="how many in all (%(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6, help="of the instants")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    print(f"{options.kills} kills, {options.stops} stops, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="qgpipe-crash-") as name:
        folder = Path(name)
        (folder / "undisturbed").mkdir()
        seconds = run_undisturbed(folder / "undisturbed")
        kills = disturb_and_compare(folder, options.kills, [KILL], seconds, chance)
        stops = disturb_and_compare(folder, options.stops, STOPS, seconds, chance)
    print(table(kills, stops))
    return int(kills.blows != kills.identical or stops.blows != stops.identical)


if __name__ == "__main__":
    sys.exit(main())
