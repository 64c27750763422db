"""What baselines are fitted to: features and targets of the training set, and their file.

Fitting takes seconds, computing the features longer. From the file baselines are fitted again for
each further set. Does not import torch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.baselines.features import DIMENSION, TWO_ORDER
from qgpipe.baselines.invariants import column_names
from qgpipe.baselines.methods import (
    CONSTANT,
    METHODS,
    Features,
    NotApplicable,
    Sets,
    Target,
    constant,
    one_thread_of_blas,
)
from qgpipe.report.tables.result_files import rerun
from qgpipe.system.array_files import open_arrays, save_arrays

_ENTRY = "training_set"  # key of the metadata
_INFO = {
    "format": 1,
    "methods": [str],
    "invariants": [str],
    "own": [str],
    "missing": (str, None),
    "num_train": int,
    "class_names": (None, [str]),
    "targets": [{"name": str, "num_classes": (int, None), "dimensions": (None, [float])}],
    "left_out": (str, None),
}

logger = logging.getLogger(__name__)

Answers = tuple[dict[str, NDArray[np.float64]], dict[str, str]]


@dataclass(frozen=True)
class GraphFeatures:
    """Features of N graphs, the same for every target.

    ``computed``: observables, float32 [N, k] (see :func:`computed_names`); k is 0 if they are
    ``missing``, for that reason. ``own``: the graph features of the data, float64 [N, g], called
    ``own_names``.
    """

    computed: NDArray[np.float32]
    own: NDArray[np.float64]
    own_names: list[str]
    missing: str | None = None


@dataclass(frozen=True)
class TrainingSet:
    """What baselines are fitted to.

    ``methods``: names of the baselines. ``invariants``: observables that are features.
    ``features``: of the M graphs that are fitted to, which are at the places ``fitted_to``, int64
    [M], of the training set. ``targets``: ``train`` of each has the values of the whole training
    set, which has ``num_train`` graphs. ``class_names``: of the only target, if known.
    ``left_out``: why there are no baselines.
    """

    methods: list[str]
    invariants: list[str]
    features: GraphFeatures
    fitted_to: NDArray[np.int64]
    num_train: int
    targets: list[Target]
    class_names: list[str] | None = None
    left_out: str | None = None

    def feature_names(self, graphs: GraphFeatures) -> list[str]:
        """The names of the features by which ``linear`` and ``boosting`` answer for ``graphs``."""
        missing = self.features.missing or graphs.missing
        computed = [] if missing else column_names(self.invariants)
        return computed + [f"graph feature {name}" for name in self.features.own_names]

    @property
    def target_names(self) -> list[str]:
        """The names of the targets."""
        return [one.name for one in self.targets]

    def answers(self, target: Target, graphs: GraphFeatures, threads: int) -> Answers:
        """Predictions of one of the ``targets`` for ``graphs``, and reasons why others are missing.

        ``threads``: number of threads of trees.
        """
        sets = _sets(self, graphs)
        count, found, left_out = len(graphs.computed), {}, {}
        fitted = Target(
            target.name, target.train[self.fitted_to], target.num_classes, target.dimensions
        )
        with one_thread_of_blas(threads):
            for method in self.methods:
                begun = time.monotonic()
                try:
                    if method == CONSTANT:
                        same = constant(target)
                        found[method] = np.broadcast_to(same, (count, *same.shape))
                    else:
                        found[method] = METHODS[method][1](fitted, sets)
                    seconds = time.monotonic() - begun
                    logger.info("%s of %s: %.1f s", method, target.name, seconds)
                except NotApplicable as reason:
                    left_out[method] = str(reason)
                    logger.info("%s of %s left out: %s", method, target.name, reason)
        return found, left_out


def computed_names(methods: Sequence[str], invariants: Sequence[str]) -> list[str]:
    """The observables that ``methods`` need; without any but the constant, none."""
    if not {*methods} - {CONSTANT}:
        return []
    more = [TWO_ORDER] if TWO_ORDER in methods else []
    return list(dict.fromkeys([*invariants, DIMENSION, *more]))


def _sets(training: TrainingSet, graphs: GraphFeatures) -> Sets:
    """The features of the training set and of ``graphs``, as methods take them."""
    both = (training.features, graphs)
    missing = training.features.missing or graphs.missing
    names = [] if missing else computed_names(training.methods, training.invariants)
    ends = np.cumsum([0, *(len(column_names([name])) for name in names)])
    places = {name: np.arange(*ends[k : k + 2]) for k, name in enumerate(names)}

    def features(wanted: Sequence[str], own: slice = slice(0)) -> Features:
        chosen = [places[name] for name in wanted if name in places]
        columns = np.concatenate([np.zeros(0, np.int64), *chosen])
        train, test = (np.hstack([one.computed[:, columns], one.own[:, own]]) for one in both)
        return Features(train, test, missing)

    usual = features(training.invariants, slice(None))
    if training.features.own_names != graphs.own_names:
        why = "the graph features are not those of the training set"
        usual = Features(usual.train[:, :0], usual.test[:, :0], why)
    return Sets(usual, features([DIMENSION]), features([TWO_ORDER]))


def save_training_set(training: TrainingSet, path: Path) -> None:
    """Write ``training`` to ``path``, atomically."""
    features = training.features
    arrays: dict[str, NDArray[Any]] = {
        "computed": features.computed,
        "own": features.own,
        "fitted_to": training.fitted_to,
        **{f"target.{t}": one.train for t, one in enumerate(training.targets)},
    }
    info = {
        "format": _INFO["format"],
        "methods": training.methods,
        "invariants": training.invariants,
        "own": features.own_names,
        "missing": features.missing,
        "num_train": training.num_train,
        "class_names": training.class_names,
        "targets": [
            {
                "name": one.name,
                "num_classes": one.num_classes,
                "dimensions": None if one.dimensions is None else one.dimensions.tolist(),
            }
            for one in training.targets
        ],
        "left_out": training.left_out,
    }
    save_arrays(path, arrays, _ENTRY, info)


def read_training_set(path: Path) -> TrainingSet:
    """The training set in ``path``. Raises ``DataError`` if it is missing or damaged."""
    with open_arrays(path, _ENTRY, _INFO, rerun("baseline")) as (info, array):
        targets = [
            Target(
                one["name"],
                array(f"target.{t}"),
                one["num_classes"],
                None if one["dimensions"] is None else np.array(one["dimensions"], np.float64),
            )
            for t, one in enumerate(info["targets"])
        ]
        computed, own, fitted_to = array("computed"), array("own"), array("fitted_to")
    features = GraphFeatures(computed, own, info["own"], info["missing"])
    return TrainingSet(
        info["methods"], info["invariants"], features, fitted_to, info["num_train"], targets,
        info["class_names"], info["left_out"],
    )  # fmt: skip
