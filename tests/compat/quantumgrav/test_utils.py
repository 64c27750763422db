import numpy as np
import pytest
import torch
import zarr

import qgpipe.compat.quantumgrav as QG


def test_values_at_a_path():
    config = {"a": [{"b": 1}]}
    assert QG.get_at_path(config, ["a", 0, "b"]) == 1
    assert QG.get_at_path(config, ["a", 0, "c"], default=2) == 2
    QG.assign_at_path(config, ["a", 0, "b"], {"x": 3})
    assert config == {"a": [{"b": {"x": 3}}]}
    for function in (QG.get_at_path, lambda c, p: QG.assign_at_path(c, p, 1)):
        with pytest.raises(KeyError):
            function(config, ["nothing", "b"])


@pytest.mark.parametrize("name", ["torch.nn.Nothing", "nowhere.Thing", "torch"])
def test_objects_by_name(name):
    assert QG.import_and_get("torch.nn.ReLU") is torch.nn.ReLU
    with pytest.raises(KeyError):
        QG.import_and_get(name)


def test_a_store_as_nested_dicts(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    inner = group.create_group("outer").create_group("inner")
    inner.create_array("values", data=np.arange(6).reshape(2, 3))
    group.create_array("one", data=np.array([1.5]))
    found = QG.zarr_file_to_dict(tmp_path / "a.zarr")
    assert found["outer"]["inner"]["values"].tolist() == [[0, 1, 2], [3, 4, 5]]
    target = {"outer": {"kept": 1}}
    QG.zarr_group_to_dict(group, target)
    assert target["outer"]["kept"] == 1 and target["one"].tolist() == [1.5]
