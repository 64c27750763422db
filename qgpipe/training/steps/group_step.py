"""A step of training of which every rank computes a shard."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from qgpipe.system.rng import seed_everything
from qgpipe.training.distributed.process_group import Processes
from qgpipe.training.distributed.sharding import BatchShard
from qgpipe.training.steps.step_batches import StepBatches
from qgpipe.training.steps.training_step import Taken, TrainingStep


@dataclass(kw_only=True)
class GroupStep(TrainingStep):
    """Takes the same step on all ranks: gradients of the mean loss over the graphs of all.

    ``DistributedDataParallel`` averages gradients over the ranks, each of which has the mean
    over its own graphs. So a rank with g of the G graphs of the step counts with size · g / G, and
    the average is that of a single process up to rounding, also where shards differ.

    Random numbers (dropout) are drawn from states that depend on seed, rank and step alone:
    ranks draw different ones, and a training that is taken up again the same as before.
    """

    processes: Processes
    find_unused_parameters: bool = False

    def __post_init__(self) -> None:
        self._shared = DistributedDataParallel(
            _Loss(self.model, self.criterion, super()._loss),
            find_unused_parameters=self.find_unused_parameters,
        )

    def __call__(self, batches: StepBatches) -> Taken:
        """Take a step on shards of ``batches``, which count as one batch."""
        self.optimizer.zero_grad()
        losses, positions = [], []
        for number, shard in enumerate(batches, 1):
            if number == 1:
                self._seed(shard)
            with nullcontext() if number == batches.number else self._shared.no_sync():
                losses.append(self._backward(shard.batch, shard.graphs / batches.num_graphs))
            if shard.graphs and "sample_position" in shard.batch:
                positions.append(shard.batch.sample_position)
        return self._taken(losses, batches.num_graphs, positions)

    def _seed(self, shard: BatchShard) -> None:
        words = np.random.SeedSequence((*shard.step, self.processes.rank)).generate_state(1)
        seed_everything(int(words[0]))

    def _backward(self, batch: Any, share: float) -> Tensor:
        size = self.processes.size
        return super()._backward(batch, share * size) / size

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
