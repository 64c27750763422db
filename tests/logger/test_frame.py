"""What is drawn at the bottom of a terminal."""

import json

import pytest

from qgpipe import paths
from snakemake_logger_plugin_qgpipe.frame import frame
from snakemake_logger_plugin_qgpipe.state import State

RUNS = ("tiny-lr=0.01", "tiny-lr=0.001")


@pytest.fixture
def state(tmp_path, clock, records):
    """Two trainings run, one in its second epoch; a third part is being preprocessed."""
    state = State(tmp_path, clock)
    state.plan({"preprocess_part": 4, "train_run": 4, "test_run": 4, "all": 1, "total": 13})
    for number in range(3):
        state.start(records.start(number, "preprocess_part", part=f"part-{number}"))
    state.finish(0)
    state.finish(1)
    for number, run in enumerate(RUNS, 10):
        state.start(records.start(number, "train_run", f"{run}/config.yaml", run=run))
    folder = tmp_path / RUNS[0]
    (folder / "logs").mkdir(parents=True)
    position = {"resumed_after": 0, "num_epochs": 2, "epoch": 2, "step": 0, "num_steps": 4}
    paths.training_position(folder).write_text(json.dumps(position))
    paths.epoch_log(folder).write_text(
        "epoch,train_loss_avg,val_loss_avg,val_f1,graphs_per_second\n1,0.5,0.25,0.75,4321\n"
    )
    for job in state.running():
        if job.training is not None:
            job.training.poll()
    clock.now += 61
    return state


def drawn(state, width=100, height=30):
    return [line.plain for line in frame(state, width, height)]


def test_stages_with_their_trainings(state):
    assert drawn(state) == [
        "preprocess  ━━━━━━━━━━──────────  2/4  part-2",
        # One of four trainings is half done: an eighth of twenty, rounded down.
        "train       ━━──────────────────  0/4",
        "  tiny-lr=0.01   epoch 2/2   0%  loss 0.5  val loss 0.25  f1 0.75  4,321 graphs/s",
        "  tiny-lr=0.001  starting",
        "test        ────────────────────  0/4",
        "2 of 12 jobs done, 1:01",
    ]


def test_where_it_is_narrow_the_less_wanted_is_left_out(state):
    assert drawn(state, width=52)[2:4] == [
        "  tiny-lr=0.01   epoch 2/2   0%  val loss 0.25",
        "  tiny-lr=0.001  starting",
    ]
    assert drawn(state, width=30) == [
        "preprocess  2/4  part-2",
        "train       0/4",
        "  …ny-lr=0.01  epoch 2/2   0%",
        "  …y-lr=0.001  starting",
        "test        0/4",
        "2 of 12 jobs done, 1:01",
    ]


@pytest.mark.parametrize("width", [4, 8, 13, 20, 33, 47, 60, 79, 80, 120])
@pytest.mark.parametrize("height", [1, 2, 4, 6, 7, 24])
def test_it_always_fits(state, width, height):
    lines = frame(state, width, height)
    assert 1 <= len(lines) < max(height, 2)
    assert max(line.cell_len for line in lines) < width


def test_of_more_trainings_than_fit_the_rest_is_counted(state, records):
    for number in range(20, 40):
        state.start(records.start(number, "train_run", f"{number}/config.yaml", run=str(number)))
    lines = drawn(state, height=10)
    assert len(lines) == 9
    assert lines[2:7] == [
        "  tiny-lr=0.01   epoch 2/2   0%  loss 0.5  val loss 0.25  f1 0.75  4,321 graphs/s",
        "  tiny-lr=0.001  starting",
        "  20             starting",
        "  21             starting",
        "  and 18 more",
    ]
