"""Raw stores and configurations for tests of what the seed document has to mean."""

from __future__ import annotations

import copy
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from qgpipe.config.dump import to_yaml

ROOT = Path(__file__).parents[2]
MODULE = Path(__file__).with_name("mymodule.py")
SEED_DOCUMENT = ROOT.parent / "shared" / "seed"
DENSITIES = (0.1, 0.35, 0.9)  # of the links of the three kinds of causal set


def write_store(path: Path, samples: int = 36, seed: int = 0, nmax: int = 9) -> Path:
    """A stacked store, zarr 2, of random orders of 4 to ``nmax`` elements in three kinds.

    Each adjacency matrix is transposed and padded with zeros, as Julia's writers leave it.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, nmax + 1, samples)
    kinds = np.arange(samples) % 3
    adjacency = np.zeros((samples, nmax, nmax), "f4")
    future = np.zeros((samples, nmax), "f4")
    for i, (n, kind) in enumerate(zip(sizes, kinds, strict=True)):
        relations = np.triu(rng.random((n, n)) < DENSITIES[kind], 1)
        adjacency[i, :n, :n] = relations.T
        for element in reversed(range(n)):  # the longest chain ahead of each element
            ahead = future[i, :n][relations[element]]
            future[i, element] = ahead.max() + 1 if len(ahead) else 0
    group = zarr.open_group(path, mode="w", zarr_format=2)
    arrays = {
        "adjacency_matrix": adjacency,
        "cset_size": sizes,
        "max_pathlens_future": future,
        "manifold_like": kinds > 0,
        "cset_type": kinds,
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=(10, *values.shape[1:]))
    return path


CONFIG = {
    "name": "notes",
    "data": {
        "files": ["data.zarr"],
        "reader": "mymodule.data_reader",
        "split": [0.5, 0.25, 0.25],
    },
    "model": {
        "encoder_type": "qgpipe.models.Sequential",
        "encoder_kwargs": {
            "layers": [
                ["torch_geometric.nn.SAGEConv", [12, 8], {"aggr": "mean"}, "x, edge_index"],
                ["torch.nn.ReLU", [], {}, "x"],
            ],
        },
        "pooling_layers": [["torch_geometric.nn.global_mean_pool"]],
        "aggregate_pooling_type": "torch.cat",
        "downstream_tasks": [["torch.nn.Linear", [8, 3]]],
    },
    "criterion": "mymodule.compute_loss",
    "training": {"seed": 3, "device": "cpu", "num_epochs": 2, "batch_size": 8},
    "validation": {},
}


def merged(value: dict, changes: dict) -> dict:
    """``value`` with ``changes`` at any depth but within kwargs; ``None`` takes a key away."""
    result = dict(value)
    for key, change in changes.items():
        if change is None:
            result.pop(key, None)
        elif (
            isinstance(change, dict) and isinstance(result.get(key), dict) and key[-6:] != "kwargs"
        ):
            result[key] = merged(result[key], change)
        else:
            result[key] = change
    return result


@dataclass
class Folder:
    """A folder with ``data.zarr`` and ``mymodule.py``, in which things are run."""

    path: Path

    def save(self, config: dict | str, name: str = "run.yaml") -> Path:
        file = self.path / name
        file.write_text(config if isinstance(config, str) else to_yaml(config))
        return file

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The workflow of ``run.yaml``, as a user starts it."""
        return self._run(
            "-m", "snakemake", *arguments,
            "--snakefile", str(ROOT / "Snakefile"),
            "--cores", "2", "--nocolor", "--configfile", "run.yaml",
        )  # fmt: skip

    def python(self, script: str) -> subprocess.CompletedProcess[str]:
        """A script of the user's, in a process of its own."""
        (self.path / "script.py").write_text(script)
        return self._run("script.py")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "QGPIPE_PATH"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=300,
            env={**environment, "OMP_NUM_THREADS": "1"},
            check=False,
        )


@pytest.fixture(scope="session")
def raw_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 36 causal sets, to be copied."""
    return write_store(tmp_path_factory.mktemp("raw") / "data.zarr")


@pytest.fixture(scope="session")
def make_folder(raw_store: Path) -> Callable[[Path], Folder]:
    """Put a store and the user's module into a folder."""

    def make(path: Path) -> Folder:
        shutil.copytree(raw_store, path / "data.zarr")
        shutil.copy(MODULE, path)
        return Folder(path)

    return make


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_folder: Callable[[Path], Folder]
) -> Iterator[Folder]:
    """The working directory, with a store and the user's module."""
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield make_folder(tmp_path)
    sys.modules.pop("mymodule", None)


@pytest.fixture
def configured(folder: Folder) -> Callable[..., dict[str, Any]]:
    """The small configuration with changes, given by keyword and at any depth."""
    return lambda **changes: merged(copy.deepcopy(CONFIG), changes)


@pytest.fixture(scope="session")
def seed_document() -> str:
    """The text of the seed document; skips where it does not lie beside the project."""
    files = sorted(SEED_DOCUMENT.glob("*.txt"))
    if not files:
        pytest.skip(f"the seed document is not in {SEED_DOCUMENT}")
    return files[0].read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def make_store() -> Callable[..., Path]:
    """Write a stacked store: path, and optionally samples, seed and nmax."""
    return write_store
