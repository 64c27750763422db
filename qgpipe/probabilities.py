"""From outputs to class probabilities: one rule for training, predictions and report."""

import numpy as np
from numpy.typing import NDArray

_SUMS_TO_ONE = 1e-3  # tolerance for the sum of probabilities


def are_probabilities(outputs: NDArray[np.floating]) -> bool:
    """Whether ``outputs`` [M, C] of a model are probabilities already, and not logits.

    So if there are several columns, none is negative, and every row adds up to one. Rows that are
    not finite do not count.
    """
    finite = outputs[np.isfinite(outputs).all(axis=1)]
    if finite.shape[1] == 1 or len(finite) == 0 or (finite < 0).any():
        return False
    return bool((np.abs(finite.sum(axis=1) - 1) < _SUMS_TO_ONE).all())


def probabilities(outputs: NDArray[np.floating], given: bool) -> NDArray[np.float64]:
    """Probabilities of the classes, float64 [M, C], for ``outputs`` [M, C].

    ``given``: they are probabilities, and are only normalised, as scikit-learn requires a sum of
    one. Otherwise they are logits, and the result is their softmax; a single column is the logit
    of class 1 of two classes.
    """
    values: NDArray[np.float64] = outputs.astype(np.float64)
    if given:
        return _shares(values)
    if values.shape[1] == 1:
        positive = 0.5 * (1 + np.tanh(values[:, 0] / 2))
        return np.stack([1 - positive, positive], axis=1)
    return _shares(np.exp(values - values.max(axis=1, keepdims=True)))


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / values.sum(axis=1, keepdims=True)
