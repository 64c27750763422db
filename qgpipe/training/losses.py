"""Losses as criteria of a configuration: of the first head, or of all."""

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


def sum_over_heads(outputs: Mapping[int, Tensor], data: Any) -> Tensor:
    """Σ over heads: cross entropy of classes, mean squared error of values.

    A head with several outputs, (B, C), tells classes apart; one with a single output, (B, 1),
    gives a value. Head k has the column k of ``data.y`` (B, T), which holds the numbers of classes
    as whole numbers; ``data.y`` (B,) serves all heads.
    """
    total = data.y.new_zeros((), dtype=outputs[next(iter(outputs))].dtype)
    for task, output in outputs.items():
        target = data.y if data.y.dim() == 1 else data.y[:, task]
        if output.shape[1] > 1:
            total = total + functional.cross_entropy(output, target.long())
        else:
            total = total + functional.mse_loss(output[:, 0], target.to(output.dtype))
    return total
