"""The stage ``baseline``: simple methods fitted to the training set and applied to the test set.

Nothing here depends on a model: runs that share data and split share the file.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.baselines.answers import BaselineAnswers, TargetAnswers, save_answers
from qgpipe.baselines.features import INVARIANTS
from qgpipe.baselines.invariants import (
    MOST_ELEMENTS,
    NO_EDGES,
    NoOrder,
    order_invariants,
    own_features,
    own_names,
)
from qgpipe.baselines.methods import SEED, NotApplicable, Target, asked, named_dimensions
from qgpipe.baselines.training_set import (
    GraphFeatures,
    TrainingSet,
    computed_names,
    save_training_set,
)
from qgpipe.config.types import BaselineSection, Config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.splits.split_file import read_split
from qgpipe.errors import DataError

_AT_ONCE = 4096  # graphs in memory
_MOST_CLASSES = 100  # integers with more values are treated as real numbers
_MOST_TARGETS = 20

logger = logging.getLogger(__name__)

Positions = NDArray[np.int64]
_Kind = tuple[int | None, NDArray[np.float64] | None]  # of a ``Target``


def fit_baselines(
    config: Config,
    dataset_json: Path,
    split_json: Path,
    output: Path,
    threads: int = 1,
    training_set: Path | None = None,
) -> None:
    """Fit the baselines of ``config`` and write their predictions for the test set to ``output``.

    ``threads``: number of threads for invariants and trees. ``training_set``: where to write what
    they are fitted to, if they are to be applied to further sets. Raises ``DataError`` if the data
    is missing or damaged.
    """
    section = config["baseline"]
    assert not isinstance(section, bool)
    dataset = PackedDataset(dataset_json, residency="memory")
    split = read_split(split_json, dataset.len())
    test = _drawn(split["test"], section["max_graphs"])
    training, answers = _fitted(section, dataset, split["train"], test, threads)
    if training_set is not None:
        save_training_set(training, training_set)
    save_answers(answers, output)


def _fitted(
    section: BaselineSection,
    dataset: PackedDataset,
    train: Positions,
    test: Positions,
    threads: int,
) -> tuple[TrainingSet, BaselineAnswers]:
    fitted_to = _drawn(np.arange(len(train)), section["max_graphs"])
    methods, invariant = asked(section["methods"]), list(section["features"] or INVARIANTS)
    ids = dataset.sample_ids(test)
    try:
        if not len(train) or not len(test):
            raise NotApplicable("the training or the test set is empty")
        targets = _targets(dataset)
    except NotApplicable as reason:
        left_out = dict.fromkeys(methods, str(reason))
        empty = GraphFeatures(np.zeros((0, 0), np.float32), np.zeros((0, 0)), [])
        return (
            TrainingSet(methods, invariant, empty, fitted_to, len(train), [], None, str(reason)),
            BaselineAnswers(ids, len(train), len(fitted_to), [], [], left_out),
        )
    names = computed_names(methods, invariant)
    features, of_test = _read(dataset, train[fitted_to], test, names, threads)
    training = TrainingSet(
        methods,
        invariant,
        features,
        fitted_to,
        len(train),
        [Target(name, values[train], *kind) for name, values, kind in targets],
        dataset.class_names if len(targets) == 1 else None,
    )
    found = [
        TargetAnswers(
            one.name, one.num_classes, values[test], *training.answers(one, of_test, threads)
        )
        for one, (_, values, _) in zip(training.targets, targets, strict=True)
    ]
    columns = training.feature_names(of_test)
    return training, BaselineAnswers(ids, len(train), len(fitted_to), columns, found, {})


def _drawn(positions: Positions, most: int) -> Positions:
    """At most ``most`` of the ``positions``, in their order; the choice is reproducible."""
    if len(positions) <= most:
        return positions
    chosen = np.random.default_rng(SEED).choice(len(positions), most, replace=False)
    return positions[np.sort(chosen)]


def _targets(
    dataset: PackedDataset,
) -> list[tuple[str, NDArray[Any], _Kind]]:
    """For each target: name, values of all graphs, and number of classes with their dimensions."""
    try:
        table = dataset.all_targets
    except DataError:
        table = None
    if table is None or dataset.attributes["y"]["kind"] != "graph":
        what = "no target" if "y" not in dataset.attributes else "no target of whole graphs"
        raise NotApplicable(f"the data has {what}") from None
    table = table.reshape(len(table), -1)
    if table.shape[1] > _MOST_TARGETS:
        raise NotApplicable(f"there are more than {_MOST_TARGETS} targets")
    given = dataset.target_name
    names = [given] if isinstance(given, str) else list(given or ())
    if len(names) != table.shape[1]:
        names = ["target"] if table.shape[1] == 1 else [f"target_{k}" for k in range(len(table.T))]
    class_names = dataset.class_names if len(names) == 1 else None
    return [
        (name, *_judged(name, column, class_names))
        for name, column in zip(names, table.T, strict=True)
    ]


def _judged(
    name: str, values: NDArray[Any], class_names: list[str] | None
) -> tuple[NDArray[Any], _Kind]:
    """``values`` as int64 with the number of classes, or as float64; and ``Target.dimensions``.

    Classes are a small number of non-negative integers; -100 stands for none, as in torch.
    """
    is_dimension = "dimension" in name.lower()
    if values.dtype.kind in "biu":
        classes = values.astype(np.int64)
        known = classes[classes != -100]
        if len(known) and known.min() >= 0 and known.max() < _MOST_CLASSES:
            count = max(int(known.max()) + 1, len(class_names or ()))
            said = named_dimensions(class_names) if class_names else None
            if said is None and is_dimension:
                said = np.arange(count, dtype=np.float64)
            return classes, (count, said)
    return values.astype(np.float64), (None, np.zeros(0) if is_dimension else None)


def _read(
    dataset: PackedDataset, train: Positions, test: Positions, names: list[str], threads: int
) -> tuple[GraphFeatures, GraphFeatures]:
    """The features of both sets, computed in one pass over their graphs."""
    both = np.concatenate([train, test])
    begun = time.monotonic()
    own, called = _own_features(dataset, both), _own_names(dataset)
    missing: str | None = None
    values = np.zeros((len(both), 0), np.float32)
    if names:
        try:
            values = dataset_invariants(dataset, both, names, threads)
        except NoOrder as reason:
            missing = str(reason)
    logger.info("features of %d graphs: %.1f s", len(both), time.monotonic() - begun)
    cut = len(train)
    return (
        GraphFeatures(values[:cut], own[:cut], called, missing),
        GraphFeatures(values[cut:], own[cut:], called, missing),
    )


def dataset_invariants(
    dataset: PackedDataset, positions: Positions, names: list[str], threads: int
) -> NDArray[np.float32]:
    """Observables of the graphs at ``positions``, whose edges are relations or links.

    Raises ``NoOrder`` if they are neither.
    """
    density = dataset.density
    if not density.edges:
        raise NoOrder(NO_EDGES)
    if density.largest > MOST_ELEMENTS:
        raise NoOrder(f"graphs of more than {MOST_ELEMENTS:,} elements: invariants take too long")
    return order_invariants(_chunks(positions), dataset.packed, names, threads)


def _own_features(dataset: PackedDataset, positions: Positions) -> NDArray[np.float64]:
    """The graph features of the data, NaN where they are not finite, float64 [N, k]."""
    if not _own_names(dataset):
        return np.zeros((len(positions), 0))
    return np.concatenate([own_features(dataset.packed(chunk)) for chunk in _chunks(positions)])


def _chunks(positions: Positions) -> list[Positions]:
    return [positions[k : k + _AT_ONCE] for k in range(0, len(positions), _AT_ONCE)]


def _own_names(dataset: PackedDataset) -> list[str]:
    return own_names(dataset.attributes, dataset.graph_features)
