"""A step of training of which every rank computes a share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from qgpipe.training.randomness import seed_everything
from qgpipe.training.shares import Share
from qgpipe.training.step_batches import StepBatches
from qgpipe.training.training_step import Taken, TrainingStep


class GroupStep(TrainingStep):
    """Takes the same step on all ranks: gradients of the mean loss over the graphs of all.

    ``DistributedDataParallel`` averages gradients over the ranks, each of which has the mean
    over its own graphs. So a rank with g of the G graphs of the step counts with size · g / G, and
    the average is that of a single process up to rounding, also where shares differ.

    Random numbers (dropout) are drawn from states that depend on seed, rank and step alone:
    ranks draw different ones, and a training that is taken up again the same as before.
    """

    def join(self, rank: int, size: int, find_unused_parameters: bool) -> None:
        """Become the step of ``rank`` in the default process group of ``size`` ranks."""
        self._rank, self._size = rank, size
        self._shared = DistributedDataParallel(
            _Loss(self.model, self.criterion, super()._loss),
            find_unused_parameters=find_unused_parameters,
        )

    def __call__(self, batches: StepBatches) -> Taken:
        """Take a step on shares of ``batches``, which count as one batch."""
        self.optimizer.zero_grad()
        losses, positions = [], []
        for number, share in enumerate(batches, 1):
            if number == 1:
                self._seed(share)
            with nullcontext() if number == batches.number else self._shared.no_sync():
                losses.append(self._backward(share.batch, share.graphs / batches.num_graphs))
            if share.graphs and "sample_position" in share.batch:
                positions.append(share.batch.sample_position)
        return self._taken(losses, batches.num_graphs, positions)

    def _seed(self, share: Share) -> None:
        words = np.random.SeedSequence((*share.step, self._rank)).generate_state(1)
        seed_everything(int(words[0]))

    def _backward(self, batch: Any, share: float) -> Tensor:
        return super()._backward(batch, share * self._size) / self._size

    def _loss(self, batch: Any) -> Tensor:
        return self._shared(batch)


class _Loss(torch.nn.Module):
    """From a batch to its loss, with the weights of model and criterion below one module.

    So the user's ``apply_model`` and criterion get the model itself, not a wrapper of it.
    """

    def __init__(self, model: torch.nn.Module, criterion: Any, loss: Callable[[Any], Tensor]):
        super().__init__()
        self.model = model
        self.criterion = criterion
        self._loss = loss

    def forward(self, batch: Any) -> Tensor:
        return self._loss(batch)
