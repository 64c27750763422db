"""The scores of the best constant prediction."""

import copy
import logging
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from qgpipe.errors import TrainingError
from qgpipe.probabilities import are_probabilities
from qgpipe.training.evaluation.evaluator import Evaluator
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.steps.outputs import kind_of_task, target_of_task

logger = logging.getLogger(__name__)


class ConstantPredictor(torch.nn.Module):
    """Returns the same outputs for every graph, or every element."""

    def __init__(self, heads: dict[int, Tensor], num_tasks: int, of_elements: bool = False):
        """``heads``: by task, the outputs of one graph, of any shape; other tasks are inactive."""
        super().__init__()
        self.of_elements = of_elements
        self.heads = heads
        self.active_tasks = {task: task in heads for task in range(num_tasks)}

    def forward(self, batch: Any) -> dict[int, Tensor]:
        """By task, the outputs repeated for each graph, or element, of ``batch``."""
        rows = batch.num_nodes if self.of_elements else batch.num_graphs
        return {
            task: head.to(batch.batch.device).expand(rows, *head.shape)
            for task, head in self.heads.items()
        }


def constant_heads(
    heads: dict[int, Tensor], num_tasks: int, targets: Tensor
) -> dict[int, Tensor] | None:
    """The best constant outputs for training ``targets`` (M,) or (M, T).

    ``heads``: outputs of a model with ``num_tasks`` tasks, (N, C) or (N,), for their shapes.
    Classification: the logarithms of the shares of the classes in the training set, each counted
    once more than it occurs, whose softmax is the shares; the shares themselves if the outputs are
    probabilities. Regression: the mean. ``None`` if the shapes of outputs and targets fit neither.
    """
    constants = {}
    for task, head in heads.items():
        try:
            constant = _constant(head, target_of_task(targets, task, num_tasks))
        except IndexError:
            return None
        if constant is None:
            return None
        constants[task] = constant
    return constants


def evaluate_baseline(
    tester: Evaluator, collected: Collected, targets: Tensor, loader: Any
) -> pd.DataFrame | None:
    """The row of ``tester`` for the best constant prediction, ``None`` if there is none.

    ``collected``: the model's outputs; ``targets``: of the training set.
    """
    constants = constant_heads(collected.heads, collected.num_tasks, targets)
    if constants is None:
        return None
    other = copy.copy(tester)
    other.apply_model = lambda model, batch: model(batch)
    try:
        constant = ConstantPredictor(constants, collected.num_tasks, collected.of_elements)
        return other.evaluate(constant, loader)
    except TrainingError as error:
        logger.warning("no baseline: %s", error)
        return None


def _constant(head: Tensor, target: Tensor) -> Tensor | None:
    kind, shape = kind_of_task(head, target), head.shape[1:]
    one_each = shape.numel() == target.shape[1:].numel()
    if kind == "regression":
        return target.double().mean(dim=0).float().reshape(shape) if one_each else None
    if kind == "other":
        return None
    if one_each:
        positive = (target > 0).sum(dim=0) + 1
        share = positive.double() / (len(target) + 2)
        return torch.logit(share).float().reshape(shape)
    if target.min() < 0:
        return None
    columns = shape.numel()
    counts = torch.bincount(target.long(), minlength=columns)[:columns] + 1
    shares = counts / counts.sum()
    return shares if are_probabilities(head.double().numpy()) else shares.log()
