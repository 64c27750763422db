"""The baselines: each is fitted to the training set and predicts the graphs of the test set.

Predictions of a class are probabilities, float64 [N, C]; those of a regression target are values,
float64 [N].
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from qgpipe.baselines.features import TWO_ORDER
from qgpipe.baselines.statistics import mcnemar

SEED = 0  # of methods that draw random numbers
PLUS = f"+{TWO_ORDER}"
_SIGNIFICANT = 0.05
_DIMENSION = re.compile(  # in the name of a class: minkowski_3, dimension 3; 3d, flat_3d
    r"(?:.*[\W_])?(?:minkowski|dim(?:ension)?)[\W_]*(\d{1,2})|(?:.*[\W_])?(\d{1,2})[\W_]?d", re.I
)

logger = logging.getLogger(__name__)

Reals = NDArray[np.float64]


class NotApplicable(Exception):
    """A baseline cannot predict a target; the text says why."""


@dataclass(frozen=True)
class Target:
    """A graph-level target.

    ``train``: its values in the training set, int64 or float64 [M]; missing ones are NaN, or a
    negative class. ``num_classes``: C, or None for a regression target. ``dimensions``: float64
    [C], the spacetime dimension that each class stands for, if there is one; empty for a regression
    target that is a dimension.
    """

    name: str
    train: NDArray[Any]
    num_classes: int | None = None
    dimensions: Reals | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """The training graphs that have a target, bool [M]."""
        return np.isfinite(self.train) if self.num_classes is None else self.train >= 0


@dataclass(frozen=True)
class Features:
    """Features of the training and test graphs, float [M, k] and [N, k]; none if k is 0.

    ``missing``: why there are none.
    """

    train: NDArray[Any]
    test: NDArray[Any]
    missing: str | None = None

    def beside(self, other: Features) -> Features:
        """The columns of both."""
        return Features(np.hstack([self.train, other.train]), np.hstack([self.test, other.test]))


@dataclass(frozen=True)
class Sets:
    """Features of the training and test graphs, as the input of methods.

    ``features``: order invariants and the graph features of the data; ``dimension``: Myrheim-Meyer
    dimension; ``two_order``: whether each is a 2-order, 0 or 1.
    """

    features: Features
    dimension: Features
    two_order: Features


def constant(target: Target) -> Reals:
    """The best constant prediction: [C] or [].

    Regression: the mean. Classes: their shares in the training set, each counted once more than it
    occurs.
    """
    train = target.train[target.known]
    if not len(train):
        raise NotApplicable("the training set has no target")
    if target.num_classes is None:
        return np.asarray(train.mean(dtype=np.float64))
    counts = np.bincount(train, minlength=target.num_classes) + 1.0
    return counts / counts.sum()


def myrheim_meyer(target: Target, sets: Sets) -> Reals:
    """The Myrheim-Meyer dimension itself; a class is the more probable the nearer its dimension."""
    from scipy.special import softmax

    if target.dimensions is None:
        raise NotApplicable("the target is not a dimension")
    _require(sets.dimension)
    dimension = sets.dimension.test[:, 0].astype(np.float64)
    if target.num_classes is None:
        return dimension
    return softmax(-((dimension[:, None] - target.dimensions) ** 2), axis=1)


def linear(target: Target, features: Features) -> Reals:
    """Logistic regression for classes, otherwise ridge regression, on standardised features.

    The regularisation of the ridge is chosen by leave-one-out cross-validation.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    is_value = target.num_classes is None
    model = RidgeCV(np.logspace(-3, 3, 13)) if is_value else LogisticRegression(max_iter=500)
    filled = SimpleImputer(keep_empty_features=True)
    return _fitted(make_pipeline(filled, StandardScaler(), model), target, features)


