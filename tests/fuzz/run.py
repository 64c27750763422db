"""Break configurations, stores and artifacts in many ways, and see what qgpipe says.

    python tests/fuzz/run.py --seed 1 --jobs 2

Every mutant is judged (``judge.py``); equal seeds make equal mutants. Ends with what was printed
for those that are faults, a table of all, and exit code 1 if there are faults.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

from judge import FAULTS, Outcome, judge, kinds

KINDS = ("configurations", "stores", "artifacts")
SHOWN = 2000  # characters of what a fault has printed


def judge_share(
    kind: str, count: int, seed: int, jobs: int, folder: Path, job: int
) -> list[Outcome]:
    """What came of every ``jobs``-th of ``count`` mutants, from the one with number ``job``."""
    template, scratch = folder / kind, folder / f"{kind}-{job}"
    outcomes = []
    for mutant in islice(importlib.import_module(kind).mutants(count, seed), job, None, jobs):
        shutil.copytree(template, scratch, symlinks=True)
        outcomes.append(judge(mutant, scratch))
        shutil.rmtree(scratch)
    return outcomes


def judge_kind(kind: str, count: int, seed: int, jobs: int, folder: Path) -> list[Outcome]:
    """What came of ``count`` mutants of ``kind``, made of a template in ``folder``."""
    fork = multiprocessing.get_context("fork")
    made = fork.Process(target=importlib.import_module(kind).template, args=[folder / kind])
    made.start()  # in a process of its own: threads that it starts would hinder forks
    made.join()
    if made.exitcode:
        raise SystemExit(f"the template of {kind} could not be made")
    share = partial(judge_share, kind, count, seed, jobs, folder)
    with ProcessPoolExecutor(jobs, mp_context=fork) as pool:
        return [outcome for outcomes in pool.map(share, range(jobs)) for outcome in outcomes]


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """Kinds of mutants as rows, what came of them as columns."""
    columns = ("ran", "message", *FAULTS)
    lines = [f"{'':<16}{'mutants':>8}" + "".join(f"{column:>10}" for column in columns)]
    for kind, found in outcomes.items():
        counts = kinds(found)
        numbers = "".join(f"{counts[column]:>10,}" for column in columns)
        lines.append(f"{kind:<16}{len(found):>8,}{numbers}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--part", type=float, default=1.0, help="of the mutants, 0.05 for instance")
    parser.add_argument("--only", choices=KINDS, action="append")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    begin = time.perf_counter()
    outcomes = {}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for kind in arguments.only or KINDS:
            count = round(importlib.import_module(kind).COUNT * arguments.part)
            outcomes[kind] = judge_kind(kind, count, arguments.seed, arguments.jobs, Path(folder))
    faults = [outcome for found in outcomes.values() for outcome in found if outcome.kind in FAULTS]
    for fault in faults:
        print(f"\n{fault.kind}: {fault.mutant} ({fault.seconds:.1f} s)\n{fault.error[-SHOWN:]}")
    print(table(outcomes))
    slowest = max((o for found in outcomes.values() for o in found), key=lambda o: o.seconds)
    print(f"slowest: {slowest.seconds:.1f} s, {slowest.mutant}")
    print(f"{time.perf_counter() - begin:.0f} s with {arguments.jobs} jobs")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
