"""A causal set as generators return it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Number = int | float
Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CausalSet:
    """A finite partial order in a natural labelling: i precedes j only if i < j.

    ``relations`` is a bool matrix (n, n), transitively closed, with ``relations[i, j]`` true iff
    element i precedes element j; it is strictly upper triangular. ``manifold_like``: whether it was
    sprinkled into a spacetime. Then ``curvature`` may hold the Ricci scalar at each element,
    float64 (n,), in the units of its coordinates.

    What the set was made of is kept in stores under these names: ``of_elements``, arrays (n,) or
    (n, k), such as ``coordinates``; ``made_of``, a number each or an array (k,), such as
    ``flip_share``. Integers are stored as int64, real numbers as float32.
    """

    relations: NDArray[np.bool_]
    manifold_like: bool = False
    curvature: NDArray[np.float64] | None = None
    of_elements: Mapping[str, Values] = field(default_factory=dict)
    made_of: Mapping[str, Number | Values] = field(default_factory=dict)
