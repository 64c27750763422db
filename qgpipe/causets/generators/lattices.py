"""Regular lattices of points in flat 2-d spacetime."""

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.parameters import RealParameter, draw_real
from qgpipe.errors import ConfigError, shown

LATTICES = ("quadratic", "rectangular", "rhombic", "hexagonal", "triangular", "oblique")


def grid(
    rng: np.random.Generator,
    n: int,
    lattice: str | None = None,
    rotation: RealParameter = (0.0, 180.0),
    ratio: RealParameter = (0.2, 5.0),
    angle: RealParameter = (10.0, 59.0),
) -> CausalSet:
    """The n earliest points of a piece of a lattice, with the flat causal order.

    ``lattice`` is one of ``LATTICES``; None draws one. The piece has equally many cells along both
    edges, and is rotated by ``rotation`` degrees. ``ratio``: of the second edge to the first
    (rectangular, oblique), or of the diagonals (rhombic); ``angle``: between the edges, in degrees
    (oblique).

    Raises ``ConfigError`` for an unknown lattice.
    """
    points = lattice_points(rng, n, lattice, rotation, ratio, angle)
    _, relations = flat_order(points[:, 0], points[:, 1:])
    return CausalSet(relations)


def lattice_points(
    rng: np.random.Generator,
    n: int,
    lattice: str | None,
    rotation: RealParameter,
    ratio: RealParameter,
    angle: RealParameter,
) -> NDArray[np.float64]:
    """Coordinates (t, x) of the points of :func:`grid`, float64 (n, 2), earliest first.

    They are moved and scaled, by the same factor in t and x, to fill the height or width of
    [-1, 1]².
    """
    if lattice is None:
        lattice = LATTICES[rng.integers(len(LATTICES))]
    elif lattice not in LATTICES:
        raise ConfigError(
            f"'lattice' is {shown(lattice)}", remedy=f"give one of {', '.join(LATTICES)}"
        )
    edges, basis = _cell(rng, lattice, ratio, angle)
    turn = np.deg2rad(draw_real(rng, rotation, "rotation", 0.0, 360.0))
    cells = int(np.ceil(np.sqrt(n / len(basis))))
    corners = np.indices((cells, cells)).reshape(2, -1).T.astype(np.float64)
    points = ((corners[:, None] + basis) @ edges).reshape(-1, 2)
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = points[np.argsort(points[:, 0], kind="stable")][:n]
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max()
    return (points - (low + high) / 2) * (2 / extent if extent > 0 else 1.0)


def _cell(
    rng: np.random.Generator, lattice: str, ratio: RealParameter, angle: RealParameter
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The edges of a cell as rows, and its points in units of the edges."""
    single = np.zeros((1, 2))
    sixty = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    match lattice:
        case "quadratic":
            return np.eye(2), single
        case "triangular":
            return sixty, single
        case "hexagonal":
            return sixty, np.array([[0.0, 0.0], [1 / 3, 1 / 3]])
    second = draw_real(rng, ratio, "ratio", 0.01, 100.0)
    match lattice:
        case "rectangular":
            return np.diag([1.0, second]), single
        case "rhombic":
            return np.array([[0.5, 0.5 * second], [0.5, -0.5 * second]]), single
    opening = np.deg2rad(draw_real(rng, angle, "angle", 1.0, 179.0))
    return np.array([[1.0, 0.0], [second * np.cos(opening), second * np.sin(opening)]]), single
