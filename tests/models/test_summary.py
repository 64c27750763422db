import torch
import torch_geometric.nn as pyg
from torch import nn

from qgpipe.models import build_model, summarise


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.frozen = nn.Parameter(torch.ones(9), requires_grad=False)
        self.conv = pyg.SAGEConv(-1, 4)
        self.head = nn.Sequential(nn.Linear(4, 2), nn.ReLU())

    def forward(self, x, edge_index):
        return self.head(self.conv(x, edge_index))


def test_the_manuals_model_has_a_row_for_each_layer(manual_section):
    rows = summarise(build_model(manual_section))

    assert [(row.name, row.type) for row in rows[:4]] == [
        ("encoder.layers.0", "SAGEConv"),
        ("encoder.layers.1", "ReLU"),
        ("encoder.layers.2", "SAGEConv"),
        ("pooling_layers.0", "global_mean_pool"),
    ]
    assert rows[0].parameters == 12 * 64 + 64 + 12 * 64
    assert rows[-2] == ("downstream_tasks.0.layers.2", "Linear", 128 * 3 + 3)


def test_the_rows_count_every_trainable_parameter_once(manual_section):
    model = build_model(manual_section)

    assert sum(row.parameters for row in summarise(model)) == sum(
        p.numel() for p in model.parameters()
    )


def test_a_users_model_shows_its_own_parameters_and_its_layers():
    assert summarise(Own()) == [
        ("model", "Own", 3),
        ("conv", "SAGEConv", 4),
        ("head.0", "Linear", 10),
        ("head.1", "ReLU", 0),
    ]


def test_a_model_of_one_layer_is_one_row():
    assert summarise(nn.Linear(4, 2)) == [("model", "Linear", 10)]
