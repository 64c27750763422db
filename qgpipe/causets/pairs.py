"""Matrices of all pairs of elements, made in strips of rows: one of many elements fits no cache."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_ROWS = 128


def draw_pairs(rng: np.random.Generator, n: int, probability: float) -> NDArray[np.bool_]:
    """Each entry true with ``probability``: ``rng.random((n, n)) < probability``."""
    drawn = np.empty((n, n), bool)
    for start in range(0, n, _ROWS):
        strip = drawn[start : start + _ROWS]
        np.less(rng.random(strip.shape), probability, out=strip)
    return drawn


def relate_pairs(n: int, related: Callable[[slice, slice], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The strictly upper triangular matrix (n, n) of a relation, bool.

    ``related(rows, columns)`` is a part of it; what it says on and below the diagonal is ignored.
    """
    relations = np.zeros((n, n), bool)
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        relations[rows, start:] = related(rows, slice(start, None))
        relations[rows, rows] = np.triu(relations[rows, rows], 1)
    return relations
