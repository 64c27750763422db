import copy

import pytest
import torch

from qgpipe.config import load_config
from qgpipe.training.model_sizes import num_outputs, with_sizes
from qgpipe.training.run import train_run


@pytest.mark.parametrize(
    ("targets", "outputs"),
    [
        (torch.tensor([0, 2, 1, -100]), 3),
        (torch.tensor([0, 0]), 2),
        (torch.tensor([True, False]), 2),
        (torch.tensor([0.0, 1.0]), 1),
        (torch.zeros(5, 4), 4),
        (torch.tensor([-1, 1]), None),
        (torch.zeros(5, 4, dtype=torch.int64), None),
    ],
)
def test_outputs_of_a_head_follow_from_its_targets(targets, outputs):
    assert num_outputs(targets) == outputs


def test_classes_without_samples_are_counted_where_they_are_known():
    targets = torch.tensor([0, 1])
    assert num_outputs(targets, ["flat", "curved", "layered"]) == 3
    assert num_outputs(targets, None, [0, 4]) == 5


LEFT_TO_THE_DATA = {
    "model": {
        "encoder_kwargs": {
            "layers": [
                ["torch_geometric.nn.SAGEConv", [None, 8], {}, "x, edge_index"],
                ["torch.nn.ReLU", [], {}, "x"],
                ["torch.nn.Dropout", [0.4], {}, "x"],
            ]
        },
        "graph_features_net_type": "torch.nn.Linear",
        "graph_features_net_args": [None, 4],
        "downstream_tasks": [["torch.nn.Linear", [None, None]]],
    }
}
WRITTEN = copy.deepcopy(LEFT_TO_THE_DATA)
WRITTEN["model"]["encoder_kwargs"]["layers"][0][1] = [3, 8]
WRITTEN["model"]["graph_features_net_args"] = [2, 4]
WRITTEN["model"]["downstream_tasks"] = [["torch.nn.Linear", [12, 3]]]


@pytest.mark.parametrize("epochs", [(4,), (2, 4)], ids=["at once", "in two goes"])
def test_a_run_is_that_of_the_written_sizes_byte_for_byte(make_config, data, tmp_path, epochs):
    for name, changes in (("left", LEFT_TO_THE_DATA), ("written", WRITTEN)):
        for num_epochs in epochs:
            config = make_config(**changes, training={"num_epochs": num_epochs})
            train_run(config, *data, tmp_path / name)
    for file in ("config.yaml", "model.pt"):
        written = (tmp_path / "written" / file).read_bytes()
        assert (tmp_path / "left" / file).read_bytes() == written
    sizes = load_config(tmp_path / "left" / "config.yaml")["model"]
    assert sizes["downstream_tasks"] == [["torch.nn.Linear", [12, 3]]]


def test_a_configuration_without_open_sizes_stays_the_same_object(make_config, data):
    config = make_config()
    assert with_sizes(config, data[0]) is config
