"""The Python interface from raw stores to a test result, and what it makes again when."""

import functools
import json
import os

import numpy as np
import pytest
import torch
import zarr
from torch.nn.functional import cross_entropy
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv, global_mean_pool
from torch_geometric.utils import dense_to_sparse

import qgpipe
from qgpipe.config.resolve import resolve_config
from qgpipe.training.prepare import prepare_data


def reader(store, idx, float_dtype, int_dtype, validate):
    group = zarr.open_group(store.root)
    size = int(group["cset_size"][idx])
    adjacency = np.transpose(group["adjacency_matrix"][idx, :, :])[:size, :size]
    edge_index, edge_weight = dense_to_sparse(torch.tensor(adjacency, dtype=torch.float32))
    x = torch.tensor(group["max_pathlens_future"][idx, :][:size], dtype=float_dtype).unsqueeze(1)
    y = torch.tensor(int(group["manifold_like"][idx]), dtype=torch.long)
    return Data(x=x, edge_index=edge_index, edge_attr=edge_weight, y=y)


def other_reader(store, idx, float_dtype, int_dtype, validate):
    data = reader(store, idx, float_dtype, int_dtype, validate)
    data.x = 2 * data.x
    return data


def compute_loss(outputs, data):
    return cross_entropy(outputs[0], data.y)


@pytest.fixture
def store(tmp_path):
    """Twenty stacked causal sets of up to five elements: chains are manifold-like here."""
    rng = np.random.default_rng(0)
    root = zarr.open_group(tmp_path / "raw.zarr", mode="w", zarr_format=2)
    sizes = rng.integers(2, 6, 20)
    adjacency = np.zeros((20, 5, 5), np.float32)
    lengths = np.zeros((20, 5), np.float32)
    chains = np.arange(20) % 2
    for i, n in enumerate(sizes):
        if chains[i]:
            adjacency[i, :n, :n] = np.tril(np.ones((n, n)), -1)
            lengths[i, :n] = np.arange(n)[::-1]
    arrays = {"adjacency_matrix": adjacency, "cset_size": sizes.astype(np.int64),
              "max_pathlens_future": lengths, "manifold_like": chains.astype(np.int64)}  # fmt: skip
    for name, values in arrays.items():
        root.create_array(name, data=values)
    return tmp_path / "raw.zarr"


@pytest.fixture
def raw(store, tmp_path):
    return {
        "name": "run",
        "training": {
            "seed": 0, "device": "cpu", "path": str(tmp_path / "qg"), "num_epochs": 5,
            "batch_size": 4, "optimizer_type": torch.optim.Adam, "optimizer_args": [],
            "optimizer_kwargs": {"lr": 1e-2}, "num_workers": 0, "pin_memory": True,
            "drop_last": False, "checkpoint_at": 2, "shuffle": True,
        },
        "data": {
            "files": [str(store)], "output": str(tmp_path / "qg" / "output"), "reader": reader,
            "validate_data": True, "n_processes": 1, "chunksize": 8, "split": [0.8, 0.1, 0.1],
        },
        "model": {
            "encoder_type": qgpipe.models.Sequential,
            "encoder_kwargs": {
                "layers": [
                    [SAGEConv, [1, 8], {"aggr": "mean"}, "x, edge_index"],
                    [torch.nn.ReLU, [], {}, "x"],
                ],
                "forward_signature": "x, edge_index, batch",
            },
            "pooling_layers": [[global_mean_pool, [], {}]],
            "aggregate_pooling_type": torch.cat,
            "downstream_tasks": [
                [
                    qgpipe.models.LinearSequential,
                    None,
                    {"dims": [[8, 2]], "activations": [torch.nn.Identity]},
                ]
            ],
        },
        "validation": {"batch_size": 4, "validator": {
            "device": "cpu", "criterion": compute_loss, "evaluator_tasks": []}},
        "testing": {"batch_size": 4, "tester": {
            "device": "cpu", "criterion": compute_loss, "evaluator_tasks": []}},
        "early_stopping": {
            "tasks": {0: {"metric": "loss_avg", "delta": 1e-4, "grace_period": 2,
                          "init_best_score": 1e9, "mode": "min"}},
            "mode": "any", "patience": 5,
        },
        "criterion": compute_loss,
    }  # fmt: skip


