from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from qgpipe.causets.generators.curvature import random_conformal_factor
from qgpipe.causets.generators.lattices import LATTICES, equal_volumes, grid, lattice_points
from qgpipe.causets.graph_observables import ordering_fraction
from qgpipe.causets.order import order_violation
from qgpipe.causets.orders import Orders
from qgpipe.errors import ConfigError

COORDINATION = {"quadratic": 4, "triangular": 6, "hexagonal": 3}


def points_of(lattice: str, rng: np.random.Generator, n: int = 60, **kwargs) -> np.ndarray:
    shape = {"rotation": (0.0, 180.0), "ratio": (0.2, 5.0), "angle": (10.0, 59.0)} | kwargs
    return lattice_points(rng, n, lattice, **shape)


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_a_lattice_has_n_distinct_points_in_the_square_in_order_of_time(lattice, n, rng):
    points = points_of(lattice, rng, n)
    assert points.shape == (n, 2)
    assert np.all(np.diff(points[:, 0]) >= 0)
    assert np.abs(points).max() <= 1 + 1e-12
    if n > 1:
        assert np.abs(points).max() == pytest.approx(1)
        assert cdist(points, points)[np.triu_indices(n, 1)].min() > 1e-6


@pytest.mark.parametrize(("lattice", "neighbours"), COORDINATION.items())
def test_inner_points_have_the_neighbours_of_their_lattice(lattice, neighbours, rng):
    distances = cdist(*[points_of(lattice, rng, 200)] * 2)
    np.fill_diagonal(distances, np.inf)
    near = (distances < distances.min() * 1.01).sum(axis=0)
    assert near.max() == neighbours
    assert np.sum(near == neighbours) > 100


def test_an_oblique_cell_has_its_ratio_and_angle(rng):
    points = points_of("oblique", rng, 100, rotation=0.0, ratio=3.0, angle=40.0)
    difference = points[:, None] - points
    distances = np.linalg.norm(difference, axis=2)
    np.fill_diagonal(distances, np.inf)
    i, j = np.unravel_index(distances.argmin(), distances.shape)
    edge = distances[i, j]
    second = 3.0 * edge * np.array([np.cos(np.deg2rad(40)), np.sin(np.deg2rad(40))])
    assert np.isclose(difference, second, atol=1e-9).all(axis=2).any()
    assert abs(difference[i, j]) @ [0, 1] == pytest.approx(0, abs=1e-9)


def test_a_narrow_rhombic_lattice_is_the_product_of_two_chains(rng):
    relations = grid(rng, 9, "rhombic", rotation=0.0, ratio=0.9).relations
    # Both edges are timelike: (i, j) precedes (k, l) iff i ≤ k and j ≤ l; 6 · 6 - 9 pairs.
    assert np.count_nonzero(relations) == 27


def test_an_unknown_lattice_is_an_error_that_names_the_known_ones(rng):
    with pytest.raises(ConfigError, match="'lattice' is 'cubic'; give one of quadratic, "):
        grid(rng, 10, "cubic")


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("region", ["box", "diamond"])
@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("n", [1, 5, 90])
def test_a_lattice_fills_its_region_with_n_points(lattice, region, curved, n, rng):
    causal_set = grid(rng, n, lattice, region=region, curved=curved)
    points = causal_set.of_elements["coordinates"]
    assert points.shape == (n, 2)
    reach = np.abs(points).max(axis=1) if region == "box" else np.abs(points).sum(axis=1)
    assert reach.max() <= 1
    assert n < 90 or reach.max() > 0.85
    assert order_violation(causal_set.relations) is None
    assert not causal_set.manifold_like


@pytest.mark.parametrize("region", ["box", "diamond"])
def test_the_points_of_a_region_are_as_dense_as_the_lattice(region, rng):
    for _ in range(10):
        made = grid(rng, 400, "triangular", region=region)
        points = made.of_elements["coordinates"]
        distances = cdist(points, points)
        np.fill_diagonal(distances, np.inf)
        # u, v of a diamond are those of the lattice: distances are √2 smaller in t, x.
        edge = distances.min() if region == "box" else distances.min() * np.sqrt(2)
        assert 4 / (np.sqrt(0.75) * edge**2) == pytest.approx(400, abs=4 * 400**0.5)


def test_about_half_of_the_pairs_of_a_turned_lattice_in_a_region_are_related(rng):
    for region in ("box", "diamond"):
        made = [grid(rng, 150, region=region, curved=curved) for curved in (False, True) * 20]
        fractions = [ordering_fraction(Orders.of(one.relations)).item() for one in made]
        assert np.mean(fractions) == pytest.approx(0.5, abs=0.02)


def test_moved_points_have_equal_volumes(rng):
    factor = random_conformal_factor(rng, 4, 2.0, positive=True)
    axis = (np.arange(100) + 0.5) / 50 - 1
    even = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    moved = equal_volumes(even, factor)
    weights = factor.density(even)
    for power in ([1, 0], [0, 1], [2, 0], [1, 1], [0, 2]):
        expected = np.average(np.prod(even**power, axis=1), weights=weights)
        assert np.mean(np.prod(moved**power, axis=1)) == pytest.approx(expected, abs=1e-3)


def test_a_flat_factor_moves_nothing(rng):
    points = rng.uniform(-1, 1, (50, 2))
    factor = random_conformal_factor(rng, 0, 2.0, positive=True)
    np.testing.assert_allclose(equal_volumes(points, factor), points, atol=1e-12)


def test_a_lattice_without_a_region_cannot_be_curved(rng):
    with pytest.raises(ConfigError, match="'curved' needs a region; give 'region': box or diamond"):
        grid(rng, 10, curved=True)
    with pytest.raises(ConfigError, match="'region' is 'disc'; give null, box or diamond"):
        grid(rng, 10, region="disc")
