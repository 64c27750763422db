import torch
import torch_geometric.nn as pyg
from torch import nn

from qgpipe.models.construct.bind_arguments import POOLING_NAMES, POOLING_VALUES, Wiring, wire
from qgpipe.models.construct.function import Function

NODES = ("x", "edge_index", "batch", "num_graphs")


def pool_by_first_letters(nodes, graph_of_node, power, shift=0.0):
    return pyg.global_add_pool(nodes**power + shift, graph_of_node)


class Encoder(nn.Module):
    def forward(self, h, edges, *, batch=None):
        return h, edges, batch


def test_a_graph_layer_gets_nodes_and_edges():
    assert wire(pyg.SAGEConv(2, 2), NODES) == Wiring(("x", "edge_index"), {}, ())


def test_names_of_its_own_are_filled_in_order_and_known_ones_by_name():
    assert wire(Encoder(), NODES) == Wiring(("x", "edge_index"), {"batch": "batch"}, ())


def test_a_module_over_nodes_alone_gets_only_them():
    assert wire(nn.Linear(2, 2), NODES) == Wiring(("x",), {}, ())


def test_a_required_input_that_the_caller_lacks_is_left_open():
    wiring = wire(pyg.PointNetConv(), NODES)

    assert wiring == Wiring(("x",), {"edge_index": "edge_index"}, ("pos",))


def test_a_known_name_is_never_filled_with_something_else():
    class EdgesOnly(nn.Module):
        def forward(self, x, edge_attr):
            return x

    assert wire(EdgesOnly(), NODES).open == ("edge_attr",)


def test_pooling_functions_and_aggregations_get_the_number_of_graphs():
    function = Function(pyg.global_mean_pool)
    aggregation = pyg.MeanAggregation()

    assert wire(function, POOLING_VALUES, POOLING_NAMES).positional == ("x", "batch", "num_graphs")
    assert wire(aggregation, POOLING_VALUES, POOLING_NAMES) == Wiring(
        ("x", "batch"), {"dim_size": "num_graphs"}, ()
    )


def test_a_functions_own_arguments_take_their_parameters():
    by_kwargs = Function(pyg.global_mean_pool, kwargs={"size": 7})
    by_args = Function(pool_by_first_letters, [2.0])

    assert wire(by_kwargs, POOLING_VALUES, POOLING_NAMES).positional == ("x", "batch")
    assert wire(by_args, POOLING_VALUES, POOLING_NAMES).positional == ("x", "batch")


def test_a_functions_own_arguments_follow_the_tensors():
    x, batch = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1])
    function = Function(pool_by_first_letters, [2.0], {"shift": 1.0})
    wiring = wire(function, POOLING_VALUES, POOLING_NAMES)

    result = wiring.call(function, {"x": x, "batch": batch, "num_graphs": 2})
    assert result.tolist() == [[7.0], [10.0]]


def test_a_c_function_gets_the_node_features_alone():
    assert wire(Function(torch.relu), NODES) == Wiring(("x",), {}, ())


def test_a_named_value_that_is_none_is_left_to_the_default():
    x = torch.tensor([[1.0], [3.0]])
    aggregation = pyg.MeanAggregation()
    wiring = wire(aggregation, POOLING_VALUES, POOLING_NAMES)

    result = wiring.call(aggregation, {"x": x, "batch": torch.tensor([0, 0]), "num_graphs": None})
    assert result.tolist() == [[2.0]]
