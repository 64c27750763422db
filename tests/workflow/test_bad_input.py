"""Mistakes through the command line: one or two lines, and nothing half-made."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from qgpipe.cli import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def make_store(path, samples=12, n=6):
    """A small stacked store of random relations, each sample transposed."""
    rng = np.random.default_rng(0)
    group = zarr.open_group(path, mode="w", zarr_format=2)
    relations = np.triu(rng.random((samples, n, n)) < 0.5, 1).astype("u1")
    arrays = {
        "adjacency_matrix": relations.transpose(0, 2, 1),
        "cset_size": np.full(samples, n),
        "max_pathlens_future": rng.random((samples, n)).astype("f4"),
        "max_pathlens_past": rng.random((samples, n)).astype("f4"),
        "manifold_like": np.arange(samples) % 2,
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=(5, *values.shape[1:]))
    return group


@pytest.fixture
def own_data(project):
    """The project with a store of its own instead of a generated one."""
    make_store(project.folder / "own.zarr")
    del project.config["generate"]
    project.config["data"].update(
        files=["own.zarr"],
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


def fails(project, *arguments):
    code, text = project.forked_snakemake(*arguments)
    assert code != 0
    assert "Traceback" not in text, text
    return text


def leftovers(project):
    return sorted(path.name for path in project.folder.rglob("*.tmp"))


def test_own_data_runs(own_data):
    result = own_data.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    assert own_data.rules_to_run() == {}


def test_no_such_store(own_data):
    own_data.config["data"]["files"] = ["nowhere.zarr"]
    own_data.save()
    assert "nowhere.zarr" in fails(own_data)
    assert not (own_data.folder / "results").exists()


def test_not_a_zarr_store(own_data):
    (own_data.folder / "plain").mkdir()
    own_data.config["data"]["files"] = ["plain"]
    own_data.save()
    assert "plain" in fails(own_data)


def test_a_missing_array(own_data):
    own_data.config["data"]["reader"] = {
        "type": "qgpipe.CausalSetReader",
        "kwargs": {"node_features": ["max_pathlen_futur"]},
    }
    own_data.save()
    text = fails(own_data)
    assert "max_pathlen_futur" in text
    assert "max_pathlens_future" in text


def test_sample_counts_that_disagree(own_data):
    path = own_data.folder / "own.zarr"
    shutil.rmtree(path / "manifold_like")
    zarr.open_group(path).create_array("manifold_like", data=np.zeros(7))
    text = fails(own_data)
    assert "manifold_like" in text
    assert "7" in text


def test_an_adjacency_that_is_not_square(own_data):
    path = own_data.folder / "own.zarr"
    shutil.rmtree(path / "adjacency_matrix")
    zarr.open_group(path).create_array("adjacency_matrix", data=np.zeros((12, 6, 5)))
    assert "adjacency_matrix" in fails(own_data)


def test_a_size_larger_than_the_array(own_data):
    zarr.open_group(own_data.folder / "own.zarr")["cset_size"][7] = 9
    text = fails(own_data)
    assert "sample 7" in text
    assert "cset_size" in text
    assert not list(own_data.folder.glob("results/data/parts/own-000000005*"))


def test_a_truncated_chunk(own_data):
    chunk = own_data.folder / "own.zarr/adjacency_matrix/1.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    text = fails(own_data)
    assert "adjacency_matrix" in text
    assert not list(own_data.folder.glob("results/data/parts/own-000000005*"))
    assert leftovers(own_data) == []


def test_an_unknown_class(own_data):
    own_data.config["data"]["reader"] = {
        "type": "qgpipe.CausalSetReader",
        "kwargs": {"class_names": ["only one"]},
    }
    own_data.save()
    assert "class_names" in fails(own_data)


def test_a_part_that_was_damaged_later(own_data):
    assert own_data.snakemake("split").returncode == 0
    part = own_data.folder / "results/data/parts/own-000000005.safetensors"
    stat, content = part.stat(), bytearray(part.read_bytes())
    content[-1] ^= 0xFF
    part.write_bytes(content)
    import os

    os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    text = fails(own_data)
    assert part.name in text
    assert "damaged" in text


def test_a_split_that_does_not_sum_to_one(own_data):
    own_data.config["data"]["split"] = [0.8, 0.1, 0.2]
    own_data.save()
    assert "data.split: the shares sum to 1.1" in fails(own_data)


def test_a_misspelt_key(own_data):
    own_data.config["training"]["batchsize"] = 3
    own_data.save()
    assert "run.yaml: training.batchsize: unknown key; did you mean 'batch_size'?" in fails(
        own_data
    )


def test_a_failing_reader_is_one_line_on_the_terminal_and_a_traceback_in_the_log(own_data):
    (own_data.folder / "mymodule.py").write_text(
        "def reader(store, idx, float_dtype, int_dtype, validate):\n    return 1 / idx\n"
    )
    own_data.config["data"].update(reader="!pyobject mymodule.reader", chunksize=12)
    own_data.save()
    text = fails(own_data)
    assert "own.zarr, sample 0: data.reader failed: ZeroDivisionError" in text
    log = (own_data.folder / "results/data/logs/preprocess/own-000000000.log").read_text()
    assert "return 1 / idx" in log
    assert not (own_data.folder / "results/data/parts/own-000000000.safetensors").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
def test_a_missing_gpu_is_told_before_the_first_job(project):
    project.config["training"]["device"] = "cuda"
    project.save()
    assert "asks for CUDA, and torch sees no CUDA device here" in fails(project)
    assert not (project.folder / "results" / "data").exists()


def test_a_key_that_is_given_twice_is_told(project):
    with (project.folder / "run.yaml").open("a") as file:
        file.write("name: other\n")
    assert "key 'name' is given twice ('name: other'); remove one" in fails(project, "--dry-run")


BROKEN = {
    "indented too deep": "training:\n  seed: 1\n    device: cpu\n",
    "a tab": "training:\n\tseed: 1\n",
    "twice": "name: x\nname: y\n",
    "no such tag": "criterion: !pyobj a.b\n",
    "no mapping": "- 1\n- 2\n",
    "nothing": "# nothing\n",
    "a date": "name: 2020-01-01\n",
    "not closed": "data:\n  files: [a.zarr\nname: x\n",
    "a misspelt key": "trainin: {}\n",
}


@pytest.mark.parametrize(
    ("name", "files"),
    [
        *((name, ["broken.yaml"]) for name in BROKEN),
        ("a tab", ["run.yaml", "broken.yaml"]),
        ("twice", ["run.yaml", "broken.yaml"]),
        ("a misspelt key", ["run.yaml", "broken.yaml"]),
    ],
)
def test_snakemake_says_what_the_check_says(project, name, files, monkeypatch, capsys):
    monkeypatch.chdir(project.folder)
    (project.folder / "broken.yaml").write_text(BROKEN[name])
    assert main(["check", *files]) == 1
    checked = capsys.readouterr().err.removeprefix("qgpipe check: ").strip()
    assert "broken.yaml" in checked
    result = subprocess.run(
        [
            sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
            "--cores", "1", "--nocolor", "--dry-run", "--configfile", *files,
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    said = (result.stdout + result.stderr).splitlines()
    assert [line for line in said if not line.startswith("Using workflow specific")] == [checked]
    assert result.returncode == 1
