"""Losses of the first head, as criteria of a configuration."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional


def cross_entropy(outputs: Mapping[int, Tensor], data: Any) -> Tensor:
    """Mean cross entropy of ``outputs[0]`` (B, classes) and ``data.y`` (B,), int64."""
    return functional.cross_entropy(outputs[0], data.y)


def mean_squared_error(outputs: Mapping[int, Tensor], data: Any) -> Tensor:
    """Mean squared error of ``outputs[0]`` (B, targets) and ``data.y`` (B,) or (B, targets)."""
    prediction = outputs[0]
    return functional.mse_loss(prediction, data.y.view_as(prediction).to(prediction.dtype))