def boosting(target: Target, features: Features) -> Reals:
    """Gradient boosting of a hundred trees, for each class if there are more than two.

    Without early stopping, whose validation set fails if a class has only one graph.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = (
        HistGradientBoostingRegressor
        if target.num_classes is None
        else HistGradientBoostingClassifier
    )
    return _fitted(kind(early_stopping=False, random_state=SEED), target, features)


def two_order(target: Target, sets: Sets) -> Reals:
    """The shares of the classes among training graphs that are 2-orders, and among the others.

    Only if this classifies the training graphs significantly better than the most frequent class.
    """
    _require_classes(target, sets)
    known = target.known
    train, is_one = target.train[known], sets.two_order.train[known, 0] > 0.5
    counts = np.ones((2, target.num_classes or 0))
    np.add.at(counts, (is_one.astype(int), train), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    right = shares.argmax(axis=1)[is_one.astype(int)] == train
    usual = train == np.bincount(train).argmax()
    if mcnemar(right, usual).p > _SIGNIFICANT:
        raise NotApplicable("classes are not told apart by whether a causal set is a 2-order")
    return shares[(sets.two_order.test[:, 0] > 0.5).astype(int)]


def with_two_order(
    method: Callable[[Target, Features], Reals], target: Target, sets: Sets
) -> Reals:
    """``method`` with the 2-order test as one more feature."""
    _require_classes(target, sets)
    _require(sets.features)
    return method(target, sets.features.beside(sets.two_order))


METHODS: dict[str, tuple[str, Callable[[Target, Sets], Reals]]] = {
    "myrheim_meyer": ("Myrheim-Meyer dimension, not fitted", myrheim_meyer),
    "linear": ("linear model of invariants", lambda t, s: linear(t, s.features)),
    "boosting": ("gradient boosting of invariants", lambda t, s: boosting(t, s.features)),
    TWO_ORDER: ("2-order or not", two_order),
    f"linear{PLUS}": (
        "linear model of invariants and 2-order test",
        lambda t, s: with_two_order(linear, t, s),
    ),
    f"boosting{PLUS}": (
        "gradient boosting of invariants and 2-order test",
        lambda t, s: with_two_order(boosting, t, s),
    ),
}
"""All baselines except the constant: a description, and a function of a target and the features.

Functions return predictions for the test graphs, and raise ``NotApplicable``.
"""

CONSTANT = "constant"
TITLES = {
    CONSTANT: "always the same answer",
    **{name: title for name, (title, _) in METHODS.items()},
}


def asked(methods: Sequence[str]) -> list[str]:
    """The baselines that ``methods`` of the configuration select, in the order of ``TITLES``.

    ``two_order`` selects a method and also variants of other methods with it as a feature.
    """
    found = [name for name in TITLES if name.removesuffix(PLUS) in methods]
    return found if TWO_ORDER in methods else [n for n in found if TWO_ORDER not in n]


def named_dimensions(names: Sequence[str]) -> Reals | None:
    """The dimension in the name of each class, float64 [C], such as 3 in ``3d``, ``minkowski_3``.

    None unless each class names a different one, from 1 to 11.
    """
    found = [match for name in names if (match := _DIMENSION.fullmatch(name))]
    values = [int(match[1] or match[2]) for match in found]
    good = len(values) == len(names) > 0 and len({*values}) == len(values)
    return np.array(values, float) if good and 1 <= min(values) <= max(values) <= 11 else None


def one_thread_of_blas(threads: int) -> Any:
    """A block with ``threads`` for trees, and one for BLAS, so that sums have a fixed order."""
    import sklearn.ensemble  # noqa: F401  limits are those of libraries that are loaded

    return threadpool_limits({"blas": 1, "openmp": threads})


def _fitted(model: Any, target: Target, features: Features) -> Reals:
    from sklearn.exceptions import ConvergenceWarning

    _require(features)
    known = target.known
    train, rows = target.train[known], features.train[known]
    if len(train) < 2:
        raise NotApplicable("the training set has fewer than two targets")
    if target.num_classes is not None and len(np.unique(train)) < 2:
        raise NotApplicable("the training set has only one class")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, train)
    if target.num_classes is None:
        return model.predict(features.test).astype(np.float64)
    shares = np.zeros((len(features.test), target.num_classes))
    shares[:, model.classes_] = model.predict_proba(features.test)
    return shares


def _require(features: Features) -> None:
    if not features.train.shape[1]:
        raise NotApplicable(features.missing or "there are no features")


def _require_classes(target: Target, sets: Sets) -> None:
    if target.num_classes is None:
        raise NotApplicable("the target is not a class")
    _require(sets.two_order)
