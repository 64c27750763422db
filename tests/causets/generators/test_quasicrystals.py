from __future__ import annotations

import numpy as np
import pytest

from qgpipe.causets.features import compute
from qgpipe.causets.generators.quasicrystals import (
    lorentzian_slice,
    points_in_square,
    quasicrystal,
)
from qgpipe.causets.graph_observables import ordering_fraction
from qgpipe.causets.orders import Orders
from qgpipe.errors import ConfigError

METRIC = np.diag([-1, 1, 1, 1])


def test_the_coxeter_element_is_a_boost_of_the_lattice(rng):
    cut = lorentzian_slice()
    integers = np.rint(cut.coxeter).astype(int)
    np.testing.assert_allclose(cut.coxeter, integers, atol=1e-12)
    np.testing.assert_array_equal(integers.T @ METRIC @ integers, METRIC)
    assert cut.boost + 1 / cut.boost == pytest.approx((1 + np.sqrt(17)) / 2)
    points = rng.integers(-9, 9, (4, 20))
    u, v = cut.null @ points
    later_u, later_v = cut.null @ (cut.coxeter @ points)
    np.testing.assert_allclose(later_u, cut.boost * u, atol=1e-10)
    np.testing.assert_allclose(later_v, v / cut.boost, atol=1e-10)
    lengths = [np.square(cut.across @ one).sum(axis=0) for one in (points, cut.coxeter @ points)]
    np.testing.assert_allclose(*lengths, atol=1e-10)


def test_the_slice_keeps_the_metric(rng):
    cut = lorentzian_slice()
    points = rng.integers(-9, 9, (4, 20))
    u, v = cut.null @ points
    across = np.square(cut.across @ points).sum(axis=0)
    np.testing.assert_allclose(across - u * v, np.sum(points * (METRIC @ points), axis=0))


@pytest.mark.parametrize("window", [0.6, 1.0, 1.7])
def test_points_are_those_of_the_window(window, rng):
    shift, half, cut = rng.random(4), 3.0, lorentzian_slice()
    lattice = np.indices((61,) * 4).reshape(4, -1) - 30 + shift[:, None]
    inside = np.square(cut.across @ lattice).sum(axis=0) <= window**2
    points = (cut.null @ lattice[:, inside]).T
    expected = points[(np.abs(points) <= half).all(axis=1)]
    found = points_in_square(half, window, shift)
    np.testing.assert_allclose(
        found[np.argsort(found[:, 0])], expected[np.argsort(expected[:, 0])], atol=1e-9
    )


@pytest.mark.parametrize("window", [0.7, 1.0, 2.0])
def test_the_number_of_points_is_that_of_the_volume_and_varies_little(window, rng):
    half = 5.0
    volume = (2 * half) ** 2 / 2
    counts = [len(points_in_square(half, window, rng.random(4))) for _ in range(200)]
    expected = np.pi * window**2 * volume
    error = np.std(counts) / np.sqrt(len(counts))
    assert abs(np.mean(counts) - expected) < 4 * error
    assert np.var(counts) < 0.2 * expected  # of a sprinkling: as large as the mean


def test_a_boost_by_the_eigenvalue_maps_the_quasicrystal_to_itself(rng):
    cut, shift = lorentzian_slice(), rng.random(4)
    found = points_in_square(3.0, 1.0, shift, np.log(cut.boost))
    again = points_in_square(3.0, 1.0, cut.coxeter @ shift)
    np.testing.assert_allclose(
        found[np.argsort(found[:, 0])], again[np.argsort(again[:, 0])], atol=1e-9
    )


def test_there_are_n_points_in_the_diamond_and_no_two_on_a_light_ray(rng):
    for n in (1, 2, 40, 128):
        made = quasicrystal(rng, n)
        t, x = made.of_elements["coordinates"].T
        assert len(t) == n
        assert np.all(np.abs(t) + np.abs(x) <= 1)
        for null in (t + x, t - x):
            assert n == 1 or np.diff(np.sort(null)).min() > 1e-9
        assert not made.manifold_like


def test_its_order_is_that_of_a_two_dimensional_diamond(rng):
    made = [Orders.of(quasicrystal(rng, 200).relations) for _ in range(60)]
    fractions = [ordering_fraction(orders).item() for orders in made]
    error = np.std(fractions) / np.sqrt(len(fractions))
    # Points repel each other, so that a little more than half of the pairs are related.
    assert abs(np.mean(fractions) - 0.5) < 0.01
    assert error < 0.002
    dimensions = [compute("myrheim_meyer_dimension", orders).item() for orders in made]
    assert np.mean(dimensions) == pytest.approx(2, abs=0.04)
    assert compute("two_order", made[0]).item() == 1


def test_the_longest_chain_doubles_with_four_times_the_points(rng):
    lengths = [
        np.mean(
            [
                compute("longest_chain", Orders.of(quasicrystal(rng, n).relations)).item()
                for _ in range(8)
            ]
        )
        for n in (200, 800)
    ]
    assert lengths[1] / lengths[0] == pytest.approx(2, abs=0.1)


def test_a_window_out_of_its_range_is_an_error(rng):
    with pytest.raises(ConfigError, match=r"'radius' is 0; give a number from 0\.2 to 5"):
        quasicrystal(rng, 10, radius=0)
