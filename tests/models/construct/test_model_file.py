import os
import pickle

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from qgpipe.config.trust import UntrustedName
from qgpipe.errors import ConfigError, DataError
from qgpipe.models import (
    GNNBlock,
    GNNModel,
    GPSTransformer,
    LinearSequential,
    Sequential,
    SkipConnection,
    build_model,
    call_model,
    load_model,
    read_model_file,
    save_model,
)
from qgpipe.system.files import sha256

MODELS = [
    GNNBlock(4, 6, gnn_layer_type=pyg.SAGEConv, normalizer_type=nn.BatchNorm1d, norm_args=[6]),
    Sequential([[pyg.SAGEConv, [4, 6], {}, "x, edge_index"], [nn.ReLU]]),
    LinearSequential([[4, 6], [6, 2]], [nn.ReLU, torch.tanh]),
    SkipConnection(4, 6),
    GPSTransformer(4, 3, 8, 2, 1, norm=pyg.GraphNorm),
    GNNModel(nn.Identity, [[nn.Identity]], pooling_layers=[pyg.global_add_pool], active_tasks=[0]),
]


MKDIR = 'x: __import__("os").mkdir("trap")'


class Planted:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_saved_model_is_loaded_with_its_weights(tmp_path, model):
    path = tmp_path / "model.pt"
    model.save(path)
    loaded = type(model).load(path)

    assert type(loaded) is type(model)
    assert list(loaded.state_dict()) == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_a_loaded_model_computes_the_same(tmp_path, manual_section, causal_batch):
    batch = causal_batch(12, graph_features=4)
    model = build_model(manual_section)
    model.save(tmp_path / "model.pt")

    for loaded in (GNNModel.load(tmp_path / "model.pt"), load_model(tmp_path / "model.pt")):
        assert torch.equal(call_model(loaded, batch)[0], call_model(model, batch)[0])


def test_the_bytes_of_a_file_depend_on_the_model_alone(tmp_path):
    MODELS[0].save(tmp_path / "a.pt")
    MODELS[0].save(tmp_path / "b.pt")

    assert sha256(tmp_path / "a.pt") == sha256(tmp_path / "b.pt")


def test_a_file_holds_nothing_but_plain_values_and_tensors(tmp_path):
    MODELS[1].save(tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)

    assert content["model"]["type"] == "!pyobject qgpipe.Sequential"
    assert content["model"]["kwargs"]["layers"] == [
        ["!pyobject torch_geometric.nn.SAGEConv", [4, 6], {}, "x, edge_index"],
        ["!pyobject torch.nn.ReLU"],
    ]


def test_the_model_of_a_users_class_is_loaded_if_it_is_trusted(tmp_path, user_module, caplog):
    user_module(
        "my_stored_model",
        "import torch\n"
        "class Scale(torch.nn.Module):\n"
        "    def __init__(self, size, act):\n"
        "        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.ones(size))\n"
        "        self.act = act\n"
        "    def forward(self, x):\n"
        "        return self.act(self.weight * x)\n",
    )
    section = {
        "type": "!pyobject my_stored_model.Scale",
        "args": [3],
        "kwargs": {"act": "!pyobject torch.relu"},
    }
    model = build_model(section, trust=True)
    nn.init.constant_(model.weight, -2.0)
    save_model(tmp_path / "model.pt", section, model.state_dict())

    with pytest.raises(UntrustedName, match=r"would import my_stored_model\.Scale; if you trust"):
        load_model(tmp_path / "model.pt")
    loaded = load_model(tmp_path / "model.pt", trust=True)
    assert caplog.messages == [f"{tmp_path / 'model.pt'} imports my_stored_model.Scale"]
    assert loaded(torch.tensor([1.0, -1.0, 0.0])).tolist() == [0.0, 2.0, 0.0]


def test_a_configuration_of_ones_own_is_trusted_although_it_leaves_sizes_to_the_data(
    tmp_path, user_module
):
    user_module("my_sized_model", "from torch.nn import Linear\nclass Mine(Linear):\n    pass\n")
    written = {"type": "!pyobject my_sized_model.Mine", "args": [3, 2], "kwargs": {}}
    save_model(tmp_path / "model.pt", written, build_model(written, trust=True).state_dict())
    for args in ([3, 2], [None, 2], [None, None]):
        load_model(tmp_path / "model.pt", section={**written, "args": args})
    for args in ([3, 1], [3], [3, None, None]):
        with pytest.raises(UntrustedName):
            load_model(tmp_path / "model.pt", section={**written, "args": args})


def test_a_planted_pickle_is_refused_and_not_run(tmp_path):
    trap, path = tmp_path / "trap", tmp_path / "model.pt"
    torch.save({"format": 1, "model": Planted(trap), "state_dict": {}}, path)

    for load in (GNNModel.load, load_model):
        with pytest.raises(DataError) as error:
            load(path)
        assert str(error.value) == (
            f"{path} holds code, which is never run; "
            "find out where it comes from: no model file of ours holds any"
        )
    assert not trap.exists()


