from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from qgpipe.causets.features import compute
from qgpipe.causets.generators.spacetimes import (
    anti_de_sitter,
    cylinder,
    de_sitter,
    spherical_order,
)
from qgpipe.causets.graph_observables import ordering_fraction
from qgpipe.causets.order import interval_sizes, longest_chains
from qgpipe.causets.orders import Orders
from qgpipe.errors import ConfigError

DIAMONDS = {"de_sitter": de_sitter, "anti_de_sitter": anti_de_sitter}


def agree(sample, expected: float, largest_error: float) -> None:
    """The mean of a sample is within four of its standard errors, which is small enough."""
    error = np.std(sample, ddof=1) / np.sqrt(len(sample))
    assert error < largest_error
    assert abs(np.mean(sample) - expected) < 4 * error


def fraction(causal_set) -> float:
    return ordering_fraction(Orders.of(causal_set.relations)).item()


def volume_between(name: str, t, angle, later_t, later_angle):
    """Volume between points of two-dimensional space, from their proper time."""
    apart = np.cos(later_angle - angle)
    if name == "de_sitter":  # cosh τ, and 4 ln cosh(τ/2) = 2 ln((1 + cosh τ) / 2)
        cosh = (apart - np.sin(t) * np.sin(later_t)) / (np.cos(t) * np.cos(later_t))
        return 2 * np.log((1 + cosh) / 2)
    sines = np.sin(angle) * np.sin(later_angle)
    cosine = (np.cos(later_t - t) - sines) / (np.cos(angle) * np.cos(later_angle))
    return -2 * np.log((1 + cosine) / 2)


def coordinates(causal_set) -> tuple[np.ndarray, np.ndarray]:
    """Time and signed angle of the elements in two dimensions."""
    t, *place = causal_set.of_elements["coordinates"].T
    return t, np.arctan2(place[1], place[0])


@pytest.mark.parametrize("name", DIAMONDS)
def test_points_are_inside_the_diamond(name, rng):
    for dimension in (2, 3, 4):
        t, *place = DIAMONDS[name](rng, 300, 1.2, dimension).of_elements["coordinates"].T
        assert len(place) == dimension
        np.testing.assert_allclose(np.square(place).sum(axis=0), 1)
        assert np.all(np.arccos(np.minimum(place[0], 1)) <= 1.2 - np.abs(t) + 1e-6)
        assert np.all(np.diff(t) >= 0)


@pytest.mark.parametrize("name", DIAMONDS)
@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_points_follow_the_volume(name, dimension, rng):
    h, count = 1.3, 20_000
    causal_set = DIAMONDS[name](rng, 3000, h, dimension)
    t, first = causal_set.of_elements["coordinates"][:, :2].T
    angle = np.arccos(np.clip(first, -1, 1))
    # Points anywhere in the triangle, with weights.
    time, place = rng.uniform(-h, h, count), rng.uniform(0, h, count)
    stretched = time if name == "de_sitter" else place
    weight = np.sin(place) ** (dimension - 2) / np.cos(stretched) ** dimension
    weight *= place <= h - np.abs(time)
    for found, expected in (t**2, time**2), (angle, place), (angle**2 * t, place**2 * time):
        mean = np.average(expected, weights=weight)
        spread = np.sqrt(np.average((expected - mean) ** 2, weights=weight))
        effective = weight.sum() ** 2 / np.square(weight).sum()
        error = spread * np.sqrt(1 / effective + 1 / len(found))
        assert abs(found.mean() - mean) < 4 * error


@pytest.mark.parametrize("name", DIAMONDS)
def test_the_volume_of_a_two_dimensional_diamond_is_in_its_curvature(name, rng):
    for h in (0.3, 1.0, 1.4):
        causal_set = DIAMONDS[name](rng, 50, h)
        sign = 1 if name == "de_sitter" else -1
        expected = sign * 2 * 4 * np.log(1 / np.cos(h)) / 50  # R V / n with V = 4 ln sec h
        assert causal_set.made_of["mean_scaled_curvature"] == pytest.approx(expected, rel=1e-5)
        assert causal_set.curvature.tolist() == [2 * sign] * 50


@pytest.mark.parametrize("name", DIAMONDS)
def test_the_elements_between_two_are_as_many_as_their_proper_time_says(name, rng):
    # The sum over related pairs of elements between - (n - 2) V(τ) / V has the mean 0.
    n, h, deviations, counts = 80, 1.2, [], []
    for _ in range(60):
        causal_set = DIAMONDS[name](rng, n, h)
        t, angle = coordinates(causal_set)
        i, j = np.nonzero(causal_set.relations)
        volume = volume_between(name, t[i], angle[i], t[j], angle[j]) / (4 * np.log(1 / np.cos(h)))
        between = interval_sizes(causal_set.relations)[i, j]
        deviations.append(np.sum(between - (n - 2) * volume))
        counts.append(between.sum())
    agree(deviations, 0, 0.03 * np.mean(counts))


