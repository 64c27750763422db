"""Methods that split graphs into sets: random, by class, by group, by a hash of their names.

Every function returns the sets as arrays of indices (int64) into the graphs it is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

VALUE_STRATA = 10  # of real numbers

_GAMMA = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Graphs:
    """The graphs to split, with what the methods need to know of them.

    ``positions``: int64 [N], in the data set. ``labels``: int64 [N]; ``groups``: numbers [N];
    ``keys``: uint64 [N], from :func:`sample_keys`; each only if the method needs it.
    """

    positions: np.ndarray
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    keys: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, places: np.ndarray) -> Graphs:
        """The graphs at ``places`` (integers or booleans), in that order."""

        def at(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[places]

        return Graphs(self.positions[places], at(self.labels), at(self.groups), at(self.keys))


def random_sets(
    graphs: Graphs, sizes: Sequence[int], generator: np.random.Generator
) -> list[np.ndarray]:
    """Random sets of the given sizes."""
    return np.split(generator.permutation(len(graphs)), np.cumsum(sizes)[:-1])


def stratified_sets(
    graphs: Graphs, sizes: Sequence[int], generator: np.random.Generator
) -> list[np.ndarray]:
    """Sets of the given sizes with equal shares of every class (method of largest remainders)."""
    assert graphs.labels is not None
    places = generator.permutation(len(graphs))
    labels = graphs.labels[places]
    sets = []
    for size in sizes:
        _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        quotas = _largest_remainders(counts, size)
        by_class = np.argsort(inverse, kind="stable")
        rank = np.empty(len(labels), np.int64)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        rank[by_class] = np.arange(len(labels)) - starts
        taken = rank < quotas[inverse]
        sets.append(places[taken])
        places, labels = places[~taken], labels[~taken]
    return sets


def group_sets(
    graphs: Graphs, shares: Sequence[float], generator: np.random.Generator
) -> list[np.ndarray]:
    """Sets of whole groups, whose sizes are near the given shares.

    Each group, in random order, is added to the set that lacks the most graphs, so no set exceeds
    its share by more than one group. An empty set gets the smallest group of the set with the most
    groups. If there are fewer groups than sets, some sets stay empty.
    """
    assert graphs.groups is not None
    _, group, counts = np.unique(graphs.groups, return_inverse=True, return_counts=True)
    lacking = np.array(shares) * len(graphs)
    set_of = np.empty(len(counts), np.int64)
    for number in generator.permutation(len(counts)):
        set_of[number] = chosen = int(np.argmax(lacking))
        lacking[chosen] -= counts[number]
    for empty in np.flatnonzero(np.bincount(set_of, minlength=len(shares)) == 0):
        richest = np.argmax(np.bincount(set_of))
        own = np.flatnonzero(set_of == richest)
        if len(own) > 1:
            set_of[own[np.argmin(counts[own])]] = empty
    order = generator.permutation(len(graphs))
    return [order[set_of[group[order]] == k] for k in range(len(shares))]


def hashed_sets(
    graphs: Graphs, shares: Sequence[float], seed: int, stream: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Sets of about the given shares; the set of a graph depends only on its key and ``seed``.

    Different values of ``stream`` give independent sets.
    """
    bounds = np.cumsum(shares)[:-1]
    set_of = np.searchsorted(bounds, uniform(graphs.keys, seed, stream), side="right")
    order = generator.permutation(len(graphs))
    return [order[set_of[order] == k] for k in range(len(shares))]


def stratified_folds(
    graphs: Graphs, folds: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Sets whose sizes, and whose counts of each class, differ by at most one."""
    assert graphs.labels is not None
    order = generator.permutation(len(graphs))
    order = order[np.argsort(graphs.labels[order], kind="stable")]
    return [order[first::folds] for first in range(folds)]


def strata(values: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Classes of graphs with equal ``labels`` and about equal ``values``, int64 [N].

    ``values``: numbers [N]. Integers are taken as they are, real numbers in ten classes of about
    equal size, and NaN in one of its own. ``labels``: integers [N]; None if there are none.
    """
    if values.dtype.kind == "f":
        known = np.isfinite(values)
        some = values[known] if known.any() else np.zeros(1)
        cuts = np.quantile(some, np.arange(1, VALUE_STRATA) / VALUE_STRATA)
        values = np.where(known, np.searchsorted(cuts, values), -1)
    _, found = np.unique(values, return_inverse=True)
    if labels is not None:
        pairs = np.column_stack([labels, found])
        _, found = np.unique(pairs, axis=0, return_inverse=True)
    return found.reshape(-1).astype(np.int64)


def sample_keys(store: str, index: np.ndarray) -> np.ndarray:
    """A number for each sample of ``store`` (its name), uint64 [N]; ``index``: int64 [N].

    The key depends only on the sample. SplitMix64: Steele, Lea and Flood, OOPSLA 2014,
    https://doi.org/10.1145/2714064.2660195, started at the SHA-256 of the name.
    """
    start = int.from_bytes(hashlib.sha256(store.encode()).digest()[:8], "little")
    return _mixed(np.uint64(start) + index.astype(np.uint64) * np.uint64(_GAMMA))


def uniform(keys: np.ndarray | None, seed: int, stream: int) -> np.ndarray:
    """Numbers in [0, 1), float64 [N], that depend only on the keys, ``seed`` and ``stream``."""
    assert keys is not None
    salt = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    mixed = _mixed(keys ^ np.uint64(int.from_bytes(salt[:8], "little")))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's next output for each state in ``values``, uint64."""
    values = values + np.uint64(_GAMMA)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _largest_remainders(counts: np.ndarray, total: int) -> np.ndarray:
    """Integers proportional to ``counts`` that sum to ``total``, each at most its count."""
    whole, remainders = np.divmod(counts * total, max(int(counts.sum()), 1))
    missing = total - int(whole.sum())
    whole[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return whole
