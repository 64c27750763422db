"""One step of training: from a group of batches to the next weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_

from qgpipe.models.build import call_model
from qgpipe.training.steps.criterion import Criterion, batch_loss, require_gradient
from qgpipe.training.steps.ema import WeightAverage
from qgpipe.training.steps.precision import Precision
from qgpipe.training.steps.step_batches import StepBatches
from qgpipe.training.steps.user_errors import memory_for


@dataclass(frozen=True)
class Taken:
    """A step that was taken; tensors are where they were computed, so that nothing waits.

    ``loss`` (): mean over the graphs, before the step. ``positions``: of the graphs in the data
    set, as far as the batches tell. ``gradient_norm`` (): before clipping; ``None`` where it is
    allowed to be infinite.
    """

    loss: Tensor
    num_graphs: int
    positions: list[Tensor]
    gradient_norm: Tensor | None


@dataclass
class TrainingStep:
    """Takes steps: gradients of the mean loss over some graphs, clipped, then the optimizer's.

    ``clip``: the largest norm of the gradients, ``None`` for no limit. ``average`` follows the
    weights, if it is given.
    """

    model: torch.nn.Module
    criterion: Criterion
    optimizer: torch.optim.Optimizer
    precision: Precision
    device: torch.device
    apply_model: Callable[[Any, Any], Any] | None = None
    clip: float | None = None
    average: WeightAverage | None = None

    def __call__(self, batches: StepBatches) -> Taken:
        """Take a step on ``batches``, which count as one batch; each is let go of after use.

        Each has a share in the loss by its number of graphs, so that a criterion that averages
        over its batch averages over all. Raises ``TrainingError`` if the criterion fails.
        """
        self.optimizer.zero_grad()
        losses, positions = [], []
        for batch in batches:
            losses.append(self._backward(batch, batch.num_graphs / batches.num_graphs))
            if "sample_position" in batch:
                positions.append(batch.sample_position)
        return self._taken(losses, batches.num_graphs, positions)

    def _taken(self, losses: list[Tensor], num_graphs: int, positions: list[Tensor]) -> Taken:
        """Finish the step whose gradients are there."""
        gradient_norm = self._advance()
        return Taken(
            loss=sum(losses[1:], start=losses[0]),
            num_graphs=num_graphs,
            positions=positions,
            gradient_norm=None if self.precision.leaves_out_overflows else gradient_norm,
        )

    def _backward(self, batch: Any, share: float) -> Tensor:
        """Add the gradients of the loss of ``batch`` times its ``share``; returns that product.

        Raises ``TrainingError`` with the numbers of the batch if it does not fit into memory.
        """
        with memory_for(batch, self.device):
            batch = batch.to(self.device, non_blocking=True)
            loss = share * self._loss(batch)
            require_gradient(loss)
            self.precision.scaled(loss).backward()
        return loss.detach()

    def _loss(self, batch: Any) -> Tensor:
        with self.precision.autocast():
            outputs = call_model(self.model, batch, self.apply_model)
        return batch_loss(self.criterion, self.precision.in_full(outputs), batch)

    def _advance(self) -> Tensor:
        """Change the weights along the gradients; returns the norm of these, shape ()."""
        self.precision.unscale(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        gradients = [p.grad.flatten() for p in parameters if p.grad is not None]
        norm = torch.cat(gradients).norm()  # a few times as fast as get_total_norm
        if self.clip is not None:
            clip_grads_with_norm_(parameters, self.clip, norm)
        self.precision.step(self.optimizer)
        if self.average is not None:
            self.average.update(self.model)
        return norm
