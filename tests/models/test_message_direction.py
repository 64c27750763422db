"""Whether a model passes messages from past to future alone."""

import pytest
import torch
import torch_geometric.nn as pyg

from qgpipe.models import GPSTransformer, Sequential
from qgpipe.models.message_direction import passes_forward_only

CHAIN = torch.tensor([[0, 0, 1], [1, 2, 2]])
SAGE, GIN = "torch_geometric.nn.SAGEConv", "torch_geometric.nn.GINConv"


class Both(pyg.SAGEConv):
    def forward(self, x, edge_index):
        return super().forward(x, torch.cat([edge_index, edge_index.flip(0)], dim=1))


def encoder(*layers):
    signed = [[kind, [2, 2], kwargs, "x, edge_index"] for kind, kwargs in layers]
    return Sequential([*signed, ["torch.nn.ReLU"]])


def test_layers_from_source_to_target_pass_forward_only():
    assert passes_forward_only(encoder((SAGE, {}), (SAGE, {})), CHAIN)


@pytest.mark.parametrize(
    "model",
    [
        encoder((SAGE, {}), (SAGE, {"flow": "target_to_source"})),
        encoder((Both, {})),
        torch.nn.Linear(2, 2),
        pyg.DirGNNConv(pyg.SAGEConv(2, 2)),
        GPSTransformer(2, 2, 4, 2, 1),
    ],
    ids=["both flows", "a layer of the user's", "no layer", "a layer for both", "attention"],
)
def test_others_are_not_said_to(model):
    assert not passes_forward_only(model, CHAIN)


def test_edges_both_ways_carry_messages_both_ways():
    model = encoder((SAGE, {}))
    assert not passes_forward_only(model, torch.cat([CHAIN, CHAIN.flip(0)], dim=1))
    assert not passes_forward_only(model, CHAIN[:, :0])
