from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.message_passing.csr import CsrAdjacency
from qgpipe.message_passing.dense import DenseAdjacency
from qgpipe.message_passing.edge_batch import STRIP

Make = Callable[..., Batch]
Of = Callable[..., Adjacency]

graph_sets = given(
    sizes=st.lists(st.integers(0, 90), min_size=1, max_size=6),
    density=st.sampled_from([0.0, 0.05, 0.4, 1.0]),
    seed=st.integers(0, 1000),
    edge_format=st.sampled_from(["csr", "dense"]),
)


def summed(batch: Batch, x: torch.Tensor) -> torch.Tensor:
    source, target = batch.edge_index
    return torch.zeros_like(x).index_add(0, target, x[source])


def test_a_node_gets_the_sum_over_the_nodes_before_it(
    make_batch: Make, make_adjacency: Of, edge_format: str
) -> None:
    batch = make_batch([[0, 1], [0, 2], [1, 2]], 4)
    adjacency = make_adjacency(batch, edge_format)
    assert adjacency.sum(batch.x).flatten().tolist() == [0, 1, 3, 0]
    assert adjacency.mean(batch.x).flatten().tolist() == [0, 1, 1.5, 0]
    assert adjacency.in_degree.tolist() == [0, 1, 2, 0]


@settings(max_examples=50, deadline=None)
@graph_sets
def test_sums_and_their_gradients_are_those_over_the_edges(
    make_dags: Make,
    make_adjacency: Of,
    sizes: list[int],
    density: float,
    seed: int,
    edge_format: str,
) -> None:
    batch = make_dags(sizes, density, seed)
    adjacency = make_adjacency(batch, edge_format)
    weights = torch.randn_like(batch.x, dtype=torch.float64)
    x = batch.x.double().requires_grad_()
    expected = summed(batch, x)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), x)
    found = adjacency.sum(x)
    (gradient,) = torch.autograd.grad((found * weights).sum(), x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@settings(max_examples=50, deadline=None)
@graph_sets
def test_degrees_count_the_edges(
    make_dags: Make,
    make_adjacency: Of,
    sizes: list[int],
    density: float,
    seed: int,
    edge_format: str,
) -> None:
    batch = make_dags(sizes, density, seed)
    adjacency = make_adjacency(batch, edge_format)
    counted = torch.bincount(batch.edge_index[1], minlength=batch.num_nodes)
    assert adjacency.in_degree.tolist() == counted.tolist()
    assert adjacency.self_loops.sum() == 0


LABELLINGS = {
    "natural": lambda n: torch.arange(n),
    "reversed": lambda n: torch.arange(n).flip(0),
    "any": lambda n: torch.randperm(n, generator=torch.Generator().manual_seed(n)),
}


@pytest.mark.parametrize("labelling", LABELLINGS)
def test_large_graphs_are_summed_in_any_labelling(
    labelling: str, make_adjacency: Of, edge_format: str
) -> None:
    graphs = []
    for n in (STRIP - 5, STRIP, STRIP + 3, 3 * STRIP + 40):
        labels = LABELLINGS[labelling](n)
        relations = torch.rand(n, n).lt(0.3).triu(1)
        relations[n - 1, n - 1] = True
        edges = relations[labels][:, labels].nonzero().T
        graphs.append(Data(x=torch.randn(n, 3, dtype=torch.float64), edge_index=edges))
    batch = Batch.from_data_list(
        [*graphs, Data(x=torch.ones(1, 3).double(), edge_index=edges[:, :0])]
    )
    for adjacency, edge_index in (
        (make_adjacency(batch, edge_format), batch.edge_index),
        (make_adjacency(batch, edge_format).transposed(), batch.edge_index.flip(0)),
    ):
        source, target = edge_index
        x = batch.x.clone().requires_grad_()
        weights = torch.randn_like(batch.x)
        expected = torch.zeros_like(batch.x).index_add(0, target, x[source])
        found = adjacency.sum(x)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(
            torch.autograd.grad((found * weights).sum(), x)[0],
            torch.autograd.grad((expected * weights).sum(), x)[0],
        )
        counted = torch.bincount(target, minlength=batch.num_nodes)
        assert torch.equal(adjacency.in_degree, counted.float())
        assert adjacency.self_loops.sum() == len(graphs)
        assert adjacency.self_loops[source[source == target]].tolist() == [1] * len(graphs)


def test_only_the_triangle_of_a_natural_labelling_is_multiplied(make_adjacency: Of) -> None:
    n = 4 * STRIP
    edges = torch.ones(n, n).triu(1).nonzero().T
    batch = Batch.from_data_list([Data(x=torch.ones(n, 1), edge_index=edges)])
    adjacency = make_adjacency(batch, "dense")
    assert isinstance(adjacency, DenseAdjacency)
    (group,) = adjacency._groups
    sizes = [tuple(block.values.shape) for block in group.blocks]
    assert sizes == [(1, (k + 1) * STRIP, STRIP) for k in range(4)]


def test_a_second_derivative_can_be_taken(
    make_dags: Make, make_adjacency: Of, edge_format: str
) -> None:
    batch = make_dags([6, 4], 0.5, 1, features=2)
    adjacency = make_adjacency(batch, edge_format)
    x = batch.x.double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: adjacency.sum(x**2), x)


