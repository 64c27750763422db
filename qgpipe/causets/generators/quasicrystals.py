"""Lorentzian quasicrystals: points of a lattice in four dimensions near a slice of spacetime.

The lattice is I_{3,1}: the integers ℤ⁴ with the metric η = diag(-1, 1, 1, 1). The product C of the
reflections in its simple roots e1 - e2, e2 - e3, e3 and e0 - e1 - e2 - e3 (a Coxeter element) is an
automorphism. Two of its eigenvectors are null, with eigenvalues λ and 1/λ, λ + 1/λ = (1 + √17)/2:
they span the plane of spacetime, on which C is a boost. The plane orthogonal to it is Euclidean,
and C rotates it. Lattice points whose projection to that plane is within a window, projected to
spacetime, are a quasicrystal: discrete, without a period, and self-similar under C (Boyle and
Mygdalas, Spacetime Quasicrystals, arXiv:2601.07769, 2026).
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.generators.parameters import RealParameter, draw_real

_ROOTS = np.array([[0, 1, -1, 0], [0, 0, 1, -1], [0, 0, 0, 1], [1, -1, -1, -1]], np.float64)
_METRIC = np.diag([-1.0, 1.0, 1.0, 1.0])

Reals = NDArray[np.float64]


class Slice(NamedTuple):
    """The Coxeter element C, float64 (4, 4), and coordinates of a lattice point k, a column.

    ``null`` (2, 4): null @ k are u = t + x and v = t - x; ``across`` (2, 4): across @ k is the
    projection to the Euclidean plane. kᵀ η k = |across @ k|² - u v. ``boost``: λ > 1, by which C
    multiplies u.
    """

    coxeter: Reals
    null: Reals
    across: Reals
    boost: float


def quasicrystal(
    rng: np.random.Generator,
    n: int,
    radius: RealParameter = 1.0,
    rapidity: RealParameter = (0.0, 0.733),
) -> CausalSet:
    """n points of a two-dimensional Lorentzian quasicrystal in a causal diamond.

    The window is a disc of ``radius`` ρ (or a range to draw it from) in units of the lattice, which
    is shifted at random. The diamond grows around the origin until there are n points in it, and is
    scaled to |x| ≤ 1 - |t|. There are π ρ² points in a unit of volume of spacetime, as there is one
    lattice point in a unit of volume of four dimensions; their number varies less than that of a
    sprinkling. No two points are on the same light ray. The lattice is boosted by
    ``rapidity`` (or a range), the diamond is not: after ln λ ≈ 0.733 the quasicrystals are the
    same. Raises ``ConfigError`` for parameters out of range.
    """
    window = draw_real(rng, radius, "radius", 0.2, 5.0)
    boosted = draw_real(rng, rapidity, "rapidity", -100.0, 100.0)
    boosted %= np.log(lorentzian_slice().boost)
    shift = rng.random(4)
    # The expected size, with a margin that grows until there are enough.
    half = np.sqrt(n / (2 * np.pi)) / window + 1.0
    while True:
        points = points_in_square(half, window, shift, boosted)
        if len(points) > n:
            break
        half *= 1.2
    reach = np.abs(points).max(axis=1)
    nearest = np.argsort(reach, kind="stable")
    u, v = points[nearest[:n]].T / reach[nearest[n]]
    t, x = (u + v) / 2, (u - v) / 2
    labels, relations = flat_order(t, x[:, None])
    return CausalSet(
        relations,
        of_elements={"coordinates": np.column_stack([t, x])[labels]},
        made_of={"dimension": 2, "window_radius": window, "rapidity": boosted},
    )


def points_in_square(half: float, window: float, shift: Reals, rapidity: float = 0.0) -> Reals:
    """Null coordinates u, v of all points with |u|, |v| ≤ ``half``, float64 (m, 2).

    ``window``: radius of the disc; ``shift`` (4,): of the lattice; ``rapidity``: of a boost.
    """
    cut = lorentzian_slice()
    forward = np.array([np.exp(rapidity), np.exp(-rapidity)])[:, None] * cut.null
    # Every coordinate of k is a sum of u, v and the two across, which bounds it. Two coordinates
    # are listed; the others are near the place where the projection across vanishes.
    inverse = np.linalg.inv(np.concatenate([forward, cut.across]))
    bounds = np.abs(inverse[2:]) @ np.array([half, half, window, window])
    axes = [
        np.arange(np.ceil(-bound - offset), np.floor(bound - offset) + 1) + offset
        for bound, offset in zip(bounds, shift[2:], strict=True)
    ]
    last = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    solve = np.linalg.inv(cut.across[:, :2])
    centre = -last @ cut.across[:, 2:].T @ solve.T
    reach = window * np.linalg.norm(solve, axis=1)
    start = np.ceil(centre - reach - shift[:2]) + shift[:2]
    steps = np.indices((np.floor(2 * reach) + 1).astype(int)).reshape(2, -1).T
    first = start[:, None] + steps
    lattice = np.concatenate([first, np.broadcast_to(last[:, None], first.shape)], axis=2)
    lattice = lattice.reshape(-1, 4)
    inside = np.square(lattice @ cut.across.T).sum(axis=1) <= window**2
    points = lattice[inside] @ forward.T
    return points[(np.abs(points) <= half).all(axis=1)]


@functools.cache
def lorentzian_slice() -> Slice:
    """The slice through the lattice, from the eigenvectors of the Coxeter element."""
    coxeter = np.eye(4)
    for root in _ROOTS:
        coxeter = coxeter @ (
            np.eye(4) - 2 * np.outer(root, _METRIC @ root) / (root @ _METRIC @ root)
        )
    values, vectors = np.linalg.eig(coxeter)
    order = np.argsort(np.where(np.abs(values.imag) > 1e-9, -1.0, values.real))
    grow, shrink = vectors[:, order[3]].real, vectors[:, order[2]].real
    grow, shrink = grow * np.sign(grow[0]), shrink * np.sign(shrink[0])
    # k = u grow' / 2 + v shrink' / 2 + …, with null vectors normalised so that kᵀ η k = -u v.
    size = np.sqrt(-(grow @ _METRIC @ shrink) / 2)
    grow, shrink = grow / size, shrink / size
    null = np.stack([-(shrink @ _METRIC), -(grow @ _METRIC)])
    across = np.stack([vectors[:, order[0]].real, vectors[:, order[0]].imag])
    across[0] /= np.sqrt(across[0] @ _METRIC @ across[0])
    across[1] -= (across[1] @ _METRIC @ across[0]) * across[0]
    across[1] /= np.sqrt(across[1] @ _METRIC @ across[1])
    return Slice(coxeter, null, across @ _METRIC, float(values[order[3]].real))
