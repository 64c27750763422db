"""Losses for ``criterion`` in a configuration, for the first head or for all heads."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional


def cross_entropy(outputs: Mapping[int, Tensor], data: Any) -> Tensor:
    """Mean cross entropy of ``outputs[0]`` (B, classes) and ``data.y`` (B,), int64."""
    return functional.cross_entropy(outputs[0], data.y)


def binary_cross_entropy(outputs: Mapping[int, Tensor], data: Any) -> Tensor:
    """Mean cross entropy of logits ``outputs[0]`` (B, 1) or (B, T) and ``data.y`` of 0 and 1."""
    logits = outputs[0]
    target = data.y.view_as(logits).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, target)


def mean_squared_error(outputs: Mapping[int, Tensor], data: Any) -> Tensor:
    """Mean squared error of ``outputs[0]`` (B, targets) and ``data.y`` (B,) or (B, targets)."""
    prediction = outputs[0]
    return functional.mse_loss(prediction, data.y.view_as(prediction).to(prediction.dtype))


def sum_over_heads(outputs: Mapping[int, Tensor], data: Any) -> Tensor:
    """Sum over heads of the cross entropy (classification) or mean squared error (regression).

    A head with several outputs, (B, C), is a classification; one with a single output, (B, 1), a
    regression. Head k has the target ``data.y[:, k]``, with integers for classes; ``data.y`` (B,)
    is the target of all heads.
    """
    total = data.y.new_zeros((), dtype=outputs[next(iter(outputs))].dtype)
    for task, output in outputs.items():
        target = data.y if data.y.dim() == 1 else data.y[:, task]
        if output.shape[1] > 1:
            total = total + functional.cross_entropy(output, target.long())
        else:
            total = total + functional.mse_loss(output[:, 0], target.to(output.dtype))
    return total
