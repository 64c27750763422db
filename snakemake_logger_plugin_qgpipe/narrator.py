"""What is said of the records that Snakemake logs: as lines, and to the state of the workflow."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from qgpipe.system.files import os_error_of_user
from snakemake_logger_plugin_qgpipe import epoch_text
from snakemake_logger_plugin_qgpipe.state import Job, Stage, State
from snakemake_logger_plugin_qgpipe.words import duration

# What Snakemake says at every start or end, and a user need not know.
CHATTER = (
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Complete log(s): ",
    "Conda environments: ignored",
    "Elapsed time: ",
    "Exiting because a job execution failed",
    "Select jobs to execute",
    "Singularity containers: ignored",
    "Using shell:",
)
STOPPING = "Terminating processes on user request"
AFTER_A_FAILURE = (  # of no use to who has been told what failed
    "WorkflowError:\nAt least one job did not complete successfully",
    "WorkflowError:\nError recording metadata for finished job",
)
REFUSED_BY_SYSTEM = re.compile(
    r"^\w+Error: \[Errno (\d+)\] [^:\n]+: ('[^'\n]+'|\"[^\"\n]+\")\s*\Z", re.M
)
SILENT = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RESOURCES_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.GROUP_INFO,
    LogEvent.GROUP_ERROR,  # its jobs follow, each with an error of its own
    LogEvent.SHELLCMD,
    LogEvent.PROGRESS,
    LogEvent.RULEGRAPH,
}
TOLD_BY_ITSELF = ("1", "75")  # exit codes after which a job has said why
ENDED = re.compile(r"returned non-zero exit status (\d+)|died with <Signals\.(\w+)")
MANY = 20  # jobs of a stage from which not each is told
EVERY_SECONDS = 10.0  # how often a stage of many jobs is told

Line = tuple[str, str]  # a text, and the style that it has on a terminal


class Narrator:
    """Takes records, keeps ``state``, and says what there is to be said.

    ``live``: stages and trainings are shown elsewhere, so that only what ends is told.
    """

    def __init__(self, state: State, live: bool):
        self.state = state
        self._live = live
        self._told: dict[str, float] = {}

    def lines(self, record: Mapping[str, Any], text: str) -> Iterator[Line]:
        """What to say of a record of Snakemake's; ``text`` is how Snakemake would say it."""
        event = record.get("event")
        if event == LogEvent.RUN_INFO:
            self.state.plan(record["stats"])
            if not self._live:
                yield _now(self._to_do()), ""
        elif event == LogEvent.JOB_INFO:
            job = self.state.start(record)
            if job is not None and not self._live and self.state.stages[job.stage].total <= MANY:
                yield _now(job.title), ""
        elif event == LogEvent.JOB_FINISHED:
            yield from self._finished(record["job_id"])
        elif event == LogEvent.JOB_ERROR:
            yield from self._failed(record)
        elif event == LogEvent.ERROR and (ended := ENDED.search(text)):
            if ended[1] not in TOLD_BY_ITSELF:
                yield _killed(ended), "red"
        elif text.startswith(STOPPING):
            self.state.is_stopped = True
            yield text, "yellow"
        elif text.startswith("Traceback") and (refused := REFUSED_BY_SYSTEM.search(text)):
            file = ast.literal_eval(refused[2])
            error = os_error_of_user(OSError(int(refused[1]), "", file))
            yield text if error is None else str(error), "red"
        elif event not in SILENT and not self._is_chatter(text):
            level = record.get("levelname")
            yield text, {"ERROR": "red", "WARNING": "yellow"}.get(str(level), "")

    def epochs(self) -> Iterator[Line]:
        """What trainings have written since the last time."""
        for job in self.state.running():
            yield from self._epochs(job)

    def _epochs(self, job: Job) -> Iterator[Line]:
        if job.training is None:
            return
        for row in job.training.poll():
            if not self._live:
                yield _now(epoch_text.ended_epoch(job.training, row)), ""

    def _finished(self, number: int) -> Iterator[Line]:
        running = {job.number: job for job in self.state.running()}
        if number in running:
            yield from self._epochs(running[number])  # the last ones
        job = self.state.finish(number)
        if job is None:
            return
        stage, now = self.state.stages[job.stage], self.state.clock()
        if job.training is not None and self._live:
            yield _now(epoch_text.ended_training(job.training, now - job.started)), ""
        elif self._is_due(stage, now):
            yield _now(self._progress(stage, now)), ""

    def _is_due(self, stage: Stage, now: float) -> bool:
        """Whether to say how far a stage is: in the end, and now and then if nothing shows it."""
        if stage.done >= stage.total:
            return True
        last = self._told.get(stage.name, -EVERY_SECONDS)
        if self._live or (stage.total > MANY and now - last < EVERY_SECONDS):
            return False
        self._told[stage.name] = now
        return True

    def _progress(self, stage: Stage, now: float) -> str:
        took = duration(now - (stage.started or now))
        count = "" if stage.total == 1 else f"{stage.done} of {stage.total} "
        return f"{stage.name}: {count}done, {took}"

    def _failed(self, record: Mapping[str, Any]) -> Iterator[Line]:
        job = self.state.fail(record["jobid"])
        title = record["rule_name"] if job is None else job.title
        if self.state.is_stopped:
            yield _now(f"stopped: {title}"), "yellow"
            return
        yield _now(f"failed: {title}"), "bold red"
        for log in record["log"]:
            yield f"          log: {log}", "red"

    def _to_do(self) -> str:
        return "to do: " + ", ".join(f"{s.name} {s.total}" for s in self.state.stages.values())

    def _is_chatter(self, text: str) -> bool:
        if not text.strip() or text == "None" or text.startswith(CHATTER):
            return True
        return text.startswith(AFTER_A_FAILURE) and bool(self.state.failed)


def _now(text: str) -> str:
    return f"{time.strftime('%H:%M:%S')}  {text}"


def _killed(ended: re.Match[str]) -> str:
    if ended[2] == "SIGKILL":
        return "          a job was killed by SIGKILL: memory may be short"
    return "          a job ended with " + (ended[2] or f"exit status {ended[1]}")
