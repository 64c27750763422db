"""How unlike the training set a graph is, by its embedding or its logits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qgpipe.models.construct.calibrator import Calibrator


def mahalanobis_buffers(embeddings: Tensor, classes: Tensor | None) -> dict[str, Tensor]:
    """Means and whitening of a ``Calibrator``, from the training set.

    ``embeddings``: [N, F]; ``classes``: int64 [N], or None for one mean of all. The covariance is
    that within classes, shrunk towards a multiple of the unit matrix, without which it has no
    inverse where units are never active (Ledoit and Wolf, J. Multivariate Anal. 88, 365, 2004).
    """
    from sklearn.covariance import LedoitWolf

    values = embeddings.double().numpy()
    numbers = np.zeros(len(values), np.int64) if classes is None else classes.numpy()
    found, place = np.unique(numbers, return_inverse=True)
    means = np.stack([values[place == k].mean(axis=0) for k in range(len(found))])
    precision = LedoitWolf(assume_centered=True).fit(values - means[place]).precision_
    whitening = np.linalg.cholesky((precision + precision.T) / 2).T  # WᵀW = precision
    return {
        "outlier_means": torch.from_numpy(means),
        "outlier_whitening": torch.from_numpy(np.ascontiguousarray(whitening)),
    }


def energy_buffers(temperature: Tensor) -> dict[str, Tensor]:
    """Those of a ``Calibrator`` that scores by energy: there is nothing to fit."""
    return {"temperature": temperature}


def with_threshold(
    buffers: dict[str, Tensor], logits: Tensor, embeddings: Tensor | None, share: float
) -> dict[str, Tensor]:
    """``buffers`` with the threshold that the given ``share`` of the validation set is above.

    ``logits``: [N, C], as the calibrated model gives them; ``embeddings``: [N, F].
    """
    scores = Calibrator(buffers).outlier_score(logits, embeddings)
    return {**buffers, "outlier_threshold": torch.quantile(scores, 1 - share)}
