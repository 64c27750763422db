"""What is said when a run of the workflow has ended."""

import pytest

from snakemake_logger_plugin_qgpipe.outcome import last_error, outcome
from snakemake_logger_plugin_qgpipe.state import State


@pytest.fixture
def run(tmp_path, clock, records):
    """A function that lets jobs of runs finish or fail, and tells what is said after 75 s."""

    def ended(*names, failed=(), jobs=None, here=tmp_path):
        state = State(tmp_path, clock)
        state.plan({"train_run": jobs or len(names), "report_run": len(names)})
        for number, name in enumerate(names):
            files = [f"runs/{name}/{file}" for file in ("config.yaml", "model.pt")]
            log = f"runs/{name}/logs/train.log"
            state.start(
                records.start(
                    number, "train_run", *files, message=f"train {name}", log=[log], run=name
                )
            )
            if name in failed:
                state.fail(number)
                continue
            state.finish(number)
            state.start(
                records.start(100 + number, "report_run", f"runs/{name}/report.html", run=name)
            )
            state.finish(100 + number)
        clock.now += 75
        return outcome(state, here, None)

    return ended


def test_the_results_of_a_run_are_a_file_a_line(run):
    assert run("a") == ["Done in 1:15. Results:", "  runs/a/report.html", "  runs/a/model.pt"]


def test_what_has_to_be_known_of_the_results_stands_below_them(run, tmp_path):
    log = tmp_path / "runs/b/logs/train.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "2026-01-01 10:00:01,123 WARNING qgpipe.progress.notes: the last one is kept\n"
        "2026-01-01 10:00:01,123 INFO qgpipe.progress: epoch 4\n"
    )
    assert run("a", "b")[3:] == ["Note:", "  train b: the last one is kept"]


def test_the_results_of_a_sweep_are_a_run_a_line(run):
    assert run("a", "b") == [
        "Done in 1:15. Results:",
        "  runs/a: report.html, model.pt",
        "  runs/b: report.html, model.pt",
    ]


def test_of_a_long_sweep_some_runs_are_named(run):
    lines = run(*(f"a{number}" for number in range(13)))
    assert len(lines) == 12
    assert lines[-1] == "  and of 3 more, beside these"


def test_seen_from_another_folder_paths_are_whole(run, tmp_path):
    assert run("a", here=tmp_path / "elsewhere")[1] == f"  {tmp_path}/runs/a/report.html"


def test_a_run_that_was_broken_off_has_no_results(run):
    assert run("a", jobs=2) == []


def test_a_run_that_was_stopped_has_not_failed(tmp_path, clock, records):
    state = State(tmp_path, clock)
    state.plan({"train_run": 1})
    state.start(records.start(1, "train_run", "runs/a/config.yaml", run="a"))
    state.is_stopped = True
    state.fail(1)
    clock.now += 3
    assert outcome(state, tmp_path, None) == [
        "Stopped after 0:03; the same command goes on from here."
    ]


def test_a_failure_is_told_with_its_message_and_log(run, tmp_path):
    log = tmp_path / "runs/b/logs/train.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "2026-01-01 10:00:00,123 INFO qgpipe.progress: epoch 1/3\n"
        "2026-01-01 10:00:01,123 ERROR qgpipe: the loss is nan; lower the learning rate\n"
    )
    assert run("a", "b", failed=["b"]) == [
        "A job has failed, after 1:15:",
        "  train b",
        "    the loss is nan; lower the learning rate",
        "    log: runs/b/logs/train.log",
    ]


def test_of_a_traceback_the_end_is_told(tmp_path):
    log = tmp_path / "a.log"
    assert last_error(log) is None
    log.write_text("some words\n")
    assert last_error(log) is None
    log.write_text("Traceback (most recent call last):\n  File …\nKeyError: 'x'\n\n")
    assert last_error(log) == "KeyError: 'x'"
