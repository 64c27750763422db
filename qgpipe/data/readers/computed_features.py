"""Features that a store does not have, computed from the relations of many causal sets at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from qgpipe.causets.features import compute
from qgpipe.causets.orders import Orders
from qgpipe.data.graphs.adjacency import as_bit_rows, bit_offsets
from qgpipe.data.graphs.packed import BitAdjacency, offsets, ranges
from qgpipe.data.raw.samples import Samples
from qgpipe.data.raw.validation import Checks

BLOCK_ENTRIES = 1 << 20  # entries of relation matrices in memory


def compute_features(checks: Checks, samples: Samples, threads: int = 1) -> None:
    """Add the observables in ``checks.columns`` to the arrays of ``samples``.

    ``threads``: number of threads; the result does not depend on it. If values are checked, samples
    whose relations are not transitive are reported: their observables are meaningless.
    """
    wanted = checks.columns.computed
    if not wanted:
        return
    starts = offsets(samples.sizes)
    for observable in wanted:
        level = samples.node if observable.level == "node" else samples.graph
        rows = starts[-1] if observable.level == "node" else len(samples.sizes)
        level[observable.name] = np.zeros((int(rows), observable.width), np.float32)

    def fill(chosen: np.ndarray) -> list[tuple[int, int, int, int]]:
        orders = relation_block(samples.edges, samples.sizes, chosen)
        for observable in wanted:
            values = compute(observable.name, orders)
            if observable.level == "node":
                elements = ranges(starts[chosen], orders.sizes)
                samples.node[observable.name][elements, 0] = values[orders.inside]
            else:
                samples.graph[observable.name][chosen] = values
        if not checks.values:
            return []
        gaps = ((k, orders.first_gap(k)) for k in np.flatnonzero(~orders.transitive).tolist())
        return [(int(samples.index[chosen[k]]), *gap) for k, gap in gaps if gap]

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for found in pool.map(fill, similar_blocks(samples.sizes)):
            for gap in found:
                checks.gap(*gap)


def relation_block(edges: BitAdjacency, sizes: np.ndarray, chosen: np.ndarray) -> Orders:
    """The causal sets at ``chosen`` (int64 [B]) as a block; ``sizes``: of all causal sets, [N]."""
    of_chosen, starts = sizes[chosen], edges.ptr[chosen]
    bits = edges.bits[ranges(starts, edges.ptr[chosen + 1] - starts)]
    some = BitAdjacency(bits, bit_offsets(of_chosen), edges.num_edges[chosen])
    side = int(of_chosen.max())
    rows = as_bit_rows(some, of_chosen, side).bits
    packed = np.zeros((len(chosen), side, rows.shape[1]), np.uint8)
    packed[np.arange(side) < of_chosen[:, None]] = rows
    unpacked = np.unpackbits(packed, axis=2, count=side, bitorder="little")
    return Orders(unpacked.view(np.bool_), of_chosen)


def similar_blocks(sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of causal sets of similar sizes, int64, block by block; empty ones are left out."""
    by_size = np.argsort(sizes, kind="stable")
    by_size = by_size[sizes[by_size] > 0]
    first = 0
    while first < len(by_size):
        head = by_size[first : first + max(1, BLOCK_ENTRIES // int(sizes[by_size[first]]) ** 2)]
        entries = np.arange(1, len(head) + 1) * sizes[head] ** 2  # the last is the largest
        count = max(1, int(np.searchsorted(entries, BLOCK_ENTRIES, side="right")))
        yield by_size[first : first + count]
        first += count
