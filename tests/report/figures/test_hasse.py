import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from qgpipe.errors import DataError
from qgpipe.report.figures.hasse import MOST_ELEMENTS, diagram, to_svg
from qgpipe.report.tables.graphs import Graph, graph_sizes, graphs


@st.composite
def orders(draw) -> Graph:
    """Edges of a random acyclic graph, with the nodes in any order."""
    n = draw(st.integers(1, 12))
    pairs = draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    names = np.array(draw(st.permutations(range(n))))
    forward = sorted(pair for pair in pairs if pair[0] < pair[1])
    return Graph(n, names[np.array(forward, np.int64).reshape(-1, 2).T], None)


@given(orders())
@settings(deadline=None)
def test_the_links_are_the_transitive_reduction(graph):
    digraph = networkx.DiGraph(graph.edges.T.tolist())
    expected = set(networkx.transitive_reduction(digraph).edges) if digraph else set()
    drawn = diagram(graph)
    assert set(map(tuple, drawn.links.T.tolist())) == expected


@given(orders())
@settings(deadline=None)
def test_time_runs_upwards_along_every_link_and_points_lie_in_the_picture(graph):
    drawn = diagram(graph)
    assert (drawn.points[drawn.links[1], 1] > drawn.points[drawn.links[0], 1]).all()
    assert ((drawn.points >= 0) & (drawn.points <= 1)).all()
    assert len({tuple(point) for point in drawn.points.tolist()}) == graph.num_nodes


def test_a_chain_is_a_straight_line():
    chain = Graph(5, np.array(np.nonzero(np.triu(np.ones((5, 5)), 1))), None)
    assert diagram(chain).points.tolist() == [[0.5, k / 4] for k in range(5)]


def sprinkling(n: int, seed: int = 1) -> tuple[Graph, np.ndarray]:
    """A sprinkling into the diamond of 1+1 dimensions, and its points as (t, x)."""
    u, v = np.random.default_rng(seed).random((2, n))
    points = np.stack([u + v, u - v], axis=1)[np.argsort(u + v)]
    apart = points[None] - points[:, None]
    before = (apart[..., 0] > np.abs(apart[..., 1])) & (apart[..., 0] > 0)
    return Graph(n, np.array(np.nonzero(before)), points), points


def test_known_positions_are_shown_as_they_are_with_time_upwards():
    graph, points = sprinkling(40)
    drawn = diagram(graph)
    assert drawn.sprinkled
    for axis, coordinate in ((0, points[:, 1]), (1, points[:, 0])):
        ratio = np.diff(drawn.points[:, axis]) / np.diff(coordinate)
        np.testing.assert_allclose(ratio, ratio[0])


def test_positions_that_no_time_can_be_told_from_are_not_shown():
    graph, _ = sprinkling(40)
    random = np.random.default_rng(0).normal(size=(40, 3))
    assert not diagram(Graph(40, graph.edges, random)).sprinkled


def test_the_layout_of_flat_sprinklings_finds_time_and_by_and_large_space():
    found = []
    for seed in range(6):
        graph, points = sprinkling(120, seed)
        drawn = diagram(Graph(120, graph.edges, None))
        assert not drawn.sprinkled
        assert spearmanr(drawn.points[:, 1], points[:, 0]).statistic > 0.9
        found.append(abs(spearmanr(drawn.points[:, 0], points[:, 1]).statistic))
    assert np.mean(found) > 0.75


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (Graph(2, np.array([[0, 1], [1, 0]]), None), "go round in circles"),
        (Graph(0, np.zeros((2, 0), np.int64), None), "no elements"),
        (Graph(MOST_ELEMENTS + 1, np.zeros((2, 0), np.int64), None), "601 elements are too many"),
        (Graph(200, np.array(np.meshgrid(range(100), range(100, 200))).reshape(2, -1), None),
         "10,000 links are too many"),
    ],
    ids=["a circle", "empty", "large", "dense"],
)  # fmt: skip
def test_what_cannot_be_drawn_says_why(graph, why):
    assert why in diagram(graph)


def test_the_picture_has_a_line_for_each_link_and_a_dot_for_each_element():
    graph, _ = sprinkling(30)
    drawn = diagram(graph)
    picture = to_svg(drawn, "<30>")
    assert picture.count("L") == drawn.links.shape[1]
    assert picture.count("h0") == 30
    assert 'aria-label="&lt;30&gt;"' in picture


def test_graphs_are_found_in_the_parts_by_their_ids(results):
    run = results()
    ids = ["a/7", "a/2", "a/7"]
    assert graph_sizes(run, ids).tolist() == [6, 5, 6]
    first, second, third = graphs(run, ids)
    assert first.num_nodes == third.num_nodes == 6
    assert second.edges.shape == (2, 10)  # all relations of a chain of five
    assert (second.edges[0] < second.edges[1]).all()


def test_an_id_that_is_in_no_part_is_named(results):
    with pytest.raises(DataError, match="no graph a/99, which was tested"):
        graph_sizes(results(), ["a/1", "a/99"])


def test_graphs_of_several_parts_and_stores_are_told_apart(results, tmp_path):
    run = results()
    part = run.dataset["parts"][0]
    other = {**part, "store": "b/nested", "start": 0, "stop": 5}
    run.dataset["parts"] = [{**part, "stop": 6}, other, {**part, "start": 6}]
    ids = ["b/nested/1", "a/9", "a/0", "b/nested/3", "a/5"]
    assert graph_sizes(run, ids).tolist() == [4, 4, 3, 6, 4]
