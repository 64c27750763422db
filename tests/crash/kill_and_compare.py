"""Kill runs of the pipeline at random instants, start them again, and compare what comes out.

    python tests/crash/kill_and_compare.py --kills 12

A small pipeline runs undisturbed. Then it runs again, and is killed with all its processes
a random while after each stage has begun, and started again by the same command, until it
is done; and so on until there were enough kills. Each time every artifact is compared with
that of the undisturbed run. Ends with a table, and with exit code 1 if anything differs.
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
from pathlib import Path

import pandas as pd

from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml

ROOT = Path(__file__).parents[2]
STAGE_OF_RULE = {
    "generate_store": "generate",
    "preprocess_part": "preprocess",
    "gather_dataset": "preprocess",
    "split": "split",
    "train_run": "train",
    "test_run": "test",
    "plot_run": "report",
}
STAGES = list(dict.fromkeys(STAGE_OF_RULE.values()))
NOT_COMPARED = {"logs", "benchmarks", "checkpoints", ".lock", ".training.lock"}
TIMES = ["seconds", "graphs_per_second"]
PATIENCE = 120.0  # seconds within which a run ends that was asked to
A_ROUND = 2  # kills in each stage until a run is left to finish


class Failure(Exception):
    """The pipeline did not do what it promises."""


def write_config(folder: Path) -> None:
    """The default run with few small causal sets and few epochs, as ``run.yaml``."""
    config = load_config(ROOT / "config" / "run.yaml")
    config["name"] = "crash"
    config["generate"].update(num_samples=120, size=[8, 16])
    config["data"].update(chunksize=60, n_processes=1)
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

    def stop(self, number: signal.Signals) -> None:
        """Send a signal as a crash (SIGKILL), a terminal (SIGINT) or ``kill`` (SIGTERM) does.

        Waits until no process is left.
        """
        if number == signal.SIGTERM:
            self._process.terminate()
        else:
            os.killpg(self._process.pid, number)
        if not self.ends_within(PATIENCE):
            os.killpg(self._process.pid, signal.SIGKILL)
            raise Failure(f"snakemake goes on after {number.name}:\n" + "".join(self.output))
        deadline = time.monotonic() + PATIENCE
        while self._any_process():
            if time.monotonic() > deadline:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise Failure(f"a process of the run is left after {number.name}")
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
            rule = re.match(r"\d\d:\d\d:\d\d  (\w+)( |$)", line)
            if rule and rule[1] in STAGE_OF_RULE:
                with self._news:
                    self.started.setdefault(STAGE_OF_RULE[rule[1]], time.monotonic())
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
    number: signal.Signals,
    chance: random.Random,
) -> list[str]:
    """Run the pipeline, stopping it once for each stage of ``aims``, and then to its end.

    Returns the stages that were under way when it was stopped.
    """
    write_config(folder)
    hit = []
    for aim in aims:
        run = Run(folder)
        if not run.wait_for(aim) or run.ends_within(chance.random() * seconds[run.stage]):
            run.finish()
            break
        hit.append(run.stage)
        run.stop(number)
    Run(folder).finish()
    return hit


def choose_aims(total: int, kills: Counter[str]) -> list[str]:
    """The stages to kill a run in, in their order, so that all get their share of ``total``."""
    share, rest = divmod(total, len(STAGES))
    aims = []
    for place, stage in enumerate(STAGES):
        missing = share + (place < rest) - kills[stage]
        aims += [stage] * max(0, min(missing, A_ROUND))
    return aims[: total - kills.total()]


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """The names of files that are missing, surplus or different."""
    return [name for name in sorted(expected | found) if expected.get(name) != found.get(name)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="how many in all (%(default)s)")
    parser.add_argument("--signal", choices=["KILL", "INT", "TERM"], default="KILL")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6, help="of the instants")
    options = parser.parse_args()
    number = signal.Signals[f"SIG{options.signal}"]
    chance = random.Random(options.seed)
    print(f"{number.name}, seed {options.seed}", flush=True)
    kills: Counter[str] = Counter()
    identical: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="qgpipe-crash-") as name:
        folder = Path(name)
        (folder / "undisturbed").mkdir()
        seconds = run_undisturbed(folder / "undisturbed")
        expected = artifacts(folder / "undisturbed")
        while kills.total() < options.kills:
            disturbed = Path(tempfile.mkdtemp(dir=folder))
            aims = choose_aims(options.kills, kills)
            hit = run_disturbed(disturbed, aims, seconds, number, chance)
            kills.update(hit)
            differing = differences(expected, artifacts(disturbed))
            if differing:
                print(f"killed in {', '.join(hit)}: {', '.join(differing)} differ", flush=True)
            else:
                identical.update(hit)
    print(f"{'stage':<12}{'kills':>6}{'identical':>11}")
    for stage in STAGES:
        print(f"{stage:<12}{kills[stage]:>6}{identical[stage]:>11}")
    print(f"{'all':<12}{kills.total():>6}{identical.total():>11}")
    return int(kills != identical)


if __name__ == "__main__":
    sys.exit(main())
