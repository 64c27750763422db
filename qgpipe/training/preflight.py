"""Checks before training for errors that would otherwise occur in the middle of it."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from qgpipe.errors import ConfigError, DivergenceError, TrainingError
from qgpipe.models import check_model
from qgpipe.training.loaders import graph_targets
from qgpipe.training.steps.outputs import (
    IGNORED_TARGET,
    as_heads,
    count_tasks,
    kind_of_task,
    target_of_task,
)
from qgpipe.training.steps.training_step import batches
from qgpipe.training.steps.user_errors import explained, memory_for, remedy_for


def check_fit(
    model: torch.nn.Module,
    loader: Any,
    apply_model: Callable[[Any, Any], Any] | None,
    device: torch.device,
    classes: Iterable[int] = (),
) -> None:
    """Call ``model`` with the first batch of ``loader``, and compare heads with all targets.

    ``classes``: further classes to expect, if targets are one class for each graph.

    Raises ``TrainingError`` if there is no batch or no memory for one, ``ConfigError`` if the model
    does not fit the features, or a head does not have an output for each class.
    """
    dataset = loader.dataset
    if len(loader) == 0:
        raise TrainingError(
            f"no batch to train on ({len(dataset)} graphs)",
            remedy="make training.batch_size smaller, or set training.drop_last to false",
        )
    try:
        batch = next(batches(loader, epoch=1, first=0))
        with memory_for(batch, device):
            outputs = check_model(
                model,
                batch.to(device),
                node_features=getattr(dataset, "node_features", None),
                graph_features=getattr(dataset, "graph_features", None),
                apply_model=apply_model,
            )
    except (TrainingError, torch.OutOfMemoryError, MemoryError) as error:
        raise explained(error, "the first batch") from None
    except ConfigError as error:
        error.remedy = remedy_for(error.problem) or error.remedy
        raise
    targets = graph_targets(dataset, of_all_sets=True)
    if targets is not None:
        if targets.dim() == 1:
            targets = torch.cat([targets, torch.tensor([*classes], dtype=targets.dtype)])
        check_targets(as_heads(outputs), count_tasks(model, outputs), targets)


LIST_CLASSES = "list the values of the target in 'classes' of the reader's kwargs"


def check_targets(heads: dict[int, Tensor], num_tasks: int, targets: Tensor) -> None:
    """Raise ``ConfigError`` if ``targets`` cannot be classes of the outputs of ``heads``.

    ``heads``: outputs (B, …) by task, of ``num_tasks``; ``targets``: (M,) or (M, T), of a whole
    dataset. A single column belongs to head 0. Only heads that are classifications according to
    ``kind_of_task`` are checked.
    """
    for task, head in heads.items():
        if targets.dim() > 2 or task not in range(1 if targets.dim() == 1 else targets.shape[1]):
            continue
        target = target_of_task(targets, task, num_tasks)
        given = target[target != IGNORED_TARGET]
        if kind_of_task(head, target) != "classification" or given.numel() == 0:
            continue
        where = f"model.downstream_tasks[{task}]"
        least, most = int(given.min()), int(given.max())
        if least < 0:
            raise ConfigError(
                f"targets go down to {least}",
                key=where,
                remedy=f"number the classes from 0, or {LIST_CLASSES}",
            )
        classes = max(2, head.shape[1:].numel())
        if most >= classes:
            raise ConfigError(
                f"targets go up to {most} but head {task} has {classes} outputs",
                key=where,
                remedy=f"give the head {most + 1} outputs, or {LIST_CLASSES}",
            )


def require_finite(model: torch.nn.Module, epoch: int) -> None:
    """Raise ``DivergenceError`` if a weight of ``model`` is not a finite number."""
    finite = [p.detach().isfinite().all() for p in model.parameters()]
    if finite and not torch.stack(finite).all():
        raise DivergenceError(
            f"weights are not finite numbers after epoch {epoch}",
            remedy="lower the learning rate; the last good checkpoint is kept",
        )
