"""Temperature scaling: one number by which logits are divided."""

from __future__ import annotations

from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from qgpipe.evaluation.scores import calibration_error
from qgpipe.training.steps.outputs import IGNORED_TARGET

_LOG_RANGE = (-4.6, 4.6)  # of log T: 0.01 to 100


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """The T > 0 at which logits / T have the least negative log-likelihood.

    ``logits``: [N, C] with classes ``target`` int64 [N], or one for each target of 0 or 1. The
    least is unique, as the likelihood is convex in 1 / T (Guo, Pleiss, Sun, Weinberger,
    arXiv:1706.04599). Targets of -100 do not count.
    """
    logits, target = _known(logits.double(), target)
    if not len(target):
        return 1.0

    def loss(log_temperature: float) -> float:
        return _nll(logits / torch.tensor(log_temperature).double().exp(), target)

    found = minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded", options={"xatol": 1e-6})
    return float(torch.tensor(found.x).double().exp())


def calibration_of(logits: Tensor, target: Tensor) -> dict[str, Any]:
    """Negative log-likelihood and calibration error; arguments as in ``fit_temperature``."""
    logits, target = _known(logits.double(), target)
    if not len(target):
        return {"nll": None, "calibration_error": None}
    if logits.shape == target.shape:
        positive = logits.sigmoid().flatten()
        confidence, predicted = torch.maximum(positive, 1 - positive), positive > 0.5
    else:
        confidence, predicted = logits.softmax(dim=1).max(dim=1)
    right = (predicted.long() == target.flatten().long()).numpy()
    return {
        "nll": _nll(logits, target),
        "calibration_error": calibration_error(confidence.numpy(), right),
    }


def _known(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    known = (target != IGNORED_TARGET).reshape(len(target), -1).all(dim=1)
    known &= logits.reshape(len(logits), -1).isfinite().all(dim=1)
    return logits[known], target[known]


def _nll(logits: Tensor, target: Tensor) -> float:
    if logits.shape == target.shape:
        return binary_cross_entropy_with_logits(logits, target.double()).item()
    return cross_entropy(logits, target.long()).item()
