"""Sprinklings into de Sitter and anti-de Sitter space and a cylinder, by their conformal form.

All three are conformal to a part of the Einstein cylinder ds² = -dt² + dω², dω² being the metric of
the unit sphere S^(d-1): de Sitter space as sec²t (-dt² + dω²) with |t| < π/2; anti-de Sitter space
as sec²χ (-dt² + dω²) on the half sphere χ < π/2, χ being the angle from a pole (the global
conformal cylinder: Podolský and Hruška, arXiv:1703.01367). So an element precedes another iff the
time between them is at least the angle between them. In units of the radius of curvature, R is
d (d - 1) and -d (d - 1), and (d - 1) (d - 2) on the cylinder of radius 1.
"""

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.parameters import RealParameter, draw_real, require_choice
from qgpipe.causets.generators.sprinklings import DIMENSIONS
from qgpipe.causets.pairs import relate_pairs

LARGEST_EXTENT = 1.5  # below π/2, where volumes diverge

_NODES = 4097  # of the tabulated distribution of one coordinate

Reals = NDArray[np.float64]


def de_sitter(
    rng: np.random.Generator,
    n: int,
    extent: RealParameter = (0.1, 1.4),
    dimension: int = 2,
) -> CausalSet:
    """Sprinkle n points into the causal diamond of two points of de Sitter space.

    The tips are at the conformal times t = ± ``extent`` h (or a range to draw it from), 0 < h ≤
    1.5, of one observer; ``dimension`` is 2, 3 or 4. The observer's proper time between them is
    τ = 2 artanh(sin h), in units of the radius of curvature. In two dimensions the volume between
    two points at proper time τ is 4 ln cosh(τ/2), here 4 ln sec h. Raises ``ConfigError`` for
    parameters out of range.
    """
    return _diamond(rng, n, extent, dimension, stretched_in_time=True)


def anti_de_sitter(
    rng: np.random.Generator,
    n: int,
    extent: RealParameter = (0.1, 1.4),
    dimension: int = 2,
) -> CausalSet:
    """Sprinkle n points into the causal diamond of two points of anti-de Sitter space.

    The tips are at the times t = ± ``extent`` h (or a range to draw it from), 0 < h ≤ 1.5, of an
    observer at the pole; ``dimension`` is 2, 3 or 4. The observer's proper time between them is τ =
    2 h, in units of the radius of curvature: the diamond does not reach the boundary at χ = π/2. In
    two dimensions the volume between two points at proper time τ is -4 ln cos(τ/2). Raises
    ``ConfigError`` for parameters out of range.
    """
    return _diamond(rng, n, extent, dimension, stretched_in_time=False)


def cylinder(
    rng: np.random.Generator,
    n: int,
    height: RealParameter = (0.2, 2.0),
    dimension: int = 2,
) -> CausalSet:
    """Sprinkle n points uniformly into 0 ≤ t ≤ T, with space the unit sphere S^(d-1).

    In two dimensions space is a circle and the spacetime is flat. ``height``: T over the
    circumference 2π (or a range to draw it from); ``dimension`` d is 2, 3 or 4. In two dimensions a
    share 2a/3 of pairs is related for a = T / 2π ≤ ½, 1 - 1/(2a) + 1/(12a²) above. Raises
    ``ConfigError`` for parameters out of range.
    """
    require_choice(dimension, "dimension", DIMENSIONS)
    turns = draw_real(rng, height, "height", 1e-3, 1e3)
    t = 2 * np.pi * turns * rng.random(n)
    place = rng.standard_normal((n, dimension))
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    # Surface of the sphere: 2 π^(d/2) / Γ(d/2), that is 2π, 4π, 2π².
    volume = 2 * np.pi * turns * {2: 2 * np.pi, 3: 4 * np.pi, 4: 2 * np.pi**2}[dimension]
    curvature = float((dimension - 1) * (dimension - 2))
    return _sprinkled(t, place, curvature, volume, {"height": turns})


