"""Chunks that would run code when they are decoded: zarr knows a codec that unpickles."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from qgpipe.data.preprocessing.part import preprocess_part
from qgpipe.data.raw.chunk_files import chunk_format
from qgpipe.errors import DataError

PICKLE = {"id": "pickle", "protocol": 5}


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, trap):
        self.trap = trap

    def __reduce__(self):
        return os.mkdir, (str(self.trap),)


def stacked_reader(store, idx, *_):
    return Data(x=torch.as_tensor(np.asarray(store["max_pathlens_future"][idx]))[:, None])


def group_reader(store, idx, *_):
    return Data(x=torch.as_tensor(store[f"cset_{idx + 1}"]["max_pathlens_future"][:])[:, None])


OURS = {
    "type": "qgpipe.CausalSetReader",
    "kwargs": {"node_features": ["max_pathlens_future"], "target": "manifold_like"},
}


@pytest.mark.parametrize("codec", [{"compressor": PICKLE}, {"filters": [PICKLE]}], ids=str)
@pytest.mark.parametrize(
    ("layout", "array", "reader"),
    [
        ("stacked", "max_pathlens_future", OURS),
        ("stacked", "adjacency_matrix", OURS),
        ("stacked", "max_pathlens_future", stacked_reader),
        ("groups", "cset_1/max_pathlens_future", OURS),
        ("groups", "cset_1/adj", OURS),
        ("groups", "cset_1/max_pathlens_future", group_reader),
    ],
)
def test_they_are_refused_and_not_run(
    write_stacked, write_groups, causal_sets, tmp_path, layout, array, reader, codec
):
    store = {"stacked": write_stacked, "groups": write_groups}[layout](causal_sets)
    trap, folder = tmp_path / "trap", store / array
    metadata = json.loads((folder / ".zarray").read_text())
    metadata |= {"compressor": None, "filters": None, **codec}
    (folder / ".zarray").write_text(json.dumps(metadata))
    for chunk in folder.glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(Planted(trap)))
    defaults = {
        "pre_filter": None, "pre_transform": None, "validate_data": True, "validate_order": False,
        "float_type": "torch.float32", "int_type": "torch.int64", "on_bad_sample": "error",
        "compress": False, "files": [str(store)],
    }  # fmt: skip
    config = {"data": {**defaults, "reader": reader}, "training": {}}
    with pytest.raises(DataError):
        preprocess_part(config, store, "a", 0, 5, tmp_path / "a.safetensors")
    assert not trap.exists()
    assert not (tmp_path / "a.safetensors").exists()


def test_our_own_decoding_knows_no_codec_that_unpickles():
    metadata = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "<f4", "order": "C",
        "fill_value": 0, "filters": None, "compressor": PICKLE,
    }  # fmt: skip
    assert chunk_format(json.dumps(metadata).encode(), 2) is None
