"""What is known of a running workflow, from what Snakemake tells of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake_logger_plugin_qgpipe.stages import TRAINING, in_order, stage_of
from snakemake_logger_plugin_qgpipe.training import Training


@dataclass
class Job:
    """One attempt of a job. ``title``: what it does, in words; paths are absolute."""

    number: int
    rule: str
    stage: str
    title: str
    name: str
    outputs: list[Path]
    logs: list[Path]
    started: float
    training: Training | None = None


@dataclass
class Stage:
    """How far a stage is. ``running``: its jobs by number."""

    name: str
    total: int = 0
    done: int = 0
    running: dict[int, Job] = field(default_factory=dict)
    started: float | None = None


class State:
    """Stages and jobs of a run of the workflow.

    ``folder`` is the working directory of the workflow, to which its paths are relative.
    ``is_stopped``: whether somebody has asked it to stop, so that jobs end without a mistake.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.started = clock()
        self.stages: dict[str, Stage] = {}
        self.finished: list[Job] = []
        self.failed: dict[int, Job] = {}
        self.is_stopped = False
        self._folder = folder

    def plan(self, stats: Mapping[str, int]) -> None:
        """Take over how many jobs of each rule there are to run."""
        for rule, count in stats.items():
            stage = None if rule == "total" else stage_of(rule)
            if stage is not None:
                self.stages.setdefault(stage, Stage(stage)).total += count
        self.stages = {name: self.stages[name] for name in in_order(list(self.stages))}

    def start(self, record: Mapping[str, Any]) -> Job | None:
        """A job starts (or is given to a cluster); returns it unless it is a mere target."""
        rule, name = record["rule_name"], stage_of(record["rule_name"])
        if name is None:
            return None
        words = " ".join(str(value) for value in record["wildcards"].values())
        outputs = [self._folder / file for file in record["output"]]
        job = Job(
            number=record["jobid"],
            rule=rule,
            stage=name,
            title=record["rule_msg"] or f"{rule} {words}".rstrip(),
            name=words,
            outputs=outputs,
            logs=[self._folder / file for file in record["log"]],
            started=self.clock(),
        )
        if rule == TRAINING:
            job.training = Training(words, outputs[0].parent, self.clock)
        stage = self.stages.setdefault(name, Stage(name))
        stage.running[job.number] = job
        stage.total = max(stage.total, stage.done + len(stage.running))
        stage.started = self.clock() if stage.started is None else stage.started
        self.failed.pop(job.number, None)
        return job

    def finish(self, number: int) -> Job | None:
        """A job is done; returns it if it is known."""
        job = self._take(number)
        if job is not None:
            self.stages[job.stage].done += 1
            self.finished.append(job)
        return job

    def fail(self, number: int) -> Job | None:
        """A job has failed; another attempt may follow. Returns it if it was running."""
        job = self._take(number)
        if job is not None:
            self.failed[number] = job
        return job

    @property
    def jobs_done(self) -> int:
        """Jobs that are done, of all stages."""
        return sum(stage.done for stage in self.stages.values())

    @property
    def jobs(self) -> int:
        """Jobs of all stages."""
        return sum(stage.total for stage in self.stages.values())

    def running(self) -> list[Job]:
        """The jobs that run, stage by stage."""
        return [job for stage in self.stages.values() for job in stage.running.values()]

    def _take(self, number: int) -> Job | None:
        for stage in self.stages.values():
            if number in stage.running:
                return stage.running.pop(number)
        return None
