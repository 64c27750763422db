"""Targets that have a value, or a row, for each element."""

import numpy as np
import pytest
import torch
import zarr

from qgpipe import CausalSetReader
from qgpipe.data.graphs.batch import to_batch
from qgpipe.data.layouts.registry import open_store
from qgpipe.errors import DataError

SIZES = np.array([3, 1, 2])
CURVATURE = [[0.5, 1.5, -2.0], [3.0], [4.0, 5.0]]


@pytest.fixture
def store(tmp_path):
    """Three chains, with numbers of elements and of causal sets."""
    group = zarr.open_group(tmp_path / "data.zarr", mode="w")
    relations = np.tril(np.ones((3, 3)), -1)[None].repeat(3, axis=0)
    curvature = np.zeros((3, 3), "f4")
    for row, values in zip(curvature, CURVATURE, strict=True):
        row[: len(values)] = values
    arrays = {
        "adjacency_matrix": relations,
        "cset_size": SIZES,
        "in_degree": np.ones((3, 3), "f4"),
        "curvature": curvature,
        "layer": (np.arange(9).reshape(3, 3) % 3).astype("i8"),
        "volume": np.ones(3, "f4"),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values)
    return tmp_path / "data.zarr"


@pytest.fixture
def groups(tmp_path):
    """The same with a group for each causal set."""
    root = zarr.open_group(tmp_path / "groups.zarr", mode="w")
    for i, (n, values) in enumerate(zip(SIZES, CURVATURE, strict=True)):
        group = root.create_group(f"cset_{i + 1}")
        group.create_array("adjacency_matrix", data=np.tril(np.ones((n, n)), -1))
        group.create_array("in_degree", data=np.ones(n, "f4"))
        group.create_array("curvature", data=np.array(values, "f4"))
    return tmp_path / "groups.zarr"


def read(path, **names):
    reader = CausalSetReader(node_features=["in_degree"], **names)
    opened = open_store(path)
    return reader.read(opened, 0, opened.num_samples)


@pytest.mark.parametrize("layout", ["store", "groups"])
def test_a_target_of_elements_has_a_value_for_each(layout, request):
    packed = read(request.getfixturevalue(layout), target="curvature")
    batch = to_batch(packed, np.arange(3), "edges")
    assert batch.y.tolist() == [value for values in CURVATURE for value in values]
    assert packed.attributes["y"].kind == "node"


def test_several_targets_of_elements_have_a_row_for_each(store):
    y = read(store, target=["curvature", "layer"]).attributes["y"].values
    assert y.shape == (6, 2) and y.dtype == np.float32
    assert y[:, 1].tolist() == [0, 1, 2, 0, 0, 1]


def test_integers_of_elements_are_classes(store):
    packed = read(store, target="layer", class_names=["a", "b", "c"])
    assert packed.attributes["y"].values.dtype == np.int64
    with pytest.raises(DataError, match="class 2 has no name"):
        read(store, target="layer", class_names=["a", "b"])


def test_a_target_of_causal_sets_and_one_of_elements_do_not_go_together(store):
    with pytest.raises(DataError) as caught:
        read(store, target=["volume", "curvature"])
    assert "it has a value for each element, 'volume' one for each causal set" in str(caught.value)


def test_a_value_that_is_not_finite_is_found(store):
    group = zarr.open_group(store)
    group["curvature"][2, 1] = np.nan
    with pytest.raises(DataError, match=r"sample 2.*not finite"):
        read(store, target="curvature")
    group["curvature"][2, 1] = 0.0
    group["curvature"][2, 2] = np.nan  # beyond the size
    assert torch.from_numpy(read(store, target="curvature").attributes["y"].values).isfinite().all()
