"""Splits graphs into training, validation and test set.

The split depends only on the data and the seed. Training positions keep the order in which they
were drawn, so that batches are mixed even without shuffling. Validation and test positions ascend,
so that they are read from disk in sequence.
"""

from collections.abc import Sequence

import numpy as np

from qgpipe.data.splits.methods import (
    Graphs,
    group_sets,
    hashed_sets,
    random_sets,
    stratified_folds,
    stratified_sets,
    uniform,
)
from qgpipe.data.splits.sizes import (
    KEY,
    STAGES,
    require_filled,
    require_folds,
    require_graphs,
    share_size,
    split_sizes,
)
from qgpipe.errors import ConfigError

_SETS, _FOLDS, _SUBSET = range(3)  # independent random streams per key


def make_split(
    num_graphs: int,
    fractions: Sequence[float],
    seed: int,
    method: str = "random",
    labels: np.ndarray | None = None,
    shuffle: bool = False,
    subset: float | None = None,
    *,
    groups: np.ndarray | None = None,
    keys: np.ndarray | None = None,
    folds: int | None = None,
    fold: int | None = None,
) -> dict[str, np.ndarray]:
    """Disjoint positions for ``train``, ``validation`` and, with three fractions, ``test``.

    ``method``: ``random``; ``stratified``: the same share of every class, as far as sizes allow
    (largest remainders); ``group``: all graphs of a group in one set, with shares as near as that
    allows; ``hash``: the set of a graph depends only on its key and the seed, not on other graphs,
    and shares hold on average. ``labels``: integers [num_graphs], for ``stratified``;
    ``groups``: numbers [num_graphs], for ``group``; ``keys``: from
    :func:`qgpipe.data.splits.methods.sample_keys`, for ``hash``.
    ``shuffle``: shuffle before splitting. ``subset``: use this share (rounded up), drawn without
    replacement; with ``hash`` about this share, selected by key.
    ``folds``, ``fold``: the graphs are split by ``method`` into ``folds`` equal folds, and the test
    set is number ``fold`` (from 1); the rest is split in the ratio of the first two fractions.
    Returns int64 arrays.

    Raises ``ConfigError`` if the fractions are wrong, a part would be empty, labels are
    missing, or there are fewer graphs, groups or graphs of a class than parts.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    if method == "stratified" and (labels is None or np.asarray(labels).dtype.kind not in "biu"):
        raise no_strata()
    graphs = Graphs(np.arange(num_graphs), labels, groups, keys)
    if method == "hash" and subset is not None:
        graphs, subset = graphs.take(uniform(keys, seed, _SUBSET) < subset), None
    graphs = graphs.take(draw(np.arange(len(graphs)), generator, shuffle, subset))
    if folds is None:
        sets = _sets(graphs, method, fractions, seed, generator)
        return _named(graphs, sets, fractions)
    assert fold is not None
    parts = _folds(graphs, method, folds, seed, generator)
    rest = graphs.take(np.concatenate([part for k, part in enumerate(parts) if k != fold - 1]))
    shares = [share / sum(fractions[:2]) for share in fractions[:2]]
    generator = np.random.default_rng(np.random.SeedSequence((seed, fold)))
    sets = _sets(rest, method, shares, seed, generator)
    tested = {"test": np.sort(graphs.positions[parts[fold - 1]])}
    return _named(rest, sets, shares) | tested


def draw(
    positions: np.ndarray, generator: np.random.Generator, shuffle: bool, subset: float | None
) -> np.ndarray:
    """A random share ``subset`` of ``positions`` (None: all), in their order or shuffled."""
    if subset is not None:
        count = share_size(len(positions), subset)
        positions = np.sort(generator.choice(positions, count, replace=False, shuffle=False))
    return generator.permutation(positions) if shuffle else positions


def _sets(
    graphs: Graphs,
    method: str,
    fractions: Sequence[float],
    seed: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Indices into ``graphs`` of the training, validation and perhaps test set."""
    if method == "hash":
        return hashed_sets(graphs, fractions, seed, _SETS, generator)
    if method == "group":
        _require_groups(graphs, len(fractions), KEY, f"{len(fractions)} sets")
        return group_sets(graphs, fractions, generator)
    sizes = split_sizes(len(graphs), fractions)
    require_filled(sizes, fractions)
    cut = stratified_sets if method == "stratified" else random_sets
    return cut(graphs, sizes, generator)


def _folds(
    graphs: Graphs, method: str, folds: int, seed: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Indices into ``graphs`` of each fold."""
    key, wanted = "data.folds", f"{folds} folds"
    require_graphs(len(graphs), folds)
    if method == "hash":
        return hashed_sets(graphs, [1 / folds] * folds, seed, _FOLDS, generator)
    if method == "group":
        _require_groups(graphs, folds, key, wanted)
        return group_sets(graphs, [1 / folds] * folds, generator)
    if method == "stratified":
        assert graphs.labels is not None
        values, counts = np.unique(graphs.labels, return_counts=True)
        require_folds(dict(zip(values.tolist(), counts.tolist(), strict=True)), folds)
        return stratified_folds(graphs, folds, generator)
    return np.array_split(generator.permutation(len(graphs)), folds)


def _require_groups(graphs: Graphs, wanted: int, key: str, what: str) -> None:
    assert graphs.groups is not None
    count = len(np.unique(graphs.groups))
    if count < wanted:
        raise ConfigError(
            f"{what} need as many groups, but data.group_by gives {count}",
            key=key,
            remedy="use fewer, or group by something finer",
        )


def _named(
    graphs: Graphs, sets: Sequence[np.ndarray], fractions: Sequence[float]
) -> dict[str, np.ndarray]:
    """The positions of the sets by name; those of validation and test set ascend."""
    require_filled([len(places) for places in sets], fractions)
    chosen = [graphs.positions[places] for places in sets]
    return {
        stage: positions if stage == "train" else np.sort(positions)
        for stage, positions in zip(STAGES, chosen, strict=False)
    }


def no_strata() -> ConfigError:
    """What is raised if a split is to keep the shares of classes, and the graphs have none."""
    return ConfigError(
        "stratified needs integer targets, one for each graph",
        key="data.split_method",
        remedy="use 'random'",
    )
