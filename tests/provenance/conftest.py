"""A small chain of artifacts with their records, made without a workflow."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import identity, observe
from qgpipe.provenance.record import Job, recorded


def contents(store: Path) -> tuple[Path, str]:
    """A store with the name of what it holds, as planning gives it."""
    return store, identity(observe(open_store(store)))


@pytest.fixture
def store(tmp_path) -> Path:
    """A stacked store of six chains of three elements."""
    path = tmp_path / "own.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    chain = np.tril(np.ones((3, 3), "u1"), -1)
    group.create_array("adjacency_matrix", data=np.stack([chain] * 6), chunks=(2, 3, 3))
    group.create_array("cset_type", data=np.arange(6) % 2, chunks=(2,))
    return path


@pytest.fixture
def chain(tmp_path, store, monkeypatch) -> Path:
    """The working directory: a list made from the store, and a result made from the list."""
    monkeypatch.chdir(tmp_path)
    table, result = Path("results/data/table.json"), Path("results/run/result.txt")
    for file in (table, result):
        file.parent.mkdir(parents=True)
    with recorded(Job("preprocess", [table], [], {"lr": 1}, contents(Path("own.zarr")))):
        table.write_text("[1, 2]")
    with recorded(Job("split", [result], [table], {"x": [1, float("inf")], 2: None})):
        result.write_text("3")
    return tmp_path
