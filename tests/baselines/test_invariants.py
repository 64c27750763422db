import numpy as np
import pytest

from qgpipe.baselines.features import INVARIANTS
from qgpipe.baselines.invariants import NoOrder, column_names, invariants
from qgpipe.causets.features import compute
from qgpipe.causets.generators.sprinklings import minkowski
from qgpipe.causets.orders import Orders
from qgpipe.data.graphs.adjacency import pairs_to_bits
from qgpipe.data.graphs.packed import EdgePairs, Packed, offsets

NAMES = ["ordering_fraction", "interval_abundances_3", "in_degree"]


def pack(matrices, bits=False) -> Packed:
    """Graphs with the edges of boolean ``matrices``."""
    pairs = [np.argwhere(matrix).T for matrix in matrices]
    sizes = np.array([len(matrix) for matrix in matrices])
    edges = EdgePairs(
        np.concatenate(pairs, axis=1).astype(np.uint16), offsets([p.shape[1] for p in pairs])
    )
    return Packed(
        np.arange(len(matrices)),
        offsets(sizes),
        pairs_to_bits(edges, sizes) if bits else edges,
    )


@pytest.fixture(scope="module")
def causets():
    rng = np.random.default_rng(0)
    return [minkowski(rng, n, 2).relations for n in (5, 30, 17, 1, 64, 30)]


@pytest.mark.parametrize("bits", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_they_are_the_observables_of_each_causal_set(causets, bits, threads):
    found = invariants(pack(causets, bits), NAMES, threads)
    assert found.shape == (6, 6)
    for row, relations in zip(found, causets, strict=True):
        orders = Orders.of(relations)
        degrees = relations.sum(axis=0)
        expected = [
            *compute("ordering_fraction", orders)[0],
            *compute("interval_abundances_3", orders)[0],
            degrees.mean(),
            degrees.std(),
        ]
        assert row == pytest.approx(expected, rel=1e-5)


def test_columns_have_names():
    assert column_names(NAMES) == [
        "ordering_fraction",
        *(f"interval_abundances_3[{k}]" for k in range(3)),
        "in_degree_mean",
        "in_degree_deviation",
    ]


def test_labels_of_elements_do_not_matter(causets):
    rng = np.random.default_rng(1)
    orders = [rng.permutation(len(c)) for c in causets]
    shuffled = [c[np.ix_(order, order)] for c, order in zip(causets, orders, strict=True)]
    one, other = (invariants(pack(some), INVARIANTS) for some in (causets, shuffled))
    assert one.shape[1] == len(column_names(INVARIANTS))
    assert np.isfinite(one).all()
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_links_say_the_same_as_relations(causets):
    links = [Orders.of(c).links[0] for c in causets]
    one, other = (
        invariants(pack(some), NAMES, edges=kind)
        for some, kind in ((causets, "relations"), (links, "links"))
    )
    np.testing.assert_array_equal(one, other)


def test_an_edge_that_is_there_twice_counts_once(causets):
    graphs = pack(causets)
    last = graphs.edges.edge_index[:, -1:]
    pairs = np.concatenate([graphs.edges.edge_index, last], axis=1)[:, ::1]
    ptr = graphs.edges.edge_ptr.copy()
    ptr[-1] += 1
    doubled = Packed(graphs.sample_index, graphs.node_ptr, EdgePairs(pairs, ptr))
    np.testing.assert_array_equal(invariants(doubled, NAMES), invariants(graphs, NAMES))


PATH = np.eye(4, k=1, dtype=bool)  # 0 → 1 → 2 → 3
CIRCLE = PATH | np.eye(4, k=-3, dtype=bool)
SHORTCUT = PATH | np.eye(4, k=3, dtype=bool)


@pytest.mark.parametrize(
    ("matrix", "edges", "why"),
    [
        (PATH, "relations", "not transitive"),
        (PATH | PATH.T, "relations", "not transitive"),
        (np.eye(4, dtype=bool), "relations", "not transitive"),
        (CIRCLE, "links", "in circles"),
        (PATH | PATH.T, "links", "in both directions"),
        (SHORTCUT, "links", "neither all relations nor the links"),
    ],
)
def test_edges_that_say_no_order_are_refused(causets, matrix, edges, why):
    links = [Orders.of(c).links[0] for c in causets]
    graphs = pack([*(causets if edges == "relations" else links), matrix])
    with pytest.raises(NoOrder, match=why):
        invariants(graphs, NAMES, 2, edges)


def test_graphs_that_would_take_too_long_are_refused(monkeypatch, causets):
    monkeypatch.setattr("qgpipe.baselines.invariants.MOST_ELEMENTS", 63)
    with pytest.raises(NoOrder, match="more than 63 elements"):
        invariants(pack(causets), NAMES)
