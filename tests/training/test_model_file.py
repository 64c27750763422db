import pytest
import torch
from torch import nn

from qgpipe.errors import ConfigError, TrainingError
from qgpipe.models import load_model
from qgpipe.training.model_file import FACTS, read_facts, save_trained_model

KNOWN = {"epoch": 3, "score": 0.5, "class_names": ["a", "b"]}
FULL = {**dict.fromkeys(FACTS), **KNOWN}


def section(activation=nn.ReLU):
    return {"type": nn.Sequential, "args": [{"type": nn.Linear, "args": [2, 2]}, activation]}


@pytest.fixture
def path(tmp_path):
    weights = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).state_dict()
    save_trained_model(tmp_path / "model.pt", section(), weights, FULL)
    return tmp_path / "model.pt"


def test_it_holds_names_and_tensors_and_no_code(path):
    content = torch.load(path, weights_only=True)
    assert content["model"] == {
        "type": "!pyobject torch.nn.Sequential",
        "args": [
            {"type": "!pyobject torch.nn.Linear", "args": [2, 2]},
            "!pyobject torch.nn.ReLU",
        ],
    }


def test_facts_are_kept_beside_the_model(path):
    assert read_facts(path) == FULL


def test_the_model_is_built_again_with_its_weights(tmp_path):
    weights = nn.Linear(2, 3).state_dict()
    save_trained_model(tmp_path / "a.pt", {"type": nn.Linear, "args": [2, 3]}, weights, FULL)
    loaded = load_model(tmp_path / "a.pt").state_dict()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_a_model_that_no_other_process_could_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.args\[1\]: .* has no importable name"):
        save_trained_model(tmp_path / "a.pt", section(lambda x: x), {}, FULL)
    assert not (tmp_path / "a.pt").exists()


def test_a_checkpoint_is_no_model_file(tmp_path):
    torch.save({"format": "other"}, tmp_path / "a.pt")
    with pytest.raises(TrainingError, match=r"a\.pt is not a model file of format 1"):
        read_facts(tmp_path / "a.pt")
