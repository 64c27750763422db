"""Which stores a model is applied to, and what their graphs are called."""

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.errors import ConfigError, DataError
from qgpipe.prediction import plan as module
from qgpipe.prediction.plan import plan_predictions, reader_for

READER = {"type": "qgpipe.CausalSetReader"}


@pytest.fixture(autouse=True)
def _stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one/a.zarr", "two/a.zarr", "bare.zarr"):
        group = zarr.open_group(name, mode="w", zarr_format=2)
        group.create_array("adjacency_matrix", data=np.zeros((3, 4, 4)))
        for feature in ("in_degree", "out_degree"):
            group.create_array(feature, data=np.zeros((3, 4)))
        if name != "bare.zarr":
            group.create_array("manifold_like", data=np.zeros(3, int))


def configuration(*files, data=("one/a.zarr",), reader=READER, **options):
    top = {
        "files": list(data), "output": "out", "reader": reader, "chunksize": 2, "transform": None
    }  # fmt: skip
    predict = {"files": list(files), "embeddings": False, "format": "csv", **options}
    return {
        "name": "run", "training": {"path": "runs"}, "data": top, "apply_model": None,
        "predict": predict,
    }  # fmt: skip


def test_a_store_of_the_run_keeps_its_name_and_others_get_one_that_is_free():
    stores = plan_predictions(configuration("bare.zarr", "two/a.zarr", "one/../one/a.zarr"))
    assert {name: str(store.path) for name, store in stores.items()} == {
        "bare": "bare.zarr",
        "a-2": "two/a.zarr",
        "a": "one/../one/a.zarr",
    }
    assert [store.num_samples for store in stores.values()] == [3, 3, 3]


def test_a_store_that_is_named_twice_is_predicted_once():
    assert list(plan_predictions(configuration("bare.zarr", "bare.zarr"))) == ["bare"]


def test_without_the_section_there_is_nothing():
    assert plan_predictions({**configuration(), "predict": None}) == {}


def test_the_target_is_read_only_if_it_is_there():
    named = {**READER, "kwargs": {"target": "manifold_like", "class_names": ["n", "y"]}}
    config = configuration(reader=named)
    labelled, bare = open_store("one/a.zarr"), open_store("bare.zarr")
    assert reader_for(config, labelled)["kwargs"]["target"] == ["manifold_like"]
    assert reader_for(config, bare)["kwargs"] == {"target": []}
    assert reader_for(configuration(), labelled)["kwargs"]["target"] == ["manifold_like"]
    assert reader_for(configuration(), labelled, "cset_type")["kwargs"]["target"] == []
    assert reader_for(configuration(reader="mymodule.read"), bare) == "mymodule.read"


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match=r"nowhere.zarr: no such store; check predict\.files"):
        plan_predictions(configuration("nowhere.zarr"))
    named = {**READER, "kwargs": {"node_features": ["in_degree", "out_degre"]}}
    expected = "bare.zarr: there is no array 'out_degre', which the model is to be given; did you"
    with pytest.raises(DataError, match=expected):
        plan_predictions(configuration("bare.zarr", reader=named))


def test_parquet_needs_pyarrow(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    plan_predictions(configuration("bare.zarr"))
    with pytest.raises(ConfigError, match=r"predict\.format: .* pip install 'qgpipe\[parquet\]'"):
        plan_predictions(configuration("bare.zarr", format="parquet"))
