"""Relations with rows of bits, 64 elements a word: closure by tables of unions of rows."""

import numpy as np
from numpy.typing import NDArray

WORD = 64  # elements of a block: bits of a word

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
    words = _packed(relations, count)
    within = _unions(_packed((blocks | np.eye(WORD, dtype=bool)).reshape(-1, WORD), 1))
    for block in reversed(range(count)):
        end, later = (block + 1) * WORD, slice(block + 1, None)
        tables = slice(8 * block, 8 * block + 8)
        inside = _united(within[tables], words[:end, block : block + 1])
        words[:end, block : block + 1] = inside
        if end < n:
            words[:end, later] |= _united(_unions(words[end - WORD : end, later]), inside)
    closed = np.unpackbits(words.view(np.uint8)[:n], axis=1, count=n, bitorder="little")
    return closed.view(np.bool_)


def _packed(matrix: NDArray[np.bool_], count: int) -> Words:
    """Rows as ``count`` words each, [64 ⌈rows/64⌉, count], padded with zeros."""
    bits = np.packbits(matrix, axis=1, bitorder="little")
    packed = np.zeros((-(-len(bits) // WORD) * WORD, 8 * count), np.uint8)
    packed[: len(bits), : bits.shape[1]] = bits
    return packed.view(np.uint64)


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