def test_the_example_with_python_objects_trains_validates_and_tests(raw):
    trainer = qgpipe.Trainer.from_config(raw)
    train_loader, val_loader, test_loader = trainer.prepare_dataloaders()
    training_result, validation_result = trainer.run_training(train_loader, val_loader)
    test_result = trainer.run_test(test_loader)
    assert len(training_result) == len(validation_result) == 5
    assert list(test_result.columns) == ["loss_avg", "loss_min", "loss_max"]
    assert len(test_result) == 1
    sizes = [len(loader.dataset) for loader in (train_loader, val_loader, test_loader)]
    assert sizes == [16, 2, 2]


@pytest.fixture
def times(raw):
    """Prepare the data as ``raw`` says; returns when each file was written."""

    def prepare():
        config = resolve_config(raw)
        dataset, split = prepare_data(config)
        files = [*sorted((dataset.parent / "parts").glob("*.safetensors")), dataset, split]
        return {file.name: file.stat().st_mtime_ns for file in files}

    return prepare


def changed(before, after):
    return {name for name in after if before.get(name) != after[name]}


PARTS = {f"raw-{start:09d}.safetensors" for start in (0, 8, 16)}
LISTS = {"dataset.json", "split.json"}


def test_what_is_up_to_date_is_not_made_again(times):
    before = times()
    assert set(before) == PARTS | LISTS
    assert times() == before


def test_a_part_that_is_missing_is_made_again(times, raw, tmp_path):
    before = times()
    (tmp_path / "qg" / "output" / "parts" / "raw-000000008.safetensors").unlink()
    # The part comes out the same, so the split stays.
    after = times()
    assert "raw-000000008.safetensors" in changed(before, after)
    assert not changed(before, after) & (PARTS - {"raw-000000008.safetensors"})


def test_another_reader_makes_all_parts_again(times, raw):
    before = times()
    raw["data"]["reader"] = other_reader
    assert changed(before, times()) >= PARTS


def test_another_split_leaves_the_parts(times, raw):
    before = times()
    raw["data"]["split"] = [0.5, 0.25, 0.25]
    assert changed(before, times()) == {"split.json"}


def test_changed_metadata_of_the_store_makes_its_parts_again(times, store):
    before = times()
    (store / ".zattrs").write_text(json.dumps({"version": 2}))
    assert changed(before, times()) >= PARTS


def test_a_part_that_something_else_has_written_is_made_again(times, tmp_path):
    before = times()
    parts = tmp_path / "qg" / "output" / "parts"
    (parts / "raw-000000000.safetensors").write_bytes(
        (parts / "raw-000000008.safetensors").read_bytes()
    )
    assert "raw-000000000.safetensors" in changed(before, times())


def test_touched_files_stay(times, tmp_path):
    times()
    for file in (tmp_path / "qg" / "output").rglob("*"):
        os.utime(file)
    before = times()
    assert times() == before


def test_a_function_without_a_name_is_called_anew_each_time(times, raw):
    raw["data"]["pre_filter"] = functools.partial(lambda limit, data: data.num_nodes > limit, 1)
    before = times()
    assert changed(before, times()) >= PARTS


def test_generated_stores_are_made_when_they_change(raw, times, tmp_path):
    raw["data"] |= {"files": [], "reader": {"type": "qgpipe.CausalSetReader"}}
    raw["generate"] = {"seed": 1, "num_samples": 10, "size": [4, 6], "classes": ["random", "kr"]}
    before = times()
    assert set(before) == {f"causets-{start:09d}.safetensors" for start in (0, 8)} | LISTS
    assert times() == before
    raw["generate"]["seed"] = 2
    assert changed(before, times()) >= set(before) - LISTS