def test_a_planted_plain_pickle_is_refused_and_not_run(tmp_path):
    trap, path = tmp_path / "trap", tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Planted(trap), protocol=2))

    with pytest.raises(DataError, match="holds code, which is never run"):
        load_model(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    "section",
    [
        {"type": "!pyobject os.mkdir", "args": ["trap"]},
        {"type": "!pyobject subprocess.Popen", "args": [["mkdir", "trap"]]},
        {"type": "!pyobject torch.nn.Sequential", "args": [{"type": "!pyobject os.mkdir"}]},
        {"type": "!pyobject builtins.getattr", "args": ["!pyobject os", "mkdir"]},
        {"type": "!pyobject torch.nn.functional.os.mkdir", "args": ["trap"]},
        {"type": {"!partial": {"type": "os.mkdir", "args": ["trap"], "kwargs": {}}}},
        {
            "type": "!pyobject torch_geometric.nn.Sequential",
            "args": [MKDIR, [["!pyobject torch.nn.Identity", "x -> x"]]],
        },
        {"encoder_type": "os.mkdir", "downstream_tasks": [["torch.nn.Identity"]]},
        {
            "encoder_type": "qgpipe.models.Sequential",
            "encoder_kwargs": {"layers": [["os.mkdir", ["trap"], {}, "x"]]},
            "downstream_tasks": [["torch.nn.Identity"]],
        },
        {
            "encoder_type": "qgpipe.models.GNNBlock",
            "encoder_kwargs": {"in_dim": 1, "out_dim": 1, "activation_type": "os.mkdir"},
            "downstream_tasks": [["torch.nn.Identity"]],
        },
    ],
)
def test_a_planted_type_is_not_called(tmp_path, monkeypatch, section):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "model": section, "state_dict": {}}, "model.pt")

    with pytest.raises(UntrustedName, match="was not made here, and would import"):
        load_model("model.pt")
    assert not (tmp_path / "trap").exists()


def test_a_truncated_file_is_reported_by_name(tmp_path):
    path = tmp_path / "model.pt"
    MODELS[0].save(path)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(DataError, match=r"model\.pt is damaged"):
        GNNBlock.load(path)


def test_a_changed_weight_is_noticed(tmp_path):
    path = tmp_path / "model.pt"
    MODELS[0].save(path)
    data = bytearray(path.read_bytes())
    data[data.index(MODELS[0].state_dict()["conv.lin_l.weight"].numpy().tobytes())] ^= 1
    path.write_bytes(data)

    with pytest.raises(DataError, match=r"model\.pt is damaged \(checksum of .*data/"):
        GNNBlock.load(path)


def test_facts_are_kept_beside_the_model(tmp_path):
    section = {"type": nn.Linear, "args": [2, 2]}
    weights = nn.Linear(2, 2).state_dict()
    save_model(tmp_path / "a.pt", section, weights, epoch=3, class_names=["a", "b"])
    content = read_model_file(tmp_path / "a.pt")

    assert content["epoch"] == 3
    assert content["class_names"] == ["a", "b"]
    assert torch.equal(load_model(tmp_path / "a.pt").weight, weights["weight"])


def test_a_missing_file_is_reported_by_name(tmp_path):
    with pytest.raises(DataError, match=r"no such file: .*model\.pt"):
        load_model(tmp_path / "model.pt")


def test_a_file_of_other_content_is_no_model_file(tmp_path):
    torch.save({"weights": torch.ones(1)}, tmp_path / "model.pt")

    with pytest.raises(DataError, match="is not a model file"):
        load_model(tmp_path / "model.pt")


def test_a_file_of_a_later_format_is_refused(tmp_path):
    torch.save({"format": 3, "model": {}, "state_dict": {}}, tmp_path / "model.pt")

    with pytest.raises(DataError, match="is a model file of format 3, this version reads 1 and 2"):
        load_model(tmp_path / "model.pt")


def test_a_file_of_another_class_is_refused(tmp_path):
    MODELS[0].save(tmp_path / "model.pt")

    with pytest.raises(DataError, match=r"holds !pyobject qgpipe.GNNBlock, not a GNNModel; use"):
        GNNModel.load(tmp_path / "model.pt")


def test_weights_that_do_not_fit_are_reported_in_one_line(tmp_path):
    path = tmp_path / "model.pt"
    section = {"type": SkipConnection, "kwargs": {"in_channels": 4, "out_channels": 6}}
    save_model(path, section, SkipConnection(4, 7).state_dict())

    with pytest.raises(DataError) as error:
        load_model(path)
    assert "size mismatch for proj.weight" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_object_without_a_name_is_not_saved_and_leaves_no_file(tmp_path):
    model = LinearSequential([[4, 6]], [lambda x: x])

    with pytest.raises(ConfigError, match=r"model.kwargs.activations\[0\].*no importable name"):
        model.save(tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_saved_model_is_loaded_to_a_device(tmp_path):
    MODELS[3].save(tmp_path / "model.pt")

    assert SkipConnection.load(tmp_path / "model.pt", device="meta").proj.weight.is_meta
