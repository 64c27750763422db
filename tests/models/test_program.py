"""A model as a program of torch.export, for batches of other shapes than that of its example."""

import io

import pytest
import torch
from torch_geometric.data import Batch, Data

from qgpipe.models import build_model
from qgpipe.models.program import CannotExport, write_program

SAGE = ["torch_geometric.nn.SAGEConv", [3, 8], {}, "x, edge_index"]
GAT = ["torch_geometric.nn.GATConv", [3, 8], {}, "x, edge_index"]


def model_of(*layers):
    return build_model(
        {
            "encoder_type": "qgpipe.models.Sequential",
            "encoder_kwargs": {"layers": list(layers)},
            "pooling_layers": [["torch_geometric.nn.global_mean_pool"]],
            "aggregate_pooling_type": "torch.cat",
            "downstream_tasks": [["torch.nn.Linear", [8, 3]], ["torch.nn.Linear", [8, 1]]],
        }
    ).eval()


def graphs(*sizes, density=0.5):
    generator = torch.Generator().manual_seed(3)
    found = []
    for n in sizes:
        relations = torch.triu(torch.rand(n, n, generator=generator) < density, 1)
        found.append(
            Data(x=torch.randn(n, 3, generator=generator), edge_index=relations.nonzero().T)
        )
    return Batch.from_data_list(found)


def program_of(model):
    file = io.BytesIO()
    least = write_program(file, model, 3, None)
    file.seek(0)
    return least, torch.export.load(file).module()


def assert_same(program, model, batch):
    with torch.no_grad():
        expected = model(batch.x, batch.edge_index, batch.batch)
        found = program(batch.x, batch.edge_index, batch.ptr, None)
    assert len(found) == 2
    for task, output in enumerate(found):
        torch.testing.assert_close(output, expected[task])


def test_a_program_takes_one_graph_or_many_with_and_without_edges():
    model = model_of(SAGE, ["torch.nn.ReLU", [], {}, "x"])
    least, program = program_of(model)
    assert least == 1
    for sizes in ((6,), (1,), (2, 9), (1, 31, 4, 8, 8, 3, 2)):
        assert_same(program, model, graphs(*sizes))
    for sizes in ((5,), (1,), (4, 1, 7)):
        bare = graphs(*sizes, density=0.0)
        assert bare.num_edges == 0
        assert_same(program, model, bare)
    assert_same(program, model, graphs(2, density=1.0))  # a single edge


def test_where_torch_cannot_do_any_number_it_takes_two_graphs_and_more():
    model = model_of(GAT)
    least, program = program_of(model)
    assert least == 2
    for sizes in ((2, 9), (1, 31, 4, 8, 8, 3, 2)):
        assert_same(program, model, graphs(*sizes))
    with pytest.raises(AssertionError, match="ptr"):
        assert_same(program, model, graphs(6))


class ByValue(torch.nn.Module):
    def forward(self, x, edge_index):
        return x if x.sum() > 0 else -x


def test_a_model_that_looks_at_values_has_none():
    with pytest.raises(CannotExport, match="data-dependent"):
        write_program(io.BytesIO(), ByValue(), 3, None)
