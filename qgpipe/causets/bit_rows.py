"""Relations with rows of bits, 64 elements a word: closure, counts, transposes."""

import numpy as np
from numpy.typing import NDArray

WORD = 64  # elements of a block: bits of a word
LARGEST_BYTE = 255  # so many zeros and ones can be added up in a byte

_TRANSPOSED_AS_BYTES = 256  # elements
_SWAPS = [
    (np.uint64(7), np.uint64(0x00AA00AA00AA00AA)),
    (np.uint64(14), np.uint64(0x0000CCCC0000CCCC)),
    (np.uint64(28), np.uint64(0x00000000F0F0F0F0)),
]  # of squares of 1, 2 and 4 bits

Words = NDArray[np.uint64]


def close(relations: NDArray[np.bool_], blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The transitive closure of ``relations``, bool [n, n], strictly upper triangular.

    ``blocks``: the closures of the blocks of 64 elements on its diagonal, bool [m, 64, 64] with
    m = ⌈n/64⌉, padded with false.

    From the last block to the first, the rows of all elements up to its end get what follows the
    elements of the block in their future. Rows are united by the method of four Russians
    (Arlazarov, Dinic, Kronrod and Faradzhev, Soviet Math. Dokl. 11, 1209, 1970): the 256 unions of
    each eight rows are tabulated, and a byte of bits says which one is wanted. It takes about
    n³/1024 operations on words.
    """
    n, count = len(relations), len(blocks)
    words = np.zeros((count * WORD, count), np.uint64)
    words[:n] = packed(relations)
    within = _unions(packed((blocks | np.eye(WORD, dtype=bool)).reshape(-1, WORD)))
    for block in reversed(range(count)):
        end, later = (block + 1) * WORD, slice(block + 1, None)
        tables = slice(8 * block, 8 * block + 8)
        inside = _united(within[tables], words[:end, block : block + 1])
        words[:end, block : block + 1] = inside
        if end < n:
            words[:end, later] |= _united(_unions(words[end - WORD : end, later]), inside)
    closed = np.unpackbits(words.view(np.uint8)[:n], axis=1, count=n, bitorder="little")
    return closed.view(np.bool_)


def packed(matrices: NDArray[np.bool_]) -> Words:
    """Rows of bool [..., n, m] as words, [..., n, ⌈m/64⌉], padded with zeros."""
    bits = np.packbits(matrices, axis=-1, bitorder="little")
    if padding := -bits.shape[-1] % 8:
        bits = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, padding)])
    return bits.view(np.uint64)


def row_counts(matrices: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers of true entries in each row of bool [..., n, m], int64 [..., n]."""
    return np.bitwise_count(packed(matrices)).sum(axis=-1, dtype=np.int64)


def column_counts(matrices: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers of true entries in each column of bool [..., n, m], int64 [..., m]."""
    ones = matrices.view(np.uint8)
    counts = np.zeros((*ones.shape[:-2], ones.shape[-1]), np.int64)
    for start in range(0, ones.shape[-2], LARGEST_BYTE):  # bytes add up faster than integers
        counts += ones[..., start : start + LARGEST_BYTE, :].sum(axis=-2, dtype=np.uint8)
    return counts


def transposed(matrix: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A contiguous transpose of the bool matrix (n, n).

    Of a large one, squares of 8 by 8 bits are transposed, by swapping bits in a word (Warren,
    Hacker's Delight, 2013, section 7-3), and then places of squares: ten times as fast as bytes.
    """
    n = len(matrix)
    if n <= _TRANSPOSED_AS_BYTES:
        return np.ascontiguousarray(matrix.T)
    side = -(-n // 8)
    rows = np.zeros((side * 8, side), np.uint8)
    rows[:n] = np.packbits(matrix, axis=1, bitorder="little")
    squares = np.ascontiguousarray(rows.reshape(side, 8, side).swapaxes(1, 2)).view("<u8")
    for shift, mask in _SWAPS:
        different = (squares ^ (squares >> shift)) & mask
        squares ^= different ^ (different << shift)
    columns = np.ascontiguousarray(squares[:, :, 0].T).view(np.uint8).reshape(side, side, 8)
    bits = np.ascontiguousarray(columns.swapaxes(1, 2)).reshape(side * 8, side)
    return np.unpackbits(bits[:n], axis=1, count=n, bitorder="little").view(np.bool_)


def _unions(rows: Words) -> Words:
    """Unions of each eight of ``rows`` [r, k] that the bits of 0 … 255 choose, [r/8, 256, k]."""
    eights = rows.reshape(-1, 8, rows.shape[1])
    tables = np.zeros((len(eights), 256, rows.shape[1]), np.uint64)
    for bit in range(8):
        here = slice(1 << bit, 2 << bit)
        np.bitwise_or(tables[:, : 1 << bit], eights[:, bit : bit + 1], out=tables[:, here])
    return tables


def _united(tables: Words, chosen: Words) -> Words:
    """Unions of the 64 rows in ``tables`` [8, 256, k] that the bits of ``chosen`` [r, 1] choose."""
    chosen_bytes = np.ascontiguousarray(chosen).view(np.uint8).T.astype(np.intp)
    united, more = np.empty((2, len(chosen), tables.shape[2]), np.uint64)
    np.take(tables[0], chosen_bytes[0], axis=0, out=united, mode="clip")
    for table, byte in zip(tables[1:], chosen_bytes[1:], strict=True):
        np.take(table, byte, axis=0, out=more, mode="clip")  # without "clip" it makes a copy
        united |= more
    return united