@pytest.mark.parametrize("name", DIAMONDS)
@pytest.mark.parametrize("h", [0.5, 1.3])
def test_the_ordering_fraction_is_the_mean_volume_of_the_future(name, h, rng):
    grid = np.linspace(-h, h, 601)[:-1] + h / 600
    t, angle = (one.ravel() for one in np.meshgrid(grid, grid))
    inside = np.abs(angle) < h - np.abs(t)
    t, angle = t[inside], angle[inside]
    weight = 1 / np.cos(t if name == "de_sitter" else angle) ** 2
    future = volume_between(name, t, angle, h, 0.0)
    expected = 2 * np.average(future, weights=weight) / (4 * np.log(1 / np.cos(h)))
    agree([fraction(DIAMONDS[name](rng, 150, h)) for _ in range(60)], expected, 0.006)


def test_positive_curvature_relates_more_pairs_than_negative():
    generators = [np.random.default_rng(5), np.random.default_rng(5)]
    positive = [fraction(de_sitter(generators[0], 200, 1.3)) for _ in range(10)]
    negative = [fraction(anti_de_sitter(generators[1], 200, 1.3)) for _ in range(10)]
    assert np.mean(negative) < 0.5 < np.mean(positive)


@pytest.mark.parametrize("name", DIAMONDS)
@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_a_small_diamond_is_flat(name, dimension, rng):
    estimates = [
        compute(
            "myrheim_meyer_dimension",
            Orders.of(DIAMONDS[name](rng, 300, 0.02, dimension).relations),
        )
        for _ in range(20)
    ]
    agree(estimates, dimension, 0.06)


@pytest.mark.parametrize("name", DIAMONDS)
def test_the_longest_chain_goes_as_proper_time(name, rng):
    # Of a density n / V the longest chain has √2 (n / V)^(1/2) τ elements, as in flat spacetime
    # with V = τ² / 2, where that is 2 √n; what is missing there is 1.77 n^(1/6).
    n, h = 1500, 1.2
    tau = 2 * np.arctanh(np.sin(h)) if name == "de_sitter" else 2 * h
    volume = 4 * np.log(1 / np.cos(h))
    lengths = [1 + longest_chains(DIAMONDS[name](rng, n, h).relations)[0].max() for _ in range(4)]
    expected = np.sqrt(2 * n / volume) * tau - 1.77 * n ** (1 / 6)
    assert abs(np.mean(lengths) - expected) < 2 * n ** (1 / 6)


@pytest.mark.parametrize("height", [0.3, 0.5, 1.5])
def test_the_ordering_fraction_of_a_cylinder_is_the_one_of_its_height(height, rng):
    a = height
    expected = 2 * a / 3 if a <= 0.5 else 1 - 1 / (2 * a) + 1 / (12 * a**2)
    agree([fraction(cylinder(rng, 150, height)) for _ in range(60)], expected, 0.005)


@pytest.mark.parametrize("dimension", [3, 4])
def test_the_ordering_fraction_of_a_spherical_universe_is_that_of_its_angles(dimension, rng):
    # The time between two points is at least θ with probability (1 - θ/T)².
    height = 0.4
    top = min(np.pi, 2 * np.pi * height)
    power = dimension - 2
    total, _ = quad(lambda angle: np.sin(angle) ** power, 0, np.pi)
    related, _ = quad(
        lambda angle: np.sin(angle) ** power * (1 - angle / (2 * np.pi * height)) ** 2, 0, top
    )
    found = [fraction(cylinder(rng, 120, height, dimension)) for _ in range(60)]
    agree(found, related / total, 0.005)


def test_the_longest_chain_of_a_cylinder_goes_as_its_height(rng):
    n, height = 1500, 2.0
    density = n / height  # in units of the circumference
    lengths = [1 + longest_chains(cylinder(rng, n, height).relations)[0].max() for _ in range(4)]
    assert np.mean(lengths) == pytest.approx(np.sqrt(2 * density) * height, rel=0.06)


def test_only_spheres_are_curved(rng):
    curvatures = [cylinder(rng, 5, 1.0, dimension).curvature[0] for dimension in (2, 3, 4)]
    assert curvatures == [0, 2, 6]


def test_the_way_around_a_cylinder_may_be_the_shorter_one():
    angle = np.array([0.1, 2 * np.pi - 0.1, np.pi])
    place = np.column_stack([np.cos(angle), np.sin(angle)])
    labels, relations = spherical_order(np.array([0.0, 0.3, 0.5]), place)
    assert labels.tolist() == [0, 1, 2]
    assert np.argwhere(relations).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("function", "kwargs", "message"),
    [
        (de_sitter, {"extent": 1.6}, "'extent' is 1.6; give a number from 0.001 to 1.5"),
        (anti_de_sitter, {"dimension": 5}, "'dimension' is 5; give 2, 3 or 4"),
        (cylinder, {"height": [1.0]}, "'height' is .* from 0.001 to 1000"),
        (cylinder, {"dimension": "two"}, "'dimension' is 'two'; give 2, 3 or 4"),
    ],
)
def test_a_parameter_out_of_its_range_is_an_error(function, kwargs, message, rng):
    with pytest.raises(ConfigError, match=message):
        function(rng, 10, **kwargs)
