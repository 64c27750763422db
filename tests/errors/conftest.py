"""A folder with a small run that works, for cases to break."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

HERE = Path(__file__).parent


def write_store(path: Path, samples: int = 20, nmax: int = 6) -> None:
    """A stacked store of random orders of 3 to ``nmax`` elements in three classes."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, nmax + 1, samples)
    adjacency = np.zeros((samples, nmax, nmax), "u1")
    for matrix, n in zip(adjacency, sizes, strict=True):
        matrix[:n, :n] = np.triu(rng.random((n, n)) < 0.6, 1).T
    group = zarr.open_group(path, mode="w", zarr_format=2)
    arrays = {
        "adjacency_matrix": adjacency,
        "cset_size": sizes,
        "in_degree": adjacency.sum(2).astype("f4"),
        "out_degree": adjacency.sum(1).astype("f4"),
        "cset_type": np.arange(samples) % 3,
        "dimension": rng.random(samples),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=(5, *values.shape[1:]))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store, module and configuration, to be copied."""
    path = tmp_path_factory.mktemp("template")
    write_store(path / "data.zarr")
    for name in ("mymodule.py", "run.yaml"):
        shutil.copy(HERE / name, path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path) -> Iterator[Path]:
    """The working directory, with a run that works."""
    path = tmp_path / "run"
    shutil.copytree(template, path)
    monkeypatch.chdir(path)
    importlib.invalidate_caches()
    yield path
    for name in ("mymodule", "broken"):
        sys.modules.pop(name, None)
