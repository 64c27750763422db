"""Partial orders as boolean matrices: closure, reduction, checks, longest chains.

All matrices are strictly upper triangular (natural labelling), unless said otherwise. Products
are taken in float32 by BLAS: their entries count elements, so they are exact below 2**24 elements.
"""

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.bit_rows import LARGEST_BYTE, WORD, close, column_counts, row_counts, transposed

_SMALLEST_BLOCK = 16
_CLOSED_BY_BLAS = 448  # elements; larger relations are closed as rows of bits
_UNDIVIDED = 128  # elements; smaller matrices are squared as a whole
_SQUARES = 64, 192  # sides of the blocks of larger ones: these fit into the cache
_AT_ONCE = 2**18  # entries of the largest matrices of a block of causal sets
_PACKED = 2**12  # a float32 holds two numbers below, one of them multiplied by this
_LARGEST_TOGETHER = 256  # elements; larger causal sets are handled one by one
_LOWER = np.tri(128, dtype=bool)


def transitive_closure(relations: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The smallest transitive relation that contains ``relations``.

    ``relations`` is a bool matrix (n, n), strictly upper triangular; so is the result.

    The closure of [[A, X], [0, B]] is [[A*, (1 + A*) X (1 + B*)], [0, B*]]. Blocks on the
    diagonal are closed by squaring, then joined in pairs, all pairs of a size in one batched
    product. The blocks of large matrices are joined as rows of bits.
    """
    n = len(relations)
    if n > _CLOSED_BY_BLAS:
        blocks = np.zeros((-(-n // WORD), WORD, WORD), np.float32)
        for block, start in zip(blocks, range(0, n, WORD), strict=True):
            part = relations[start : start + WORD, start : start + WORD]
            block[: len(part), : len(part)] = part
        _close(blocks, _SMALLEST_BLOCK)
        return close(relations, blocks > 0)
    joins = max(0, int(np.ceil(np.log2(max(n, 1) / _SMALLEST_BLOCK))))
    size = max(1, -(-n // 2**joins))
    closed = np.zeros((1, size * 2**joins, size * 2**joins), np.float32)
    closed[0, :n, :n] = relations
    _close(closed, size)
    return closed[0, :n, :n] > 0


def interval_sizes(relations: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Numbers of elements k with i ≺ k ≺ j: the square of the relation matrix.

    ``relations`` is a bool matrix [n, n], or a block of them [B, n, n], in any labelling; the
    result is float32 of the same shape. In a natural labelling it takes a quarter of the time, as
    only blocks on and above the diagonal are multiplied.

    Of at most 4096 elements, rows r and s are multiplied at once, as r + 4096 s: a number of
    elements from r and one from s both fit into the 24 bits of a float32.
    """
    n = relations.shape[-1]
    if n <= _UNDIVIDED:
        as_float = relations.astype(np.float32)
        return as_float @ as_float
    squared = np.zeros(relations.shape, np.float32)
    step = max(1, _AT_ONCE // n**2)
    for start in range(0, relations.size // n**2, step):
        few = slice(start, start + step)
        _square(relations.reshape(-1, n, n)[few], squared.reshape(-1, n, n)[few])
    return squared


def transitive_reduction(relations: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The links of a partial order: relations i ≺ j with nothing in between.

    ``relations`` is a bool matrix (n, n), transitively closed.
    """
    return relations & (interval_sizes(relations) == 0)


def is_natural(relations: NDArray[np.bool_]) -> bool:
    """Whether i ≺ j only for i < j: bool [n, n], or a block of matrices [B, n, n]."""
    for i in range(0, relations.shape[-1], len(_LOWER)):
        rows = relations[..., i : i + len(_LOWER), : i + len(_LOWER)]
        side = rows.shape[-2]
        if rows[..., :i].any() or (rows[..., i:] & _LOWER[:side, :side]).any():
            return False
    return True


def order_violation(relations: NDArray[np.bool_]) -> str | None:
    """Why ``relations`` (bool (n, n)) is no partial order in a natural labelling, or ``None``."""
    if not is_natural(relations):
        i, j = np.argwhere(np.tril(relations))[0]
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

    Few elements are visited in a natural labelling, the same element of all causal sets at once:
    h(j) = max over i ≺ j of h(i) + 1. Of many elements all minimal (maximal) ones are taken away
    at once, as often as there are any left.
    """
    block = relations if relations.ndim == 3 else relations[None]
    if not is_natural(block):
        if in_degree is None:
            in_degree = column_counts(block).astype(np.float32)
        order = np.argsort(in_degree, axis=1, kind="stable")
        block = np.take_along_axis(block, order[:, :, None], axis=1)
        block = np.take_along_axis(block, order[:, None, :], axis=2)
    else:
        order = None
    if block.shape[1] > _LARGEST_TOGETHER:
        past, future = np.stack([_peeled(matrix) for matrix in block], axis=1)
    else:
        past = _heights(block.swapaxes(1, 2))
        future = _heights(block[:, ::-1, ::-1])[:, ::-1]
    if order is not None:
        past, future = (
            np.take_along_axis(heights, np.argsort(order, axis=1), axis=1)
            for heights in (past, future)
        )
    return (past, future) if relations.ndim == 3 else (past[0], future[0])


def _square(relations: NDArray[np.bool_], squared: NDArray[np.float32]) -> None:
    """Write the squares of ``relations`` [b, n, n] to ``squared``, which holds zeros."""
    n = relations.shape[-1]
    natural = is_natural(relations)
    smallest, largest = _SQUARES
    side = min(max(smallest, n // 8), largest)
    side = -(-n // round(n / side))  # of nearly equal blocks
    as_float = relations.astype(np.float32)
    for i in range(0, n, side):
        rows, results = as_float[:, i : i + side], squared[:, i : i + side]
        count = rows.shape[1]
        half = -(-count // 2) if n - natural < _PACKED else count
        both = rows[:, :half].copy()
        both[:, : count - half] += _PACKED * rows[:, half:]
        for j in range(i if natural else 0, n, side):
            columns = slice(j, j + side)
            between = slice(i, j + side) if natural else slice(None)
            product = both[:, :, between] @ as_float[:, between, columns]
            if half < count:
                upper = np.floor(product * (1 / _PACKED))
                results[:, half:, columns] = upper[:, : count - half]
                product -= _PACKED * upper
            results[:, :half, columns] = product


def _close(matrices: NDArray[np.float32], size: int) -> None:
    """Close ``matrices`` [b, n, n] of zeros and ones in place; n is ``size`` times a power of 2."""
    blocks = _diagonal_blocks(matrices, size)
    length = 1
    while length < size:
        blocks[...] = np.minimum(blocks + blocks @ blocks, 1)
        length *= 2
    while size < matrices.shape[1]:
        pairs = _diagonal_blocks(matrices, 2 * size)
        past, future = pairs[..., :size, :size], pairs[..., size:, size:]
        cross = pairs[..., :size, size:]
        joined = cross + past @ cross
        joined += joined @ future
        cross[...] = np.minimum(joined, 1)
        size *= 2


def _diagonal_blocks(matrices: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """View of the diagonal blocks of square matrices [b, n, n], [b, n / size, size, size]."""
    count, n, _ = matrices.shape
    each, row, column = matrices.strides
    return np.lib.stride_tricks.as_strided(
        matrices, (count, n // size, size, size), (each, size * (row + column), row, column)
    )


def _heights(precedes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``precedes`` [B, n, n]: entry [b, j, i] true iff i ≺ j, only for i < j."""
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


def _peeled(relations: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """:func:`longest_chains` of one causal set in a natural labelling.

    Where all elements before a label precede all others, the order falls into parts: their heights
    are found at once, and added up. So an order that is nearly total has few levels as well.
    """
    n = len(relations)
    rows = relations.view(np.uint8)
    before, after = column_counts(relations), row_counts(relations)
    labels = np.arange(1, n)
    crossing = np.cumsum(after - before)[:-1]  # relations from before a label to it or later
    starts = np.concatenate([[0], labels[crossing == labels * (n - labels)]])
    sizes = np.diff(starts, append=n)
    part = np.repeat(np.arange(len(starts)), sizes)
    if len(starts) > 1:
        rows = rows * (part[:, None] == part)
        before -= starts[part]
        after -= (n - starts - sizes)[part]
    past = _levels(rows, before)
    future = _levels(transposed(rows.view(np.bool_)).view(np.uint8), after)
    levels = np.maximum.reduceat(past, starts) + 1
    lower = np.cumsum(levels) - levels
    return past + lower[part], future + (levels.sum() - lower - levels)[part]


def _levels(rows: NDArray[np.uint8], before: NDArray[np.int64]) -> NDArray[np.float32]:
    """Heights of all elements: how often all minimal ones are taken away before it is their turn.

    ``rows`` [n, n]: entry [i, j] is 1 iff i is before j, ``before`` [n] is how many are.
    """
    left = before.astype(np.int32)
    heights = np.zeros(len(left), np.float32)
    height = 0
    while (minimal := np.flatnonzero(left == 0)).size:
        heights[minimal] = height
        left[minimal] = -1
        for start in range(0, len(minimal), LARGEST_BYTE):
            left -= rows[minimal[start : start + LARGEST_BYTE]].sum(axis=0, dtype=np.uint8)
        height += 1
    return heights
