"""A store that is replaced while parts are made of it gives no data set of two stores."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from qgpipe.config import resolve_config
from qgpipe.data.preprocessing import part
from qgpipe.errors import DataError
from qgpipe.provenance.record import Job, recorded
from qgpipe.provenance.same_stores import require_same_stores
from qgpipe.training import prepare

READER = {
    "type": "!pyobject qgpipe.CausalSetReader",
    "kwargs": {"node_features": ["in_degree"], "target": "cset_type"},
}


def write(path: Path, kind: int, samples: int = 12) -> None:
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.open_group(path, mode="w", zarr_format=2)
    chain = np.tril(np.ones((4, 4), "u1"), -1)
    arrays = {
        "adjacency_matrix": np.stack([chain] * samples),
        "in_degree": np.full((samples, 4), kind, "f4"),
        "cset_type": np.arange(samples) % 3,
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=(2, *values.shape[1:]))


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("a.zarr"), kind=1)
    return resolve_config(
        {
            "data": {"files": ["a.zarr"], "reader": READER, "chunksize": 4, "n_processes": 1},
            "model": {"encoder_type": "torch.nn.Identity", "downstream_tasks": [["x.y"]]},
            "training": {"seed": 1, "num_epochs": 2, "batch_size": 4},
            "criterion": "mymodule.loss",
        }
    )


def parts() -> list[str]:
    return sorted(p.name for p in Path("results/data/parts").glob("*.safetensors"))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("instant", ["before", "after"])
def test_a_store_that_is_replaced_while_parts_are_made_is_noticed(
    config, monkeypatch, number, instant
):
    """The part that is made then is not kept, and there is no list; the next run has one store."""
    calls = []

    def read(*arguments, **keywords):
        replace = len(calls) == number
        calls.append(arguments)
        if replace and instant == "before":
            write(Path("a.zarr"), kind=2)
        made = part.preprocess_part(*arguments, **keywords)
        if replace and instant == "after":
            write(Path("a.zarr"), kind=2)
        return made

    monkeypatch.setattr(prepare, "preprocess_part", read)
    with pytest.raises(DataError, match=r"^a\.zarr: the store has changed while it was read; run"):
        prepare.prepare_data(config)
    assert len(parts()) == number
    assert not Path("results/data/dataset.json").exists()
    dataset, _ = prepare.prepare_data(config)
    from qgpipe import PackedDataset

    assert {float(graph.x.max()) for graph in PackedDataset(dataset)} == {2.0}


def test_a_store_that_is_replaced_between_two_parts_is_noticed(config, monkeypatch):
    real = prepare.recorded
    made = []

    def after_a_part(job):
        if len(made) == 1:
            write(Path("a.zarr"), kind=2)
        made.append(job)
        return real(job)

    monkeypatch.setattr(prepare, "recorded", after_a_part)
    with pytest.raises(DataError, match="the store has changed since the run was planned; run it"):
        prepare.prepare_data(config)
    assert len(parts()) == 1


def test_a_store_that_is_replaced_before_the_list_is_made_is_noticed(config, monkeypatch):
    real = prepare.recorded

    def before_the_list(job):
        if job.stage == "gather":
            write(Path("a.zarr"), kind=2)
        return real(job)

    monkeypatch.setattr(prepare, "recorded", before_the_list)
    with pytest.raises(DataError, match=r"has changed since a-000000000\.safetensors was read"):
        prepare.prepare_data(config)
    assert not Path("results/data/dataset.json").exists()


def test_a_store_that_has_grown_is_the_same(config):
    dataset, _ = prepare.prepare_data(config)
    group = zarr.open_group("a.zarr", mode="r+")
    for name, array in group.arrays():
        values = array[:4]
        array.resize((16, *array.shape[1:]))
        group[name][12:] = values
    dataset, _ = prepare.prepare_data(config)
    from qgpipe import PackedDataset

    assert len(PackedDataset(dataset)) == 16


def test_nothing_is_said_of_parts_without_a_record(config):
    prepare.prepare_data(config)
    files = sorted(Path("results/data/parts").glob("*.safetensors"))
    store = {"name": "a", "path": "a.zarr"}
    write(Path("a.zarr"), kind=2)
    with pytest.raises(DataError, match="the store has changed"):
        require_same_stores(files, [store])
    for record in Path("results/data/parts").glob("*.json"):
        record.unlink()
    require_same_stores(files, [store])


def test_outputs_of_a_changed_store_are_removed(tmp_path, store):
    output = tmp_path / "table.csv"
    with (
        pytest.raises(DataError, match="has changed while it was read"),
        recorded(Job("predict", [output], [], {}, (store, ""))),
    ):
        output.write_text("rows")
        write(store, kind=3)
    assert not output.exists()
    assert not (tmp_path / "table.csv.provenance.json").exists()
