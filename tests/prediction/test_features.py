"""Stores with other features than those of the training are refused by name."""

import re

import pytest

from qgpipe.errors import DataError
from qgpipe.prediction.features import check_arrays, check_names

TRAINED = {
    "node_features": ["a", "b"],
    "graph_features": [],
    "attributes": {
        "x": {"kind": "node", "dtype": "float32", "shape": [2]},
        "y": {"kind": "graph", "dtype": "int64", "shape": []},
        "weight": {"kind": "edge", "dtype": "float32", "shape": []},
    },
}


def with_array(**arrays):
    return {"attributes": {k: v for k, v in {**TRAINED["attributes"], **arrays}.items() if v}}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "c"], "2 node features, this store gives 2: b missing; c new"),
        (["a"], "2 node features, this store gives 1: b missing"),
        (["a", "b", "c"], "2 node features, this store gives 3: c new"),
        (["b", "a"], "2 node features, this store gives 2: the same in another order"),
    ],
)
def test_other_names(names, said):
    with pytest.raises(DataError) as caught:
        check_names("new.zarr", TRAINED, {"node_features": names})
    assert str(caught.value) == (
        f"new.zarr: the model was trained on {said}; name the arrays a, b in the reader's kwargs, "
        "in this order, or train a model for this"
    )


@pytest.mark.parametrize(
    ("array", "form", "said"),
    [
        ("x", {"kind": "node", "dtype": "float32", "shape": [3]}, "here there are 3 columns of fl"),
        ("x", {"kind": "node", "dtype": "float64", "shape": [2]}, "2 columns of float64"),
        ("weight", None, "with 1 column of float32, here there is none"),
        ("graph_features", {"kind": "graph", "dtype": "float32", "shape": [1]}, "with none, here "),
    ],
)
def test_other_arrays(array, form, said):
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        check_arrays("new.zarr", TRAINED, with_array(**{array: form}))
    assert str(caught.value).startswith(f"new.zarr, array '{array}': the model was trained with ")


def test_what_fits_passes():
    check_names("new.zarr", TRAINED, {"node_features": None})
    check_names("new.zarr", {}, {"node_features": ["z"]})
    check_arrays("new.zarr", TRAINED, with_array(y=None))
    check_arrays("new.zarr", TRAINED, with_array(more=TRAINED["attributes"]["y"]))
    check_arrays("new.zarr", {}, with_array(x=None))
