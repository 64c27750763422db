from pathlib import Path

import pytest

from qgpipe.data.preprocessing.plan import PartPlan
from qgpipe.workflow.resources import (
    baseline_threads,
    evaluation_minutes,
    generate_minutes,
    gpus,
    listing_megabytes,
    listing_minutes,
    preprocess_megabytes,
    preprocess_minutes,
    training_gpus,
    training_megabytes,
    training_tasks,
    training_threads,
)


def part(samples: int, sample_bytes: int) -> PartPlan:
    return PartPlan(
        name="a-000000000",
        store="a",
        path=Path("a.zarr"),
        layout="stacked",
        num_samples=samples,
        role="all",
        start=0,
        stop=samples,
        generated=True,
        source="",
        sample_bytes=sample_bytes,
    )


def test_preprocessing_asks_for_what_its_samples_decode_to():
    assert preprocess_megabytes(part(1000, 262_144)) == 2_000 + 263  # 262.144 MB, rounded up


def test_preprocessing_asks_for_a_minute_for_each_60_mb():
    assert preprocess_minutes(part(1000, 120_000)) == 10 + 2


def test_generating_asks_for_a_minute_for_each_10_mb():
    assert generate_minutes([part(1000, 20_000), part(500, 20_000)]) == 30 + 3


def test_lists_grow_with_samples_and_parts():
    parts = [part(1000, 1)] * 1000
    assert listing_megabytes(parts) == 1_000 + 500 + 100
    assert listing_minutes(parts) == 10 + 2


def test_training_asks_for_a_quarter_of_the_data_up_to_a_limit():
    assert training_megabytes([part(1000, 40_000)]) == 6_000 + 10
    assert training_megabytes([part(10**6, 10**6)]) == 64_000


@pytest.mark.parametrize(
    ("elements", "batch_size", "more", "threads"),
    [
        (128, 32, {}, 1),
        (128, 64, {}, 8),
        (256, 32, {}, 8),
        (64, 32, {"parallel": {}}, 8),
    ],
)
def test_training_on_small_batches_asks_for_one_thread(elements, batch_size, more, threads):
    config = {"training": {"batch_size": batch_size, "num_workers": 0}, **more}
    assert training_threads(config, [part(10, 2 * elements**2)]) == threads


def test_threads_that_prepare_batches_are_asked_for():
    config = {"training": {"batch_size": 8, "num_workers": 2}}
    assert training_threads(config, [part(10, 100)]) == 3


def test_baselines_ask_for_threads_by_the_number_of_graphs():
    assert [baseline_threads([part(n, 1)]) for n in (100, 30_000, 10**6)] == [1, 2, 4]


def test_training_asks_for_a_gpu_for_each_process():
    config = {"training": {"device": "auto"}}
    assert training_gpus(config, is_local=False) == 1
    assert training_gpus({**config, "parallel": {"world_size": 4}}, is_local=False) == 4
    on_cpu = {"training": {"device": "cpu"}, "parallel": {"world_size": 4}}
    assert training_gpus(on_cpu, is_local=False) == 0


@pytest.mark.parametrize(
    ("device", "visible", "asked"),
    [("auto", "", 0), ("auto", "3", 1), ("cuda", "", 1), ("cuda:1", "", 1), ("cpu", "3", 0)],
)
def test_a_machine_without_a_gpu_runs_jobs_side_by_side(monkeypatch, device, visible, asked):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus({"training": {"device": device}}, is_local=True) == asked


def test_training_on_several_nodes_asks_for_a_task_for_each_process():
    config = {"training": {"device": "auto"}}
    assert training_tasks(config) == {}
    assert training_tasks({**config, "parallel": {"world_size": 4, "nodes": 1}}) == {}
    tasks = {"nodes": 2, "tasks": 4, "mpi": "srun"}
    config["parallel"] = {"world_size": 4, "nodes": 2}
    assert training_tasks(config) == {**tasks, "tasks_per_gpu": 1}
    assert training_tasks({**config, "training": {"device": "cpu"}}) == tasks


def test_evaluation_asks_for_a_minute_for_each_thousand_graphs():
    assert evaluation_minutes([part(5_000, 1)]) == 60 + 5


def test_each_attempt_asks_for_more():
    one = part(1000, 1_000_000)
    assert preprocess_megabytes(one, 3) == 3 * preprocess_megabytes(one)
    assert preprocess_minutes(one, 2) == 2 * preprocess_minutes(one)
    assert generate_minutes([one], 2) == 2 * generate_minutes([one])
    assert listing_megabytes([one], 2) == 2 * listing_megabytes([one])
    assert listing_minutes([one], 2) == 2 * listing_minutes([one])
    assert evaluation_minutes([one], 2) == 2 * evaluation_minutes([one])
