"""Partial orders as boolean matrices: closure, reduction, checks, longest chains.

All matrices are strictly upper triangular (natural labelling), unless said otherwise. Products
are taken in float32 by BLAS: their entries count elements, so they are exact below 2**24 elements.
"""

import numpy as np
from numpy.typing import NDArray

_SMALLEST_BLOCK = 16
_UNDIVIDED = 128  # elements; smaller matrices are squared as a whole
_LARGEST_TOGETHER = 256  # elements; larger causal sets are handled one by one


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
    """Numbers of elements k with i ≺ k ≺ j: the square of the relation matrix.

    ``relations`` is a bool matrix [n, n], or a block of them [B, n, n], in any labelling; the
    result is float32 of the same shape. In a natural labelling it takes a third of the time: the
    square of [[A, X], [0, B]] is [[A², AX + XB], [0, B²]].
    """
    as_float = relations.astype(np.float32)
    if relations.shape[-1] <= _UNDIVIDED or np.tril(relations).any():
        return as_float @ as_float
    squared = np.zeros_like(as_float)
    _square(as_float, squared)
    return squared


def transitive_reduction(relations: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The links of a partial order: relations i ≺ j with nothing in between.

    ``relations`` is a bool matrix (n, n), transitively closed.
    """
    return relations & (interval_sizes(relations) == 0)


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
    relations: NDArray[np.bool_], in_degree: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Links in the longest chain that ends at each element, and that starts at it.

    ``relations`` is a bool matrix [n, n], or a block of them [B, n, n], transitively closed, in
    any labelling. ``in_degree``: numbers of elements in the past of each, [B, n], if known. Both
    results are float32 [n] or [B, n]: 0 for minimal (maximal) elements.

    Elements are visited in a natural labelling, the same element of all causal sets at once: h(j) =
    max over i ≺ j of h(i) + 1.
    """
    block = relations if relations.ndim == 3 else relations[None]
    if np.tril(block).any():
        if in_degree is None:
            in_degree = np.count_nonzero(block, axis=1).astype(np.float32)
        order = np.argsort(in_degree, axis=1, kind="stable")
        block = np.take_along_axis(block, order[:, :, None], axis=1)
        block = np.take_along_axis(block, order[:, None, :], axis=2)
    else:
        order = None
    past = _heights(block.swapaxes(1, 2))
    future = _heights(block[:, ::-1, ::-1])[:, ::-1]
    if order is not None:
        past, future = (
            np.take_along_axis(heights, np.argsort(order, axis=1), axis=1)
            for heights in (past, future)
        )
    return (past, future) if relations.ndim == 3 else (past[0], future[0])


def _square(matrix: NDArray[np.float32], squared: NDArray[np.float32]) -> None:
    """Write the square of an upper triangular ``matrix`` [..., n, n] to ``squared``, zeros."""
    n = matrix.shape[-1]
    if n <= _UNDIVIDED:
        np.matmul(matrix, matrix, out=squared)
        return
    past, future = slice(n // 2), slice(n // 2, n)
    _square(matrix[..., past, past], squared[..., past, past])
    _square(matrix[..., future, future], squared[..., future, future])
    cross = matrix[..., past, future]
    np.matmul(matrix[..., past, past], cross, out=squared[..., past, future])
    squared[..., past, future] += cross @ matrix[..., future, future]


def _diagonal_blocks(matrix: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """View of the diagonal blocks of a square matrix, (blocks, size, size)."""
    row, column = matrix.strides
    return np.lib.stride_tricks.as_strided(
        matrix, (len(matrix) // size, size, size), (size * (row + column), row, column)
    )


def _heights(precedes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``precedes`` [B, n, n]: entry [b, j, i] true iff i ≺ j, only for i < j."""
    if precedes.shape[1] > _LARGEST_TOGETHER:
        return np.stack([_walk(matrix) for matrix in precedes])
    count, n, _ = precedes.shape
    weights = np.ascontiguousarray(precedes).astype(np.float32)
    heights = np.zeros((count, n), np.float32)
    above = np.ones((count, n), np.float32)  # heights + 1
    products = np.empty((count, n), np.float32)
    for j in range(1, n):
        np.multiply(above[:, :j], weights[:, j, :j], out=products[:, :j])
        np.max(products[:, :j], axis=1, out=heights[:, j])
        above[:, j] += heights[:, j]
    return heights


def _walk(precedes: NDArray[np.bool_]) -> NDArray[np.float32]:
    heights = np.zeros(len(precedes), np.float32)
    for j, row in enumerate(np.ascontiguousarray(precedes)):
        below = heights[:j][row[:j]]
        if below.size:
            heights[j] = below.max() + 1
    return heights