def spherical_order(t: Reals, place: Reals) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Label points of the Einstein cylinder by time, and relate those that a causal curve joins.

    ``t`` (n,) are times, ``place`` (n, d) unit vectors. Returns the permutation (n,) that sorts
    the points by time, and the relation matrix (n, n) of the sorted points: i ≺ j iff t_j - t_i is
    at least the angle between their places, and i < j.
    """
    labels = np.argsort(t, kind="stable")
    t, place = t[labels], place[labels]

    def causal(i: slice, j: slice) -> NDArray[np.bool_]:
        # The angle by the chord, 2 arcsin(|x - y| / 2), is accurate for small angles also.
        squared = np.square(place[i, None] - place[j]).sum(axis=2)
        return t[j] - t[i, None] >= 2 * np.arcsin(np.sqrt(np.minimum(squared / 4, 1)))

    return labels, relate_pairs(len(t), causal)


def _diamond(
    rng: np.random.Generator,
    n: int,
    extent: RealParameter,
    dimension: int,
    stretched_in_time: bool,
) -> CausalSet:
    """The diamond χ ≤ h - |t|: of volume sec^d s sin^(d-2) χ dt dχ dω, where s is t or χ."""
    require_choice(dimension, "dimension", DIMENSIONS)
    h = draw_real(rng, extent, "extent", 1e-3, LARGEST_EXTENT)
    # a = |t| or χ, on which the density depends most, is drawn first; then the other up to h - a.
    # ∫ sin^(d-2) χ dχ from 0 is χ, 1 - cos χ, χ/2 - sin 2χ / 4 for d = 2, 3, 4.
    a = np.linspace(0, h, _NODES)
    power = 1 / np.cos(a) ** dimension
    if stretched_in_time:
        table = power * _ball(h - a, dimension)
    else:
        table = power * np.sin(a) ** (dimension - 2) * (h - a)
    drawn, volume = _draw(rng, n, a, table)
    if stretched_in_time:
        time = drawn
        angle = _angle_of(rng.random(n) * _ball(h - time, dimension), dimension)
    else:
        angle = drawn
        time = (h - angle) * rng.random(n)
    t = time * rng.choice([-1.0, 1.0], n)
    direction = rng.standard_normal((n, dimension - 1))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    place = np.column_stack([np.cos(angle), np.sin(angle)[:, None] * direction])
    # Both halves in time; and the directions, S^(d-2): 2, 2π, 4π.
    volume *= 2 * {2: 2, 3: 2 * np.pi, 4: 4 * np.pi}[dimension]
    curvature = dimension * (dimension - 1.0) * (1 if stretched_in_time else -1)
    return _sprinkled(t, place, curvature, volume, {"extent": h})


def _sprinkled(
    t: Reals, place: Reals, curvature: float, volume: float, made_of: dict[str, float]
) -> CausalSet:
    """The sprinkling of points in a spacetime of constant ``curvature`` R and ``volume``."""
    n, dimension = place.shape
    labels, relations = spherical_order(t, place)
    scaled = curvature * (volume / n) ** (2 / dimension)
    return CausalSet(
        relations,
        manifold_like=True,
        curvature=np.full(n, curvature),
        of_elements={
            "coordinates": np.column_stack([t, place])[labels],
            "scaled_curvature": np.full(n, scaled),
        },
        made_of={"dimension": dimension, "mean_scaled_curvature": scaled, **made_of},
    )


def _ball(angle: Reals, dimension: int) -> Reals:
    """∫ sin^(d-2) from 0 to ``angle``; a power series where the difference would cancel."""
    match dimension:
        case 2:
            return angle
        case 3:
            return 2 * np.sin(angle / 2) ** 2
    small = angle**3 / 3 - angle**5 / 15
    return np.where(angle < 1e-2, small, angle / 2 - np.sin(2 * angle) / 4)


def _angle_of(ball: Reals, dimension: int) -> Reals:
    """The angle whose :func:`_ball` is given."""
    match dimension:
        case 2:
            return ball
        case 3:
            return 2 * np.arcsin(np.sqrt(ball / 2))
    angles = np.linspace(0, LARGEST_EXTENT, _NODES)
    # The cube root is nearly linear, so that interpolation is accurate down to 0.
    return np.interp(np.cbrt(ball), np.cbrt(_ball(angles, dimension)), angles)


def _draw(rng: np.random.Generator, n: int, nodes: Reals, density: Reals) -> tuple[Reals, float]:
    """n numbers of a tabulated density, and its integral: the density is linear between nodes."""
    width = nodes[1] - nodes[0]
    below = np.concatenate([[0], np.cumsum(density[:-1] + density[1:]) * width / 2])
    target = rng.random(n) * below[-1]
    cell = np.minimum(np.searchsorted(below, target, side="right") - 1, len(nodes) - 2)
    rest, first = target - below[cell], density[cell]
    slope = (density[cell + 1] - first) / width
    step = 2 * rest / (first + np.sqrt(np.maximum(first**2 + 2 * slope * rest, 0)) + 1e-300)
    return nodes[cell] + np.minimum(step, width), float(below[-1])
