"""Regular lattices of points in flat 2-d spacetime."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.curvature import ConformalFactor, random_conformal_factor
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.parameters import (
    IntegerParameter,
    RealParameter,
    draw_real,
    require_choice,
)
from qgpipe.causets.generators.sprinklings import DEFAULT_DECAY, DEFAULT_ORDER, described
from qgpipe.errors import ConfigError, shown

LATTICES = ("quadratic", "rectangular", "rhombic", "hexagonal", "triangular", "oblique")

_NODES = 257  # in each coordinate, of the tabulated volume of a curved lattice


class _Cell(NamedTuple):
    """Edges of a cell as rows before the rotation ``turn`` (2, 2), and its points ``basis``."""

    upright: NDArray[np.float64]
    turn: NDArray[np.float64]
    basis: NDArray[np.float64]

    @property
    def edges(self) -> NDArray[np.float64]:
        """The edges as rows, rotated."""
        return self.upright @ self.turn


def grid(
    rng: np.random.Generator,
    n: int,
    lattice: str | None = None,
    rotation: RealParameter = (0.0, 180.0),
    ratio: RealParameter = (0.2, 5.0),
    angle: RealParameter = (10.0, 59.0),
    region: str | None = None,
    curved: bool = False,
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """n points of a piece of a lattice, with the flat causal order.

    ``lattice`` is one of ``LATTICES``; None draws one. ``ratio``: of the second edge to the first
    (rectangular, oblique), or of the diagonals (rhombic); ``angle``: between the edges, in degrees
    (oblique). The lattice is rotated by ``rotation`` degrees.

    ``region``: where the n points are. None: the earliest ones of a piece with equally many cells
    along both edges. ``box``: [-1, 1]² in t and x; ``diamond``: |x| ≤ 1 - |t|. These grow around a
    random place of the lattice until they hold n points; of points that are reached at the same
    time some may be left out.

    ``curved``: the lattice is that of a box or diamond in a curved spacetime with a positive
    conformal factor, shaped by ``order`` and ``decay`` as in
    :func:`~qgpipe.causets.generators.sprinklings.polynomial`: it is deformed until every cell has
    the same volume. In a diamond the box of the factor is that of u = t + x and v = t - x.

    Raises ``ConfigError`` for an unknown lattice or region, and for a curved lattice without one.
    """
    require_choice(region, "region", (None, "box", "diamond"))
    require_choice(curved, "curved", (False, True))
    chosen, cell = _drawn_cell(rng, lattice, rotation, ratio, angle)
    kept = {"dimension": 2, **chosen}
    if region is None:
        if curved:
            raise ConfigError("'curved' needs a region", remedy="give 'region': box or diamond")
        points = _earliest(n, cell)
        _, relations = flat_order(points[:, 0], points[:, 1:])
        return CausalSet(relations, of_elements={"coordinates": points}, made_of=kept)
    square = _filling(rng, n, cell)  # t, x of a box; u, v of a diamond
    factor = random_conformal_factor(rng, order, decay, positive=True) if curved else None
    if factor is not None:
        square = equal_volumes(square, factor)
    points = (
        square if region == "box" else np.stack([square.sum(1), square[:, 0] - square[:, 1]], 1) / 2
    )
    labels, relations = flat_order(points[:, 0], points[:, 1:])
    if factor is None:
        return CausalSet(relations, of_elements={"coordinates": points[labels]}, made_of=kept)
    made_of = {**described(factor), **kept}
    return CausalSet(relations, of_elements={"coordinates": points[labels]}, made_of=made_of)


def equal_volumes(points: NDArray[np.float64], factor: ConformalFactor) -> NDArray[np.float64]:
    """Move points of [-1, 1]² so that regions of equal area have equal volume ∫ f², (n, 2).

    The first coordinate goes to where the marginal distribution of f² has the value that the
    uniform one had, then the second to where the conditional one has (Rosenblatt, Remarks on a
    Multivariate Transformation, 1952). Distributions are tabulated, with errors below 1e-3.
    """
    nodes = np.linspace(-1, 1, _NODES)
    pairs = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    density = factor.density(pairs).reshape(_NODES, _NODES)
    marginal = _distribution(density.sum(axis=1))
    first = np.interp((points[:, 0] + 1) / 2, marginal, nodes)
    along = np.column_stack([np.repeat(first, _NODES), np.tile(nodes, len(points))])
    conditional = _distribution(factor.density(along).reshape(len(points), _NODES))
    wanted = (points[:, 1] + 1) / 2
    # Interpolation in each row, at the last node that is not above what is wanted.
    cell = np.minimum((conditional <= wanted[:, None]).sum(axis=1), _NODES - 1) - 1
    rows = np.arange(len(points))
    below, above = conditional[rows, cell], conditional[rows, cell + 1]
    second = nodes[cell] + (wanted - below) / (above - below) * (nodes[1] - nodes[0])
    return np.column_stack([first, second])


def _distribution(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """The integral of a tabulated density along the last axis, from 0 to 1."""
    steps = density[..., 1:] + density[..., :-1]
    summed = np.cumsum(steps, axis=-1)
    return np.concatenate([np.zeros_like(summed[..., :1]), summed], -1) / summed[..., -1:]


def _filling(rng: np.random.Generator, n: int, cell: _Cell) -> NDArray[np.float64]:
    """n points of a lattice that fill [-1, 1]², float64 (n, 2), in no order."""
    area = abs(np.linalg.det(cell.edges)) / len(cell.basis)
    half = np.sqrt(n * area) / 2  # of the box that is expected to hold n points
    while True:
        margin = half + np.abs(cell.edges).sum()
        reach = np.ceil(margin * np.abs(np.linalg.inv(cell.edges)).sum(axis=0)).astype(int) + 2
        corners = np.indices(2 * reach + 1).reshape(2, -1).T - reach
        place = rng.random(2)
        points = ((corners[:, None] + cell.basis + place) @ cell.edges).reshape(-1, 2)
        distance = np.abs(points).max(axis=1)
        if np.count_nonzero(distance <= margin) > n:
            break
        half *= 1.2
    nearest = np.argsort(distance, kind="stable")[: n + 1]
    # The wall is halfway to the first point that is left out.
    wall = (distance[nearest[n - 1]] + distance[nearest[n]]) / 2
    return points[nearest[:n]] / wall


def lattice_points(
    rng: np.random.Generator,
    n: int,
    lattice: str | None,
    rotation: RealParameter,
    ratio: RealParameter,
    angle: RealParameter,
) -> NDArray[np.float64]:
    """Coordinates (t, x) of the n earliest points of :func:`grid`, float64 (n, 2), earliest first.

    They are moved and scaled, by the same factor in t and x, to fill the height or width of
    [-1, 1]².
    """
    return _earliest(n, _drawn_cell(rng, lattice, rotation, ratio, angle)[1])


def _earliest(n: int, cell: _Cell) -> NDArray[np.float64]:
    cells = int(np.ceil(np.sqrt(n / len(cell.basis))))
    corners = np.indices((cells, cells)).reshape(2, -1).T.astype(np.float64)
    points = ((corners[:, None] + cell.basis) @ cell.upright).reshape(-1, 2) @ cell.turn
    points = points[np.argsort(points[:, 0], kind="stable")][:n]
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max()
    return (points - (low + high) / 2) * (2 / extent if extent > 0 else 1.0)


def _drawn_cell(
    rng: np.random.Generator,
    lattice: str | None,
    rotation: RealParameter,
    ratio: RealParameter,
    angle: RealParameter,
) -> tuple[dict[str, float], _Cell]:
    """What was drawn of a lattice, and its cell."""
    if lattice is None:
        lattice = LATTICES[rng.integers(len(LATTICES))]
    elif lattice not in LATTICES:
        raise ConfigError(
            f"'lattice' is {shown(lattice)}", remedy=f"give one of {', '.join(LATTICES)}"
        )
    kept: dict[str, float] = {"lattice": LATTICES.index(lattice)}
    upright, basis = _cell(rng, lattice, ratio, angle, kept)
    degrees = draw_real(rng, rotation, "rotation", 0.0, 360.0)
    turned = np.deg2rad(degrees)
    turn = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    return {**kept, "rotation": degrees}, _Cell(upright, turn, basis)


def _cell(
    rng: np.random.Generator,
    lattice: str,
    ratio: RealParameter,
    angle: RealParameter,
    kept: dict[str, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The edges of a cell as rows, and its points in units of the edges; what is drawn is kept."""
    kept |= {"cell_ratio": np.nan, "cell_angle": np.nan}
    single = np.zeros((1, 2))
    sixty = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    match lattice:
        case "quadratic":
            return np.eye(2), single
        case "triangular":
            return sixty, single
        case "hexagonal":
            return sixty, np.array([[0.0, 0.0], [1 / 3, 1 / 3]])
    second = kept["cell_ratio"] = draw_real(rng, ratio, "ratio", 0.01, 100.0)
    match lattice:
        case "rectangular":
            return np.diag([1.0, second]), single
        case "rhombic":
            return np.array([[0.5, 0.5 * second], [0.5, -0.5 * second]]), single
    kept["cell_angle"] = draw_real(rng, angle, "angle", 1.0, 179.0)
    opening = np.deg2rad(kept["cell_angle"])
    return np.array([[1.0, 0.0], [second * np.cos(opening), second * np.sin(opening)]]), single
