"""What each observable of a causal set costs, in one thread.

    python benchmarks/observables.py --output benchmarks/results/observables.md

Several causal sets are handled as one block, as everywhere in qgpipe. What observables share is
timed on its own, and is known when their turn comes. Values of the block are compared with
those of each causal set alone, in another labelling. ``--quick`` does it on a few small sets.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from machine import describe
from measure import Contender, keep, processor_time, rates, table

from qgpipe.causets.features import compute
from qgpipe.causets.generators.layered import layered
from qgpipe.causets.generators.sprinklings import minkowski
from qgpipe.causets.observables import GRAPH, NODE
from qgpipe.causets.orders import Orders

SHARED = (
    "in_degree",
    "out_degree",
    "num_relations",
    "chains",
    "intervals",
    "links",
    "two_chains_past",
    "two_chains_future",
)  # each after those that it is made of
CLASSES = {"2D sprinkling": minkowski, "layered": layered}
FULL = {64: 64, 256: 16, 2048: 1}  # causal sets in a block, by their number of elements
QUICK = {16: 3, 70: 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small causal sets")
    parser.add_argument("--output", type=Path, help="Markdown file for the result")
    given = parser.parse_args()
    keep("\n\n".join(report(QUICK if given.quick else FULL, 0 if given.quick else 3)), given.output)


def report(sizes: dict[int, int], rounds: int) -> Iterator[str]:
    rng = np.random.default_rng(1)
    blocks = {
        f"{name}, n = {n:,}": Orders(np.stack([make(rng, n).relations for _ in range(count)]))
        for name, make in CLASSES.items()
        for n, count in sizes.items()
    }
    shared: dict[str, list[float]] = {name: [] for name in SHARED}
    costs: dict[str, list[float]] = {name: [] for name in (*NODE, *GRAPH)}
    for orders in blocks.values():
        for name in SHARED:
            shared[name].append(cost(partial(attribute, orders, name), orders, rounds))
            getattr(orders, name)  # kept from here on
        for name in costs:
            costs[name].append(cost(partial(compute, name, orders), orders, rounds))
            compare(name, orders)
    yield "# Observables"
    yield (
        "Milliseconds of processor time for a causal set, the median of "
        f"{max(1, rounds)} rounds, in blocks of {', '.join(map(str, sizes.values()))} causal sets "
        f"of {', '.join(f'{n:,}' for n in sizes)} elements. {describe('numpy', 'scipy')} 1 thread."
    )
    header = ("ms a causal set", *blocks)
    yield "## What observables share, computed once for all of them"
    yield table(header, [*rows(shared), total(shared)])
    yield "## Observables, what they share being known"
    yield table(header, [*rows(costs), total(costs)])


def attribute(orders: Orders, name: str) -> object:
    """Compute a shared matrix anew, those that it is made of being known."""
    return getattr(copy.copy(orders), name)


def cost(run: Callable[[], object], orders: Orders, rounds: int) -> float:
    """Milliseconds for a causal set of the block."""
    contender = Contender("", 1, len(orders.sizes), run)
    return 1000 / rates([contender], rounds, processor_time(1))[contender]


def compare(name: str, orders: Orders) -> None:
    """Whether the first causal set has the same values alone and in another labelling."""
    n = int(orders.sizes[0])
    if n > 256:  # that would take longer than the measurement
        return
    labels = np.random.default_rng(n).permutation(n)
    alone = compute(name, Orders.of(orders.relations[0][np.ix_(labels, labels)]))[0]
    block = compute(name, orders)[0]
    expected = block[labels] if name in NODE else block
    np.testing.assert_allclose(alone, expected, rtol=1e-4, atol=1e-6, err_msg=name)


def rows(costs: dict[str, list[float]]) -> list[list[object]]:
    return [[name, *values] for name, values in costs.items()]


def total(costs: dict[str, list[float]]) -> list[object]:
    return ["all", *np.sum(list(costs.values()), axis=0).tolist()]


if __name__ == "__main__":
    main()
