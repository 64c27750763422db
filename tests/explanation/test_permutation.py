"""Permutation importance of models of which it is known what they use."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import global_mean_pool

from qgpipe.explanation.permutation import Permuted, permutation_importances

NODES = [Permuted("node", (c,)) for c in range(4)]
GRAPHS = [Permuted("graph", (c,)) for c in range(3)]


class Uses(nn.Module):
    """The values of a column of the nodes' features, averaged, and of the graphs' features."""

    def __init__(self, node: int | None = None, graph: int | None = None):
        super().__init__()
        self.node, self.graph = node, graph

    def forward(self, x, edge_index, batch, graph_features):
        total = torch.zeros(len(graph_features))
        if self.node is not None:
            total = total + global_mean_pool(x, batch)[:, self.node]
        if self.graph is not None:
            total = total + graph_features[:, self.graph]
        return total


def squares(outputs, batch):
    return F.mse_loss(outputs, batch.y)


def of_graph(graph):
    return graph.graph_features[0, 2]


def of_nodes(graph):
    return graph.x[:, 1].mean()


def test_only_the_feature_that_is_used_matters(batches):
    for model, target, used in (
        (Uses(node=1), of_nodes, NODES[1]),
        (Uses(graph=2), of_graph, GRAPHS[2]),
    ):
        made = batches(target)
        every = [*NODES, *GRAPHS]
        found = permutation_importances(model, lambda made=made: made, every, squares)
        assert found.num_graphs == 200
        assert found.loss == pytest.approx(0, abs=1e-12)
        cost = found.worse[:, :, 0].mean(axis=1)
        assert [place for place, c in enumerate(cost) if c > 1e-6] == [every.index(used)]


def test_the_rise_of_the_loss_is_twice_the_variance(batches):
    """With answer and target z, permuted z_i' independent of z_i: E (z_i' - z_i)² = 2 Var z."""
    made = batches(of_graph)
    found = permutation_importances(
        Uses(graph=2), lambda: made, [GRAPHS[2]], squares, repetitions=40
    )
    values = torch.cat([batch.y for batch in made])
    expected = 2 * float(values.var(correction=0))
    assert found.worse[0, :, 0].mean() == pytest.approx(expected, rel=0.03)
    [score] = found.scores
    assert (score.kind, score.measure) == ("regression", "mean absolute error")
    distance = (values[:, None] - values).abs().mean()  # Gini's mean difference
    assert found.worse[0, :, 1].mean() == pytest.approx(float(distance), rel=0.03)


def test_nodes_are_permuted_over_all_graphs_by_the_stated_order(batches):
    """Against a permutation of all rows at once, batches joined."""
    made = batches(of_nodes)
    found = permutation_importances(
        Uses(node=1), lambda: made, [NODES[1]], squares, repetitions=3, seed=7
    )
    x = torch.cat([batch.x for batch in made])
    counts = torch.cat([batch.ptr.diff() for batch in made])
    graph = torch.repeat_interleave(torch.arange(200), counts)
    y = torch.cat([batch.y for batch in made])
    for r in range(3):
        order = np.random.default_rng((7, 0, r)).permutation(len(x))
        answers = global_mean_pool(x[order], graph)[:, 1]
        assert found.worse[0, r, 0] == pytest.approx(float(F.mse_loss(answers, y)), rel=1e-5)


def test_columns_together_share_one_order(batches):
    """Of a difference of two equal columns nothing is lost if both are permuted alike."""

    class Difference(nn.Module):
        def forward(self, x, edge_index, batch, graph_features):
            return global_mean_pool(x[:, :1] - x[:, 1:2], batch)[:, 0]

    made = batches(lambda _: torch.tensor(0.0))
    for batch in made:
        batch.x[:, 1] = batch.x[:, 0]
    both = Permuted("node", (0, 1))
    found = permutation_importances(Difference(), lambda: made, [NODES[0], both], squares)
    assert found.worse[0, :, 0].min() > 0.1
    assert np.abs(found.worse[1]).max() < 1e-12


def test_accuracy_falls_to_chance(batches):
    made = batches(lambda graph: (graph.graph_features[0, 0] > 0).long())

    class Sign(nn.Module):
        def forward(self, graph_features, num_graphs):
            return torch.stack([-graph_features[:, 0], graph_features[:, 0]], dim=1)

    def loss(outputs, batch):
        return F.cross_entropy(outputs, batch.y)

    found = permutation_importances(Sign(), lambda: made, GRAPHS, loss, repetitions=20)
    assert found.values == [1.0]
    share = float(torch.cat([batch.y for batch in made]).double().mean())
    wrong = 2 * share * (1 - share)
    assert found.worse[0, :, 1].mean() == pytest.approx(wrong, abs=0.03)
    assert np.abs(found.worse[1:]).max() < 1e-12


def test_each_head_and_answers_for_elements_are_judged(batches):
    made = batches(lambda graph: graph.x[:, :2])

    class OfNodes(nn.Module):
        def forward(self, x, edge_index):
            return {0: x[:, 0], 1: x[:, 1] + 1}

    def loss(outputs, batch):
        return F.mse_loss(torch.stack([outputs[0], outputs[1]], dim=1), batch.y)

    found = permutation_importances(OfNodes(), lambda: made, NODES, loss)
    assert found.values == pytest.approx([0, 1])
    assert [score.task for score in found.scores] == [0, 1]
    cost = found.worse.mean(axis=1)
    assert cost[0, 1] > 0.5 and cost[0, 2] == pytest.approx(0, abs=1e-6)
    assert cost[1, 2] > 0.1 and cost[1, 1] == pytest.approx(0, abs=1e-6)
    assert np.abs(cost[2:]).max() < 1e-6


def test_batches_stay_as_they_are_and_results_do_not_depend_on_the_other_features(batches):
    made = batches(of_nodes)
    before = [batch.x.clone() for batch in made]
    alone = permutation_importances(Uses(node=1), lambda: made, [NODES[1]], squares)
    beside = permutation_importances(Uses(node=1), lambda: made, [*GRAPHS, *NODES], squares)
    assert all(torch.equal(batch.x, x) for batch, x in zip(made, before, strict=True))
    assert np.array_equal(alone.worse[0], beside.worse[4])
