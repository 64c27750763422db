"""Blocks of dense relation matrices, many causal sets at once, and their packed bits.

A block is uint8 [B, m, m] of zeros and ones with entries ``[target, source]``, as in stores. It is
padded so that ``m`` is a multiple of eight: eight bytes are then handled as one word.
"""

import numpy as np

from qgpipe.data.graphs.adjacency import bit_offsets, row_bytes
from qgpipe.data.graphs.packed import WORD

CACHED = 1 << 17  # values handled at once, so that they stay in a core's cache
SMALLEST_SIDE = 64  # a row has eight bytes of bits, enough for padding to a word


def block_side(size: int) -> int:
    """The side ``m`` of a block for causal sets of up to ``size`` elements."""
    return max(SMALLEST_SIDE, -(-size // 8) * 8)


def mark_relations(values: np.ndarray, out: np.ndarray) -> bool:
    """Write into ``out`` (uint8) where ``values`` (same shape) is not zero.

    Returns whether all values are zeros and ones.
    """
    marks = out.view(np.bool_)
    step = max(1, CACHED // max(1, values[:1].size))
    clean = True
    for first in range(0, len(values), step):
        some, marked = values[first : first + step], marks[first : first + step]
        np.not_equal(some, 0, out=marked)
        if clean and values.dtype != np.bool_:
            clean = np.count_nonzero(some == 1) == np.count_nonzero(marked)
    return bool(clean)


def adjacency_rows(block: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The rows of the adjacency matrices as bits, uint8 [B, m, m / 8].

    Row = source, bit = target (little bit order). Bits beyond a causal set's size (``sizes``:
    integers [B]) are cleared.
    """
    count, side, _ = block.shape
    words = block.view(np.uint64).reshape(count, side // 8, 8, side // 8)
    packed = words[:, :, 7].copy()
    for target in range(6, -1, -1):
        packed <<= 1
        packed |= words[:, :, target]
    by_target = packed.view(np.uint8)  # [B, m / 8, m]: bit = target, column = source
    inside = np.arange(side) < sizes[:, None]
    targets = np.packbits(inside, axis=1, bitorder="little")
    by_target &= targets[:, :, None]
    by_target &= np.where(inside, np.uint8(0xFF), np.uint8(0))[:, None, :]
    return np.ascontiguousarray(by_target.swapaxes(1, 2))


def write_bits(rows: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    """Write the used bytes of ``rows`` one after the other, as ``BitAdjacency`` has them.

    ``out``: uint8 [``bit_offsets(sizes)[-1]``]. The zeros that pad a causal set to whole words are
    copied from the empty row after its last one.
    """
    _, side, width = rows.shape
    used = row_bytes(sizes)
    filling = np.diff(bit_offsets(sizes)) - sizes * used
    row = np.arange(side)
    bytes_of_row = np.where(row < sizes[:, None], used[:, None], 0)
    bytes_of_row += np.where(row == sizes[:, None], filling[:, None], 0)
    out[:] = rows[np.arange(width, dtype=np.int16) < bytes_of_row[:, :, None].astype(np.int16)]


def contradictions(block: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pairs in which an element precedes itself, or two elements precede each other.

    ``rows``: the result of :func:`adjacency_rows` for ``block``. Returns int64 [K, 3]: (index in
    the block, source, target).
    """
    reverse = np.packbits(block, axis=2, bitorder="little")
    reverse &= rows
    if not reverse.any():
        return np.empty((0, 3), np.int64)
    return np.argwhere(np.unpackbits(reverse, axis=2, bitorder="little"))


def intransitive(rows: np.ndarray) -> np.ndarray:
    """Elements i ≺ j ≺ k for which i ≺ k does not hold.

    ``rows``: uint8 [B, m, m / 8] as from :func:`adjacency_rows`. Returns int64 [K, 4]: (index in
    the block, i, j, k), one for each causal set that is not transitive.
    """
    count, side, width = rows.shape
    words = np.zeros((count * side, -(-width // WORD)), np.uint64)
    words.view(np.uint8)[:, :width] = rows.reshape(count * side, width)
    beyond = ~words
    source, target = np.nonzero(np.unpackbits(rows, axis=2, bitorder="little").reshape(-1, side))
    after = source // side * side + target
    step = max(1, CACHED // words.shape[1])
    found = np.empty((0, 4), np.int64)
    for start in range(0, len(source), step):
        some = slice(start, start + step)
        missing = words.take(after[some], axis=0)
        missing &= beyond.take(source[some], axis=0)
        hits = np.flatnonzero(missing.any(axis=1))
        if not len(hits):
            continue
        place, first = np.divmod(source[some][hits], side)
        bits = np.unpackbits(missing[hits].view(np.uint8), axis=1, bitorder="little")
        chains = np.stack([place, first, target[some][hits], bits.argmax(axis=1)], axis=1)
        found = np.concatenate([found, chains])
        found = found[np.unique(found[:, 0], return_index=True)[1]]
    return found
