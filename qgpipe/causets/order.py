"""Partial orders as boolean matrices: closure, reduction, checks, longest chains.

All matrices are strictly upper triangular (natural labelling). Products are taken in float32
by BLAS: their entries count elements, so they are exact below 2**24 elements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALLEST_BLOCK = 16
_LARGEST_BY_PRODUCTS = 256


def transitive_closure(relations: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The smallest transitive relation that contains ``relations``.

    ``relations`` is a bool matrix (n, n), strictly upper triangular; so is the result.

    The closure of [[A, X], [0, B]] is [[A*, (1 + A*) X (1 + B*)], [0, B*]]. Blocks on the
    diagonal are closed by squaring, then joined in pairs, all pairs of a size in one batched
    product; the whole costs about a third of one matrix product.
    """
    n = len(relations)
    joins = max(0, int(np.ceil(np.log2(max(n, 1) / _SMALLEST_BLOCK))))
    size = max(1, -(-n // 2**joins))
    padded = size * 2**joins
    closed = np.zeros((padded, padded), np.float32)
    closed[:n, :n] = relations
    blocks = _diagonal_blocks(closed, size)
    length = 1
    while length < size:
        blocks[...] = np.minimum(blocks + blocks @ blocks, 1)
        length *= 2
    while size < padded:
        pairs = _diagonal_blocks(closed, 2 * size)
        past, future = pairs[:, :size, :size], pairs[:, size:, size:]
        cross = pairs[:, :size, size:]
        joined = cross + past @ cross
        joined += joined @ future
        cross[...] = np.minimum(joined, 1)
        size *= 2
    return closed[:n, :n] > 0


def interval_sizes(relations: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Numbers of elements k with i ≺ k ≺ j, float32 (n, n): the square of the relation matrix."""
    as_float = relations.astype(np.float32)
    return as_float @ as_float


def transitive_reduction(
    relations: NDArray[np.bool_], intervals: NDArray[np.float32] | None = None
) -> NDArray[np.bool_]:
    """The links of a partial order: relations i ≺ j with nothing in between.

    ``relations`` is a bool matrix (n, n), transitively closed; ``intervals`` its
    :func:`interval_sizes` where they are known already.
    """
    if intervals is None:
        intervals = interval_sizes(relations)
    return relations & (intervals == 0)


def order_violation(relations: NDArray[np.bool_]) -> str | None:
    """Why ``relations`` (bool (n, n)) is no partial order in a natural labelling, or ``None``."""
    backward = np.argwhere(np.tril(relations))
    if len(backward):
        i, j = backward[0]
        if i == j:
            return f"element {i} precedes itself"
        return f"element {i} precedes element {j}, which has the smaller label"
    missing = np.argwhere((interval_sizes(relations) > 0) & ~relations)
    if len(missing):
        i, j = missing[0]
        k = np.flatnonzero(relations[i] & relations[:, j])[0]
        return f"it is not transitive: {i} ≺ {k} ≺ {j}, but not {i} ≺ {j}"
    return None


def longest_chains(
    relations: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Links in the longest chain that ends at each element, and that starts at it.

    ``relations`` is a bool matrix (n, n), transitively closed. Both results are float32 (n,): 0
    for minimal (maximal) elements.

    Small orders: all minimal elements are taken away again and again; what is left after h
    rounds has height h or more. A round is a product with the matrix, so larger orders are
    walked through element by element instead.
    """
    if len(relations) <= _LARGEST_BY_PRODUCTS:
        return _peel(relations)
    return _walk(relations), _walk(relations.T[::-1, ::-1])[::-1]


def _diagonal_blocks(matrix: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """View of the diagonal blocks of a square matrix, (blocks, size, size)."""
    row, column = matrix.strides
    return np.lib.stride_tricks.as_strided(
        matrix, (len(matrix) // size, size, size), (size * (row + column), row, column)
    )


def _peel(relations: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    both = np.stack([relations, relations.T]).astype(np.float32)
    left = np.ones((2, 1, len(relations)), np.float32)
    height = np.zeros_like(left)
    while True:
        left = np.minimum(left @ both, 1)
        if not left.any():
            return height[0, 0], height[1, 0]
        height += left


def _walk(relations: NDArray[np.bool_]) -> NDArray[np.float32]:
    height = np.zeros(len(relations), np.float32)
    for j in range(1, len(relations)):
        below = height[:j][relations[:j, j]]
        if below.size:
            height[j] = below.max() + 1
    return height
