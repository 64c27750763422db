"""Outputs of a model and their targets: heads, labels, probabilities.

``outputs``: the return value of a model: ``{task index: tensor}`` for a ``GNNModel``; a tensor, a
list or another mapping for other models, whose tasks are numbered from 0.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from qgpipe.models.build import unwrapped
from qgpipe.probabilities import are_probabilities
from qgpipe.probabilities import probabilities as class_probabilities

IGNORED_TARGET = -100  # torch's default ignore_index

Kind = Literal["classification", "regression", "other"]


def as_heads(outputs: Any) -> dict[int, Tensor]:
    """The tensors of ``outputs`` by task index."""
    if isinstance(outputs, Tensor):
        return {0: outputs}
    if isinstance(outputs, Mapping):
        numbered = outputs if all(isinstance(k, int) for k in outputs) else None
        items = numbered.items() if numbered is not None else enumerate(outputs.values())
    elif isinstance(outputs, list | tuple):
        items = enumerate(outputs)
    else:
        return {}
    return {k: value for k, value in items if isinstance(value, Tensor)}


def count_tasks(model: torch.nn.Module, outputs: Any) -> int:
    """Number of tasks of ``model``, which returned ``outputs``.

    Inactive heads, which have no output, are tasks too: they are in the ``active_tasks`` of a
    model. For a model without this attribute the outputs are counted.
    """
    switches = getattr(unwrapped(model), "active_tasks", None)
    if isinstance(outputs, Mapping) and isinstance(switches, Mapping):
        return len(switches)
    return max(as_heads(outputs), default=-1) + 1


def target_table(y: Tensor, num_graphs: int, rows: int) -> Tensor:
    """``y`` with a row for each of ``rows`` predictions.

    Several targets of a graph in one vector, which batching concatenates to (graphs · targets,),
    become (graphs, targets). Otherwise ``y`` is returned unchanged.
    """
    if y.shape[:1] != (rows,) and y.dim() == 1 and num_graphs and y.numel() % num_graphs == 0:
        return y.reshape(num_graphs, -1)
    return y


def target_of_task(targets: Tensor, task: int, num_tasks: int) -> Tensor:
    """The target of ``task``; the model has ``num_tasks`` tasks.

    Targets (N,) are those of every task. For targets (N, T), each of several tasks has one column,
    and a single task has all columns. A single column is returned as (N,). Raises ``IndexError`` if
    there is no such column.
    """
    if targets.dim() < 2:
        return targets
    if targets.shape[1] == 1:
        return targets[:, 0]
    if num_tasks == 1:
        return targets
    return targets[:, task]


def is_class_target(targets: Tensor) -> bool:
    """Whether ``targets`` are class labels: integers or booleans."""
    return not (targets.is_floating_point() or targets.is_complex())


def is_binary(targets: Tensor) -> Tensor:
    """Whether each column of ``targets`` (N,) or (N, T) holds only 0 and 1: bool () or (T,)."""
    return ((targets == 0) | (targets == 1) | (targets == IGNORED_TARGET)).all(dim=0)


def largest_class(targets: Tensor) -> int | list[int | None] | None:
    """The largest value in each column of ``targets``, (N,) or (N, T), that may be classes.

    None for a column with values other than non-negative integers.
    """
    if targets.dim() > 1:
        return [largest_class(column) for column in targets.unbind(1)]  # type: ignore[misc]
    given = targets[targets != IGNORED_TARGET]
    if not given.numel() or not bool(((given >= 0) & (given == given.round())).all()):
        return None
    return int(given.max())


def _may_be_classes(prediction: Tensor, target: Tensor) -> bool:
    """Whether floating-point ``target`` (N,) are class indices for outputs (N, C).

    Classes are stored like this beside real targets, because ``y`` has one dtype.
    """
    if target.is_complex() or (prediction.dim(), target.dim()) != (2, 1):
        return False
    largest = largest_class(target)
    return isinstance(largest, int) and largest < prediction.shape[1] > 1


def kind_of_task(prediction: Tensor, target: Tensor) -> Kind:
    """The kind of task of a head, from outputs (N, …) and targets (N,) or (N, T).

    Floating-point targets are a regression, except integers from 0 to C - 1, (N,), with outputs
    (N, C), C > 1: a classification. Integer targets (N,) with outputs (N, C) are a classification.
    Integer targets with one output each are a classification if all are 0 or 1 (outputs are
    logits), otherwise a regression. Other shapes of integer targets are ``other``.
    """
    if not is_class_target(target):
        return "classification" if _may_be_classes(prediction, target) else "regression"
    if prediction.shape[1:].numel() == target.shape[1:].numel():
        return "classification" if bool(is_binary(target).all()) else "regression"
    return "classification" if (prediction.dim(), target.dim()) == (2, 1) else "other"


def match_shape(prediction: Tensor, target: Tensor) -> Tensor:
    """``prediction`` (N, 1) as (N,) if ``target`` is (N,); otherwise unchanged."""
    if prediction.dim() == 2 and prediction.shape[1] == 1 and target.dim() == 1:
        return prediction[:, 0]
    return prediction


def labels(prediction: Tensor, target: Tensor) -> np.ndarray:
    """Predicted class labels if ``target`` are classes, otherwise the outputs.

    A label is the index of the largest output (N, C), or whether a single logit (N,) or (N, 1) is
    positive; for several binary targets, whether each logit is.
    """
    prediction = match_shape(prediction, target)
    if kind_of_task(prediction, target) != "classification":
        return prediction.double().numpy()
    if prediction.shape == target.shape:
        return (prediction > 0).long().numpy()
    return prediction.argmax(dim=-1).numpy()


def undecided(prediction: Tensor, target: Tensor | None) -> Tensor:
    """Whether outputs do not determine a prediction (although :func:`labels` returns one).

    Bool, with the shape of the labels if ``target`` are classes, otherwise (N,). True for NaN, for
    an infinite output of a regression, and for classes whose largest output is infinite (minus
    infinity only excludes a class).
    """
    kind = "other"
    if target is not None:
        prediction, kind = match_shape(prediction, target), kind_of_task(prediction, target)
        if kind == "classification" and prediction.shape == target.shape:
            return prediction.isnan()
    flat = prediction[:, None].flatten(1)
    if kind == "regression":
        return ~flat.isfinite().all(dim=1)
    nan = flat.isnan().any(dim=1)
    return nan | ~flat.amax(dim=1).isfinite() if kind == "classification" else nan


def probabilities(prediction: Tensor, target: Tensor) -> np.ndarray:
    """Class probabilities if ``target`` are classes, in the form that scikit-learn expects.

    float64 (N, C), the softmax unless the outputs are already probabilities; for two classes and
    for single logits the probability of class 1, (N,) or the shape of ``target``. If ``target`` are
    not classes, the outputs.
    """
    prediction = match_shape(prediction, target).double()
    if kind_of_task(prediction, target) != "classification":
        return prediction.numpy()
    if prediction.shape == target.shape:
        return torch.sigmoid(prediction).numpy()
    outputs = prediction.numpy()
    shares = class_probabilities(outputs, are_probabilities(outputs))
    return shares[:, 1] if shares.shape[1] == 2 else shares
