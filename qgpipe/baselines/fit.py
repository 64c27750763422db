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
from qgpipe.baselines.features import DIMENSION, INVARIANTS, TWO_ORDER
from qgpipe.baselines.invariants import (
    MOST_ELEMENTS,
    EdgeKind,
    NoOrder,
    column_names,
    invariants,
)
from qgpipe.baselines.methods import (
    CONSTANT,
    METHODS,
    SEED,
    Features,
    NotApplicable,
    Sets,
    Target,
    asked,
    constant,
    named_dimensions,
    one_thread_of_blas,
)
from qgpipe.causets import observables
from qgpipe.config.types import BaselineSection, Config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.splits.split_file import read_split
from qgpipe.errors import DataError

_AT_ONCE = 4096  # graphs in memory
_MOST_CLASSES = 100  # integers with more values are treated as real numbers
_MOST_TARGETS = 20

logger = logging.getLogger(__name__)

Positions = NDArray[np.int64]


def fit_baselines(
    config: Config, dataset_json: Path, split_json: Path, output: Path, threads: int = 1
) -> None:
    """Fit the baselines of ``config`` and write their predictions for the test set to ``output``.

    ``threads``: number of threads for invariants and trees. Raises ``DataError`` if the data is
    missing or damaged.
    """
    section = config["baseline"]
    assert not isinstance(section, bool)
    dataset = PackedDataset(dataset_json, residency="memory")
    split = read_split(split_json, dataset.len())
    test = _drawn(split["test"], section["max_graphs"])
    save_answers(_answers(section, dataset, split["train"], test, threads), output)


def _answers(
    section: BaselineSection,
    dataset: PackedDataset,
    train: Positions,
    test: Positions,
    threads: int,
) -> BaselineAnswers:
    fitted_to = _drawn(train, section["max_graphs"])
    names = asked(section["methods"])
    ids = dataset.sample_ids(test)
    try:
        if not len(train) or not len(test):
            raise NotApplicable("the training or the test set is empty")
        targets = _targets(dataset)
    except NotApplicable as reason:
        left_out = dict.fromkeys(names, str(reason))
        return BaselineAnswers(ids, len(train), len(fitted_to), [], [], left_out)
    invariant = list(section["features"] or INVARIANTS)
    sets = _read(dataset, fitted_to, test, invariant, {*names}, threads)
    found = []
    with one_thread_of_blas(threads):
        for name, values, num_classes, dimensions in targets:
            one = TargetAnswers(name, num_classes, values[test])
            for method in names:
                begun = time.monotonic()
                try:
                    if method == CONSTANT:
                        same = constant(Target(name, values[train], num_classes))
                        answer = np.broadcast_to(same, (len(test), *same.shape))
                    else:
                        target = Target(name, values[fitted_to], num_classes, dimensions)
                        answer = METHODS[method][1](target, sets)
                    one.outputs[method] = answer
                    logger.info("%s of %s: %.1f s", method, name, time.monotonic() - begun)
                except NotApplicable as reason:
                    one.left_out[method] = str(reason)
                    logger.info("%s of %s left out: %s", method, name, reason)
            found.append(one)
    columns = [] if sets.features.missing else column_names(invariant)
    own = [f"graph feature {name}" for name in _own_names(dataset)]
    return BaselineAnswers(ids, len(train), len(fitted_to), columns + own, found, {})


def _drawn(positions: Positions, most: int) -> Positions:
    """At most ``most`` of the ``positions``, in their order; the choice is reproducible."""
    if len(positions) <= most:
        return positions
    chosen = np.random.default_rng(SEED).choice(len(positions), most, replace=False)
    return positions[np.sort(chosen)]


def _targets(
    dataset: PackedDataset,
) -> list[tuple[str, NDArray[Any], int | None, NDArray[np.float64] | None]]:
    """For each target: name, values of all graphs, number of classes, and their dimensions."""
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
) -> tuple[NDArray[Any], int | None, NDArray[np.float64] | None]:
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
            return classes, count, said
    return values.astype(np.float64), None, np.zeros(0) if is_dimension else None


def _read(
    dataset: PackedDataset,
    train: Positions,
    test: Positions,
    invariant: list[str],
    names: set[str],
    threads: int,
) -> Sets:
    """The features of both sets, computed in one pass over their graphs."""
    has_test = observables.find(TWO_ORDER) is not None
    more = [DIMENSION, *([TWO_ORDER] if has_test and TWO_ORDER in names else [])]
    wanted = list(dict.fromkeys([*invariant, *more]))
    both = np.concatenate([train, test])
    begun = time.monotonic()
    own = _own_features(dataset, both)
    missing: str | None = None
    values = np.zeros((len(both), 0), np.float32)
    if names - {CONSTANT}:
        try:
            values = dataset_invariants(dataset, both, wanted, threads)
        except NoOrder as reason:
            missing = str(reason)
    logger.info("features of %d graphs: %.1f s", len(both), time.monotonic() - begun)
    ends = np.cumsum([len(column_names([name])) for name in wanted])
    columns = dict(zip(wanted, np.split(values, ends[:-1], axis=1), strict=True))

    def features(parts: list[NDArray[Any]], why: str | None = missing) -> Features:
        train_rows, test_rows = np.split(np.concatenate(parts, axis=1), [len(train)])
        return Features(train_rows, test_rows, why)

    no_two_order = missing or "there is no observable 'two_order'"
    return Sets(
        features([*(columns[name] for name in invariant), own]),
        features([columns[DIMENSION]]),
        features([columns[TWO_ORDER]])
        if TWO_ORDER in more
        else features([values[:, :0]], no_two_order),
    )


def dataset_invariants(
    dataset: PackedDataset, positions: Positions, names: list[str], threads: int
) -> NDArray[np.float32]:
    """Observables of the graphs at ``positions``, whose edges are relations or links.

    Raises ``NoOrder`` if they are neither.
    """
    density = dataset.density
    if not density.edges:
        raise NoOrder("the graphs have no edges: no invariants")
    if density.largest > MOST_ELEMENTS:
        raise NoOrder(f"graphs of more than {MOST_ELEMENTS:,} elements: invariants take too long")
    kinds: tuple[EdgeKind, ...] = ("relations", "links")
    for kind in kinds:
        try:
            chunks = [
                invariants(dataset.packed(positions[k : k + _AT_ONCE]), names, threads, kind)
                for k in range(0, len(positions), _AT_ONCE)
            ]
            return np.concatenate(chunks)
        except NoOrder as error:
            reason = error
    raise reason


def _own_features(dataset: PackedDataset, positions: Positions) -> NDArray[np.float64]:
    """The graph features of the data, NaN where they are not finite, float64 [N, k]."""
    found = dataset.attributes.get("graph_features")
    if found is None or found["kind"] != "graph":
        return np.zeros((len(positions), 0))
    chunks = [
        dataset.packed(positions[k : k + _AT_ONCE]).attributes["graph_features"].values
        for k in range(0, len(positions), _AT_ONCE)
    ]
    values = np.concatenate(chunks).reshape(len(positions), -1).astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _own_names(dataset: PackedDataset) -> list[str]:
    found = dataset.attributes.get("graph_features")
    if found is None or found["kind"] != "graph":
        return []
    width = int(np.prod(found["shape"] or [1]))
    names = dataset.graph_features or []
    return names if len(names) == width else [str(k) for k in range(width)]
