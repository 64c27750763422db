import functools

import numpy as np
import pytest
import torch
import yaml

import qgpipe.compat.quantumgrav as QG
from qgpipe.compat.quantumgrav.config_utils import convert_to_pyobject_tags, range_inclusive

TEXT = """
name: run
model:
  width: !sweep {values: [8, 16]}
  depth: !coupled-sweep {target: model.width, values: [1, 2]}
  layers:
    - size: !sweep {values: [3, 4, 5]}
  again: !coupled-sweep {target: "model.layers[0].size", values: [a, b, c]}
  type: !pyobject QuantumGrav.models.GNNBlock
training:
  epochs: !range {start: 1, stop: 7, step: 3}
  rate: !random_uniform {start: 1e-4, stop: 1.0, log: true, size: 4}
  same: !reference {target: model.layers.0.size}
"""


def load(text):
    return yaml.load(text, Loader=QG.get_loader())


def test_tags_are_loaded_as_there():
    model, training = (load(TEXT)[name] for name in ("model", "training"))
    assert model["width"] == {"type": "sweep", "values": [8, 16]}
    target = ["model", "layers", 0, "size"]
    assert model["again"] == {"type": "coupled-sweep", "target": target, "values": ["a", "b", "c"]}
    assert model["type"] is QG.models.GNNBlock
    assert list(training["epochs"]["values"]) == [1, 4, 7]
    assert training["epochs"]["tune_values"] == (1, 7, 3)
    assert training["rate"]["tune_values"] == (1e-4, 1.0, True)
    assert len(training["rate"]["values"]) == 4
    assert all(1e-4 <= value <= 1 for value in training["rate"]["values"])
    assert training["same"] == {"type": "reference", "target": target}


@pytest.mark.parametrize("name", ["QuantumGrav.Nothing", "nowhere.Thing"])
def test_a_wrong_name_is_a_value_error(name):
    with pytest.raises(ValueError, match=name.partition(".")[0]):
        load(f"a: !pyobject {name}")


def test_runs_are_all_combinations_in_the_order_of_the_file():
    runs = QG.ConfigHandler(load(TEXT), name_addition="x").run_configs
    found = [
        (r["model"]["width"], r["model"]["depth"], r["model"]["layers"][0]["size"]) for r in runs
    ]
    assert found == [(w, d, s) for w, d in ((8, 1), (16, 2)) for s in (3, 4, 5)]
    assert [run["name"] for run in runs] == [f"run_x_{i}" for i in range(6)]
    assert [run["model"]["again"] for run in runs] == ["a", "b", "c"] * 2


def test_runs_are_numbered_in_the_name_of_the_model_if_it_has_one():
    config = {"model": {"name": "gin"}, "training": {}}
    assert QG.ConfigHandler(config).run_configs[0]["model"]["name"] == "gin_run_0"


def test_a_coupled_sweep_of_another_length_is_refused():
    with pytest.raises(ValueError, match="3 values, but"):
        QG.ConfigHandler(load(TEXT.replace("[1, 2]", "[1, 2, 3]")))


@pytest.mark.parametrize(
    ("limits", "values"), [((1, 6, 2), [1, 3, 5]), ((0.5, 0.1, -0.2), [0.5, 0.3, 0.1])]
)
def test_a_range_includes_its_end(limits, values):
    assert np.allclose(range_inclusive(*limits), values)


def test_objects_become_text_or_tags_that_can_be_loaded():
    config = {"block": QG.models.GNNBlock, "join": functools.partial(torch.sum, dim=0), "n": (1, 2)}
    text = convert_to_pyobject_tags(config)
    assert text["block"] == "!pyobject QuantumGrav.models.gnn_block.GNNBlock"
    written = yaml.safe_dump(convert_to_pyobject_tags({"a": torch.nn.ReLU}, emit_yaml_tags=True))
    assert load(written) == {"a": torch.nn.ReLU}
