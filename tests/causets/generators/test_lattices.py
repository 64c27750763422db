from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from qgpipe.causets.generators.lattices import LATTICES, grid, lattice_points
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
