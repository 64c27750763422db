"""What is said in the end: where the results are, or what has failed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from snakemake_logger_plugin_qgpipe.state import Job, State
from snakemake_logger_plugin_qgpipe.words import duration

# What a person looks for first, as rules make it; the rest lies beside it.
RESULTS = ("report.html", "metrics.json", "model.pt", "best.yaml", "sweep.svg", "sweep.csv",
           "cross_validation.svg", "cross_validation.csv")  # fmt: skip
DATA = ("split.json", "dataset.json")
AT_MOST = 10  # runs, failures
ERROR = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) \S+ (.*)$")
NOTE = re.compile(r"^\S+ \S+ WARNING qgpipe\.progress\.notes: (.*)$")
TAIL = 20_000  # bytes of a log in which its last error and its notes are looked for


def outcome(state: State, here: Path, log: str | None) -> list[str]:
    """The last lines of a run of the workflow; paths as seen from ``here``.

    ``log``: the file to which Snakemake has written all that it said.
    """
    took = duration(state.clock() - state.started)
    if state.is_stopped:
        return [f"Stopped after {took}; the same command goes on from here."]
    if state.failed:
        return failures(list(state.failed.values()), here, took, log)
    if not state.finished or state.jobs_done < state.jobs:  # an error of another kind was told
        return []
    found = results(state.finished, here)
    done = f"Done in {took}." + (" Results:" if found else "")
    return [done, *found, *notes(state.finished)]


def results(jobs: list[Job], here: Path) -> list[str]:
    """Where the results of ``jobs`` are: a file a line for one run, else a run a line."""
    files = _named(jobs, RESULTS) or _named(jobs, DATA)
    groups: dict[str, list[Path]] = {}
    for job, file in files:
        groups.setdefault(job.name, []).append(file)
    if len(groups) == 1:
        return [f"  {_shown(file, here)}" for _, file in files]
    lines = [_line(groups[name], here) for name in list(groups)[:AT_MOST]]
    more = len(groups) - AT_MOST
    return [*lines, f"  and of {more} more, beside these"] if more > 0 else lines


def notes(jobs: list[Job]) -> list[str]:
    """What ``jobs`` have said that has to be known of their results."""
    found = [
        f"  {job.title}: {match[1]}"
        for job in jobs
        for path in job.logs
        for line in _tail(path)
        if (match := NOTE.match(line))
    ]
    more = len(found) - AT_MOST
    lines = [*found[:AT_MOST], *([f"  and {more} more, in the logs"] if more > 0 else [])]
    return ["Note:", *lines] if lines else []


def failures(jobs: list[Job], here: Path, took: str, log: str | None) -> list[str]:
    """What has failed after a time, why, and where its log is."""
    count = "A job has" if len(jobs) == 1 else f"{len(jobs)} jobs have"
    lines = [f"{count} failed, after {took}:"]
    for job in jobs[:AT_MOST]:
        lines.append(f"  {job.title}")
        for path in job.logs:
            said = last_error(path)
            lines += [f"    {said}"] if said else []
            lines.append(f"    log: {_shown(path, here)}")
    if len(jobs) > AT_MOST:
        lines.append(f"  and {len(jobs) - AT_MOST} more")
    if log:
        lines.append(f"All that Snakemake said is in {_shown(Path(log), here)}")
    return lines


def last_error(log: Path) -> str | None:
    """The last error in a log: a message of qgpipe's, or the end of a traceback."""
    lines = _tail(log)
    matches = [match for line in lines if (match := ERROR.match(line))]
    if matches:
        return matches[-1][1]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return next((line for line in reversed(lines) if line.strip()), None)
    return None


def _tail(log: Path) -> list[str]:
    """The last lines of ``log``, none if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL, 0))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _named(jobs: list[Job], names: tuple[str, ...]) -> list[tuple[Job, Path]]:
    found = [(job, file) for job in jobs for file in job.outputs if file.name in names]
    return sorted(found, key=lambda pair: names.index(pair[1].name))


def _line(files: list[Path], here: Path) -> str:
    if len(files) == 1:
        return f"  {_shown(files[0], here)}"
    folder = Path(os.path.commonpath(files))
    return f"  {_shown(folder, here)}: " + ", ".join(str(f.relative_to(folder)) for f in files)


def _shown(path: Path, here: Path) -> str:
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
