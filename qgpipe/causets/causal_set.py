"""A causal set as generators return it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CausalSet:
    """A finite partial order in a natural labelling: i precedes j only if i < j.

    ``relations`` is a bool matrix (n, n), transitively closed, with ``relations[i, j]`` true iff
    element i precedes element j; it is strictly upper triangular. ``manifold_like``: whether it was
    sprinkled into a spacetime. Then ``curvature`` may hold the Ricci scalar at each element,
    float64 (n,).
    """

    relations: NDArray[np.bool_]
    manifold_like: bool = False
    curvature: NDArray[np.float64] | None = None
