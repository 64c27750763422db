"""What is said of the records of a run."""

import re

import pytest

from snakemake_logger_plugin_qgpipe.narrator import Narrator
from snakemake_logger_plugin_qgpipe.state import State


@pytest.fixture
def narrator(tmp_path, clock):
    return lambda live=False: Narrator(State(tmp_path, clock), live)


def said(narrator, *steps):
    """The lines that are said of records, or of pairs of a record and its text; clocks cut off."""
    lines = []
    for step in steps:
        record, text = step if isinstance(step, tuple) else (step, "Snakemake's words")
        lines += [
            re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line, _ in narrator.lines(record, text)
        ]
    return lines


def test_a_run_line_by_line(narrator, records, clock):
    told = narrator()
    start = said(
        told,
        records.plan(generate_store=1, preprocess_part=2, gather_dataset=1, preprocess=1, all=1),
        records.start(3, "generate_store", ".zattrs", message="generate causets", store="causets"),
    )
    assert start == ["to do: generate 1, preprocess 2, gather 1", "generate causets"]
    clock.now += 65
    assert said(
        told,
        records.finish(3),
        records.start(4, "preprocess_part", "a", message="preprocess a", part="a"),
        records.start(5, "preprocess_part", "b", message="preprocess b", part="b"),
        records.finish(5),
    ) == ["generate: done, 1:05", "preprocess a", "preprocess b", "preprocess: 1 of 2 done, 0:00"]
    assert said(told, records.finish(4), records.start(9, "all"), records.finish(9)) == [
        "preprocess: 2 of 2 done, 0:00"
    ]


def test_above_the_live_part_only_what_ends_is_said(narrator, records):
    assert said(
        narrator(live=True),
        records.plan(preprocess_part=2),
        records.start(4, "preprocess_part", part="a"),
        records.start(5, "preprocess_part", part="b"),
        records.finish(4),
        records.finish(5),
    ) == ["preprocess: 2 of 2 done, 0:00"]


def test_of_a_thousand_parts_not_each_is_told(narrator, records, clock):
    told = narrator()
    said(told, records.plan(preprocess_part=1000))
    lines = []
    for number in range(1000):
        clock.now += 0.1  # a hundred seconds in all
        lines += said(told, records.start(number, "preprocess_part"), records.finish(number))
    assert 10 <= len(lines) <= 12
    assert lines[0] == "preprocess: 1 of 1000 done, 0:00"
    assert lines[-1].startswith("preprocess: 1000 of 1000 done, 1:")


def test_a_failure_names_the_job_and_its_log(narrator, records):
    told = narrator()
    words = "RuleException:\nCalledProcessError …\nCommand 'x' returned non-zero exit status 1."
    assert said(
        told,
        records.plan(train_run=1),
        records.start(1, "train_run", "runs/a/config.yaml", message="train a", run="a"),
        (records.error(), words),
        records.fail(1, "train_run", "runs/a/logs/train.log"),
        (records.error(), "WorkflowError:\nAt least one job did not complete successfully."),
    ) == [
        "to do: train 1",
        "train a",
        "failed: train a",
        "          log: runs/a/logs/train.log",
    ]
    assert [job.title for job in told.state.failed.values()] == ["train a"]


def test_another_attempt_takes_the_failure_back(narrator, records):
    told = narrator()
    start = records.start(1, "train_run", "runs/a/config.yaml", run="a")
    said(told, records.plan(train_run=1), start, records.fail(1, "train_run"), start)
    assert told.state.failed == {}
    assert said(told, records.finish(1)) == ["train: done, 0:00"]


def test_what_a_person_has_stopped_has_not_failed(narrator, records):
    stopping = "Terminating processes on user request, this might take some time."
    assert said(
        narrator(),
        records.plan(train_run=1),
        records.start(1, "train_run", "runs/a/config.yaml", message="train a", run="a"),
        ({"levelname": "INFO"}, stopping),
        records.fail(1, "train_run", "runs/a/logs/train.log"),
    ) == ["to do: train 1", "train a", stopping, "stopped: train a"]


@pytest.mark.parametrize(
    ("end", "line"),
    [
        ("died with <Signals.SIGKILL: 9>.", "a job was killed by SIGKILL: memory may be short"),
        ("died with <Signals.SIGSEGV: 11>.", "a job ended with SIGSEGV"),
        ("returned non-zero exit status 3.", "a job ended with exit status 3"),
    ],
)
def test_a_job_that_cannot_say_why_it_ended_is_spoken_for(narrator, records, end, line):
    assert said(narrator(), (records.error(), f"Command 'x' {end}")) == [f"          {line}"]


def test_other_errors_are_told_in_full(narrator, records):
    text = "WorkflowError:\ndata.split: the shares sum to 1.1\nthey have to sum to 1"
    assert said(narrator(), (records.error(), text), ({"levelname": "INFO"}, "")) == [text]


def test_a_rule_of_another_workflow_is_a_stage_of_its_own(narrator, records):
    told = narrator()
    assert said(told, records.plan(sort_reads=2, train_run=1)) == ["to do: train 1, sort_reads 2"]
    assert said(told, records.start(7, "sort_reads", lane="3")) == ["sort_reads 3"]
