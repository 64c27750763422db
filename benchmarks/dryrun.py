"""How long ``snakemake -n`` takes after a finished run, with few parts and with many.

    python benchmarks/dryrun.py --output benchmarks/results/dryrun.md

Beside it the same of a Snakefile with as many jobs that do nothing, which is what Snakemake
itself takes, and of importing Snakemake alone. ``--quick`` does all of it at a small scale.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from machine import describe
from measure import keep, table

from qgpipe.causets.writers.zarr_v2 import create_group, write_array

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {10: 2.5, 1000: 4.0}  # seconds
TRIGGERS = ("--rerun-triggers", "mtime", "params", "input")  # as in profiles/default
IN_PART = 4
LARGEST = 6

CONFIG = """\
name: tiny
data:
  files: [causets.zarr]
  reader: {{type: !pyobject qgpipe.CausalSetReader, kwargs: {{node_features: [in_degree]}}}}
  chunksize: {in_part}
  split: [0.5, 0.25, 0.25]
model:
  encoder_type: !pyobject torch.nn.Linear
  encoder_args: [1, 4]
  pooling_layers: [!pyobject torch_geometric.nn.global_mean_pool]
  downstream_tasks: [[!pyobject torch.nn.Linear, [4, 2]]]
criterion: !pyobject qgpipe.training.losses.cross_entropy
training: {{seed: 1, num_epochs: 1, batch_size: 64, device: cpu}}
"""

JOBS = """\
parts = [f"parts/{{i:09d}}" for i in range({parts})]


rule all:
    input:
        "list",


rule part:
    output:
        "parts/{{part}}",
    params:
        section={{"part": [1, 2, 3]}},
    shell:
        "touch {{output}}"


rule list:
    input:
        parts,
    output:
        "list",
    shell:
        "touch {{output}}"
"""

PREPARE = """\
from qgpipe.config import load_config, resolve_config
from qgpipe.training.prepare import prepare_data

prepare_data(resolve_config(load_config("run.yaml")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="keep the finished runs here, and use them")
    arguments = parser.parse_args()
    counts, rounds = ((3,), 1) if arguments.quick else (tuple(TARGETS), arguments.rounds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        rows = [measure(folder, parts, rounds) for parts in counts]
    keep(text(rows), arguments.output)


def text(rows: Sequence[Sequence[object]]) -> str:
    header = ("parts", "qgpipe s", "target s", "Snakemake alone s", "import s", "qgpipe's share s")
    return "\n".join(
        (
            "# A dry run after a finished run",
            "",
            "Medians in seconds of the wall clock, imports included, of processes that took turns.",
            "`python benchmarks/dryrun.py`, on",
            describe("snakemake"),
            "",
            table(header, rows),
        )
    )


def measure(folder: Path, parts: int, rounds: int) -> list[object]:
    """A row of the table: medians over ``rounds``, in each of which all take turns."""
    ours, trivial = folder / f"run-{parts}", folder / f"jobs-{parts}"
    if not ours.exists():
        finish(ours, parts)
        finish_trivial(trivial, parts)
    commands: dict[str, tuple[list[str], Path]] = {
        "ours": (dry_run(ROOT / "Snakefile", "--configfile", "run.yaml"), ours),
        "trivial": (dry_run(trivial / "Snakefile", *TRIGGERS), trivial),
        "import": ([sys.executable, "-c", "import snakemake.cli"], folder),
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):  # a first round is not counted
        for name, (command, where) in commands.items():
            start = time.perf_counter()
            said = call(command, where)
            if number:
                seconds[name].append(time.perf_counter() - start)
            if name != "import" and "Nothing to be done" not in said:
                raise SystemExit(f"the run in {where} has not finished:\n{said}")
    median = {name: statistics.median(times) for name, times in seconds.items()}
    target: object = TARGETS.get(parts, "")
    share = median["ours"] - median["trivial"]
    return [parts, median["ours"], target, median["trivial"], median["import"], share]


def finish(folder: Path, parts: int) -> None:
    """A finished run on a store for as many parts.

    The parts are made in one process, which is faster than a job for each; then ``--touch`` has
    Snakemake record of each what it records when it runs the job.
    """
    folder.mkdir(parents=True)
    write_store(folder / "causets.zarr", parts * IN_PART)
    (folder / "run.yaml").write_text(CONFIG.format(in_part=IN_PART))
    call([sys.executable, "-c", PREPARE], folder)
    run = snakemake(ROOT / "Snakefile", "--configfile", "run.yaml")
    call(run, folder)
    call([*run, "--touch", "--forceall"], folder)


def finish_trivial(folder: Path, parts: int) -> None:
    """A finished run of as many jobs that do nothing."""
    folder.mkdir(parents=True)
    (folder / "Snakefile").write_text(JOBS.format(parts=parts))
    call(snakemake(folder / "Snakefile"), folder)


def write_store(path: Path, samples: int) -> None:
    """Random relations of six elements."""
    upper = np.triu(np.random.default_rng(0).random((samples, LARGEST, LARGEST)) < 0.5, 1)
    arrays = {
        "adjacency_matrix": upper.transpose(0, 2, 1).astype("u1"),
        "in_degree": upper.sum(axis=1).astype("f4"),
        "cset_type": (np.arange(samples) % 2).astype("i4"),
    }
    create_group(path)
    for name, values in arrays.items():
        write_array(path / name, values, (IN_PART, *values.shape[1:]))


def snakemake(snakefile: Path, *arguments: str) -> list[str]:
    cores = str(len(os.sched_getaffinity(0)))
    options = ["--cores", cores, "--snakefile", str(snakefile), *arguments]
    return [sys.executable, "-m", "snakemake", *options]


def dry_run(snakefile: Path, *arguments: str) -> list[str]:
    return snakemake(snakefile, "--dry-run", *arguments)


def call(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
