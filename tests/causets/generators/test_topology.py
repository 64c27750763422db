from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.topology import complex_topology, number_of_holes, slit_order
from qgpipe.causets.order import order_violation

UPWARD_CUT = np.array([[[0.0, 0.0], [4.0, 0.0]]])


def related(past: tuple[float, float], future: tuple[float, float], cuts: np.ndarray) -> bool:
    labels, relations = slit_order(np.array([past, future]), cuts)
    assert labels.tolist() == [0, 1]
    return bool(relations[0, 1])


def test_without_cuts_the_order_is_flat(rng):
    points = rng.uniform(-1, 1, (50, 2))
    labels, relations = slit_order(points, np.zeros((0, 2, 2)))
    flat_labels, flat = flat_order(points[:, 0], points[:, 1:])
    np.testing.assert_array_equal(labels, flat_labels)
    np.testing.assert_array_equal(relations, flat)


def test_the_legs_of_the_trousers_do_not_see_each_other():
    assert not related((0.1, -0.2), (0.9, 0.2), UPWARD_CUT)


def test_the_waist_of_the_trousers_sees_both_legs():
    assert related((-0.5, -0.2), (0.9, 0.2), UPWARD_CUT)
    assert related((-0.5, -0.2), (0.9, -0.2), UPWARD_CUT)


def test_a_curve_has_to_pass_below_the_cut_even_if_the_straight_line_does_not():
    # The straight line meets the cut; the way around its tip at the origin is causal.
    assert related((-0.3, -0.1), (0.5, 0.4), UPWARD_CUT)
    # From here the tip is out of reach.
    assert not related((-0.05, -0.1), (0.8, 0.4), UPWARD_CUT)


def test_a_wide_spacelike_cut_casts_a_shadow():
    cut = np.array([[[0.0, -0.5], [0.0, 0.5]]])
    assert not related((-0.2, 0.0), (0.2, 0.0), cut)
    assert not related((-0.6, 0.0), (0.2, 0.0), cut)
    assert related((-0.6, 0.0), (0.6, 0.0), cut)


def test_two_cuts_that_cross_close_the_way_between_them():
    wall = np.array([[[0.0, -0.4], [0.0, 0.1]], [[-0.2, 0.05], [0.2, 0.05]]])
    assert related((-0.3, 0.0), (0.3, 0.0), np.array([wall[1]]))
    assert not related((-0.1, 0.0), (0.25, 0.0), wall)


def test_cuts_only_take_relations_away(rng):
    points, cuts = rng.uniform(-1, 1, (60, 2)), rng.uniform(-1, 1, (6, 2, 2))
    _, flat = flat_order(points[:, 0], points[:, 1:])
    _, slit = slit_order(points, cuts)
    assert not (slit & ~flat).any()
    assert slit.sum() < flat.sum()
    assert order_violation(slit) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_order_is_what_small_null_steps_reach(seed):
    """Walk a fine grid in null coordinates; a step is barred if it crosses a cut."""
    rng = np.random.default_rng(seed)
    size = 60
    cuts = rng.uniform(-0.6, 0.6, (3, 2, 2))
    # Irrational offsets keep the grid points off the cuts.
    axis = np.linspace(-1, 1, size) + 1e-3 * np.sqrt(2)
    u, v = np.meshgrid(axis, axis, indexing="ij")
    nodes = np.column_stack([(u + v).ravel() / 2, (u - v).ravel() / 2])
    number = np.arange(size**2).reshape(size, size)
    steps = np.concatenate(
        [
            np.column_stack([number[:-1].ravel(), number[1:].ravel()]),
            np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()]),
        ]
    )
    open_steps = [(a, b) for a, b in steps.tolist() if not crosses(nodes[a], nodes[b], cuts)]
    graph = nx.DiGraph(open_steps)
    chosen = rng.choice(size**2, 12, replace=False)
    labels, relations = slit_order(nodes[chosen], cuts)
    chosen = chosen[labels]
    wrong = 0
    for i, a in enumerate(chosen.tolist()):
        reached = nx.descendants(graph, a)
        for j, b in enumerate(chosen.tolist()):
            # Steps have a finite length, so they may miss a narrow way, but find none too many.
            assert not (b in reached and not relations[i, j])
            wrong += bool(relations[i, j]) and b not in reached
    assert wrong <= 2


def crosses(a: np.ndarray, b: np.ndarray, cuts: np.ndarray) -> bool:
    for p, q in cuts:
        matrix = np.column_stack([b - a, p - q])
        if abs(np.linalg.det(matrix)) > 1e-15:
            along, across = np.linalg.solve(matrix, p - a)
            if 0 <= along <= 1 and 0 <= across <= 1:
                return True
    return False


def test_without_cuts_complex_topology_is_a_polynomial_sprinkling(rng):
    causal_set = complex_topology(rng, 40, vertical_cuts=0, finite_cuts=0)
    assert causal_set.manifold_like
    assert causal_set.curvature.shape == (40,)


def test_holes_are_pieces_of_slits_that_do_not_reach_the_edge():
    upward = [[0.0, 0.0], [4.0, 0.0]]
    free = [[-0.5, -0.5], [-0.5, 0.5]]
    through_free = [[-0.8, 0.1], [-0.2, 0.1]]
    through_upward = [[0.5, -0.5], [0.5, 0.5]]
    other = [[0.9, 0.6], [0.95, 0.9]]
    for cuts, vertical, holes in [
        ([], 0, 0),
        ([upward], 1, 0),
        ([free], 0, 1),
        ([free, other], 0, 2),
        ([free, through_free], 0, 1),
        ([upward, through_upward], 1, 0),
        ([upward, through_upward, free, through_free, other], 1, 2),
    ]:
        assert number_of_holes(np.array(cuts).reshape(-1, 2, 2), vertical) == holes


@pytest.mark.parametrize("genus", [0, 1, 3, 12])
def test_a_wanted_genus_is_reached(genus, rng):
    for _ in range(5):
        made = complex_topology(rng, 30, vertical_cuts=(0, 3), genus=genus)
        assert made.made_of["genus"] == genus == made.made_of["finite_cuts"]


def test_what_was_cut_is_kept(rng):
    made = complex_topology(rng, 30, vertical_cuts=(1, 2), finite_cuts=3)
    cuts = made.made_of["cuts"].reshape(5, 4)
    count = made.made_of["vertical_cuts"] + 3
    assert np.isfinite(cuts[:count]).all()
    assert np.isnan(cuts[count:]).all()
    assert np.all(cuts[: count - 3, 2] == 1)  # up to the end of time
    points = made.of_elements["coordinates"]
    labels, relations = slit_order(points, cuts[:count].reshape(-1, 2, 2))
    np.testing.assert_array_equal(labels, np.arange(30))
    np.testing.assert_array_equal(relations, made.relations)