def test_self_loops_are_counted(make_batch: Make, make_adjacency: Of, edge_format: str) -> None:
    batch = make_batch([[0, 0], [0, 1], [2, 2]], 3)
    adjacency = make_adjacency(batch, edge_format)
    assert adjacency.self_loops.tolist() == [1, 0, 1]
    assert adjacency.sum(batch.x).flatten().tolist() == [1, 1, 3]


@pytest.mark.parametrize("edges", [[[0, 1], [0, 1], [1, 0]], [[1, 0], [0, 1]]])
def test_edges_in_any_order_and_number_are_summed(
    make_batch: Make, make_adjacency: Of, edge_format: str, edges: list[list[int]]
) -> None:
    batch = make_batch(edges, 2)
    adjacency = make_adjacency(batch, edge_format)
    assert torch.equal(adjacency.sum(batch.x), summed(batch, batch.x))
    assert adjacency.edge_index.tolist() == batch.edge_index.tolist()


def test_the_forms_are_what_they_are_called(make_dags: Make, make_adjacency: Of) -> None:
    batch = make_dags([5, 9], 0.5, 0)
    assert isinstance(make_adjacency(batch, "csr"), CsrAdjacency)
    assert isinstance(make_adjacency(batch, "dense"), DenseAdjacency)


def test_what_cannot_be_counted_is_kept_within_its_graph(
    make_dags: Make, make_adjacency: Of, edge_format: str
) -> None:
    batch = make_dags([5, 70, 12], 0.5, 3)
    x = batch.x.clone()
    x[:5] = torch.nan
    assert make_adjacency(batch, edge_format).sum(x)[5:].isfinite().all()


def test_a_result_has_the_type_of_the_features(
    make_dags: Make, make_adjacency: Of, edge_format: str
) -> None:
    batch = make_dags([300], 1.0, 0)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        adjacency = make_adjacency(batch, edge_format, torch.bfloat16)
        x = batch.x.to(dtype)
        assert adjacency.sum(x).dtype == adjacency.mean(x).dtype == dtype
        assert adjacency.in_degree.max() == 299  # bfloat16 would make it 300


def test_gradients_go_through_a_translated_model(
    make_dags: Make, make_adjacency: Of, edge_format: str
) -> None:
    translated = torch.compile(
        lambda x, adjacency: adjacency.mean(x).tanh(), backend="aot_eager", fullgraph=True
    )
    for sizes in ([7, 4], [3, 3], [12, 30]):
        batch = make_dags(sizes, 0.5, 0)
        x = batch.x.requires_grad_()
        results = (
            make_adjacency(batch, edge_format).mean(x).tanh(),
            translated(x, make_adjacency(batch, edge_format)),
        )
        gradients = [torch.autograd.grad(result.sum(), x)[0] for result in results]
        torch.testing.assert_close(*gradients)


@settings(max_examples=30, deadline=None)
@graph_sets
def test_the_transpose_has_every_edge_the_other_way(
    make_dags: Make,
    make_adjacency: Of,
    sizes: list[int],
    density: float,
    seed: int,
    edge_format: str,
) -> None:
    batch = make_dags(sizes, density, seed)
    adjacency = make_adjacency(batch, edge_format)
    transposed, reversed_batch = adjacency.transposed(), batch.clone()
    reversed_batch.edge_index = batch.edge_index.flip(0)
    torch.testing.assert_close(transposed.sum(batch.x), summed(reversed_batch, batch.x))
    assert torch.equal(transposed.edge_index, adjacency.edge_index.flip(0))
    out_degree = torch.bincount(batch.edge_index[0], minlength=batch.num_nodes)
    assert torch.equal(transposed.in_degree, out_degree.float())
    assert torch.equal(transposed.self_loops, adjacency.self_loops)
    torch.testing.assert_close(transposed.transposed().sum(batch.x), adjacency.sum(batch.x))
