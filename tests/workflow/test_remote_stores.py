"""A whole run on a store in an object store, through the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

pytestmark = pytest.mark.slow


def write(path, labels):
    """A small stacked store of random relations, each sample transposed."""
    rng = np.random.default_rng(0)
    samples, n = len(labels), 6
    group = zarr.open_group(path, mode="w", zarr_format=2)
    relations = np.triu(rng.random((samples, n, n)) < 0.5, 1).astype("u1")
    arrays = {
        "adjacency_matrix": relations.transpose(0, 2, 1),
        "cset_size": np.full(samples, n),
        "max_pathlens_future": rng.random((samples, n)).astype("f4"),
        "max_pathlens_past": rng.random((samples, n)).astype("f4"),
        "manifold_like": labels,
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=(5, *values.shape[1:]))
    return path


LABELS = np.arange(12) % 2


@pytest.fixture
def remote(project, object_store, tmp_path):
    """The project with a store in an object store."""
    url = object_store.upload(write(tmp_path / "own.zarr", LABELS))
    del project.config["generate"]
    project.config["data"].update(
        files=[url],
        reader="qgpipe.CausalSetReader",
        split_method="random",
        chunksize=5,
        standardize=["node_features"],
    )
    model = project.config["model"]
    model["encoder_kwargs"]["layers"][0][1] = [2, 64]
    for key in [key for key in model if "graph_features" in key]:
        del model[key]
    model["downstream_tasks"][0]["kwargs"]["dims"] = [[64, 8], [8, 2]]
    project.save()
    return project


def jobs(project, *arguments):
    """The rules of a dry run, in a process with the credentials of this test."""
    done = project.snakemake("--dry-run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"^(\w+) +\d+$", done.stdout + done.stderr, re.M))


def command(project, *arguments):
    return subprocess.run(
        [Path(sys.executable).with_name("qgpipe"), *arguments],
        cwd=project.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def listed_run(project):
    """The folder of the run, from the project's folder."""
    model = next(project.folder.rglob("model.pt"))
    return model.parent.relative_to(project.folder).as_posix()


def test_a_run_on_an_object_store_is_exact_and_a_changed_object_is_noticed(
    remote, object_store, tmp_path
):
    done = remote.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    listed = json.loads((remote.folder / "results/data/dataset.json").read_text())
    assert listed["stores"][0]["path"] == "s3://sets/own.zarr"
    assert jobs(remote) == set()
    run = listed_run(remote)
    traced = command(remote, "trace", f"{run}/model.pt")
    assert re.search(r"holds +.*s3://sets/own\.zarr|s3://sets/own\.zarr", traced.stdout), traced
    assert traced.returncode == 0, traced
    crate = command(remote, "trace", f"{run}/model.pt", "--crate", "crate")
    assert crate.returncode == 0, crate
    assert "s3://sets/own.zarr" in (remote.folder / "crate/ro-crate-metadata.json").read_text()
    assert "own" not in command(remote, "clean", "run.yaml").stdout
    predicted = command(remote, "predict", run, "s3://sets/own.zarr")
    assert predicted.returncode == 0, predicted
    object_store.upload(tmp_path / "own.zarr")  # the same content
    assert jobs(remote) == set()
    object_store.upload(write(tmp_path / "own.zarr", 1 - LABELS))
    assert {"preprocess_part", "train_run"} <= jobs(remote)


def test_a_run_goes_on_when_the_server_is_back(remote, object_store, monkeypatch):
    address = object_store.url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = remote.snakemake("preprocess")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert re.search("s3://sets/own.zarr.*: the server does not answer", said)
    assert "then give the same command again" in said
    assert "Traceback" not in said
    assert not list(remote.folder.rglob("*.safetensors*"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    done = remote.snakemake("preprocess")
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_names_mistakes_in_two_lines(remote, object_store, monkeypatch):
    assert command(remote, "check", "run.yaml").returncode == 0
    remote.config["data"]["files"] = ["s3://nowhere/own.zarr"]
    remote.save()
    done = command(remote, "check", "run.yaml")
    assert done.returncode != 0
    assert "s3://nowhere/own.zarr: there is no such bucket" in done.stderr + done.stdout
    assert len((done.stderr + done.stdout).strip().splitlines()) <= 2


READER = """
import torch
from torch_geometric.data import Data

import zarr


def read(store, idx, float_dtype, int_dtype, validate):
    group = zarr.open_group(store.root, mode="r")
    relations = torch.tensor(store["adjacency_matrix"][idx].T, dtype=float_dtype)
    return Data(
        x=torch.tensor(group["max_pathlens_future"][idx])[:, None].repeat(1, 2),
        edge_index=relations.nonzero().T,
        y=torch.tensor(int(store["manifold_like"][idx]), dtype=int_dtype),
    )
"""


def test_a_reader_of_ones_own_reads_an_object_store(remote):
    (remote.folder / "reading.py").write_text(READER)
    remote.config["data"].update(reader="!pyobject reading.read", n_processes=2)
    remote.save()
    done = remote.snakemake("preprocess")
    assert done.returncode == 0, done.stdout + done.stderr
