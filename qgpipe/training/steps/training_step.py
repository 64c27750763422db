"""One step of the optimizer on some batches, in a single process or on all ranks."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_

from qgpipe.models.build import call_model
from qgpipe.system.rng import seed_everything
from qgpipe.training.distributed.process_group import Processes
from qgpipe.training.distributed.sharding import BatchShard
from qgpipe.training.steps.criterion import Criterion, batch_loss, require_gradient
from qgpipe.training.steps.ema import WeightAverage
from qgpipe.training.steps.precision import Precision
from qgpipe.training.steps.user_errors import memory_for


@dataclass(frozen=True)
class StepBatches:
    """The batches of one step: ``number`` batches with ``num_graphs`` graphs in total."""

    batches: Iterable[Any]
    number: int
    num_graphs: int

    @classmethod
    def of(cls, batches: Sequence[Any]) -> Self:
        """From batches that are already loaded."""
        return cls(batches, len(batches), sum(batch.num_graphs for batch in batches))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def in_steps(loader: Any, epoch: int, first: int, accumulate: int) -> Iterator[StepBatches]:
    """The batches of ``epoch`` from number ``first`` on, ``accumulate`` of them in each step.

    The last step may have fewer. A step needs its number of graphs in advance; with a loader from
    outside this package, all batches of a step are loaded first.
    """
    items = batches(loader, epoch, first)
    if not can_resume_within_epoch(loader):
        while group := list(itertools.islice(items, accumulate)):
            yield StepBatches.of(group)
        return
    for start in range(first, len(loader), accumulate):
        stop = min(start + accumulate, len(loader))
        some = itertools.islice(items, stop - start)
        yield StepBatches(some, stop - start, loader.num_graphs(start, stop))


def can_resume_within_epoch(loader: Iterable) -> bool:
    """Whether ``loader`` can start in the middle of an epoch."""
    return hasattr(loader, "iterate")


def batches(loader: Any, epoch: int, first: int) -> Iterator[Any]:
    """The batches of ``epoch`` from number ``first`` on; all if ``loader`` has no ``iterate``."""
    return iter(loader.iterate(epoch, first) if can_resume_within_epoch(loader) else loader)


@dataclass(frozen=True)
class Taken:
    """The result of a step; tensors stay on their device, to avoid synchronisation.

    ``loss``: (), mean over the graphs, before the step. ``positions``: of the graphs in the
    dataset, if the batches have them. ``gradient_norm``: (), before clipping; ``None`` if it may be
    infinite.
    """

    loss: Tensor
    num_graphs: int
    positions: list[Tensor]
    gradient_norm: Tensor | None


@dataclass
class TrainingStep:
    """Takes steps: computes the gradient of the mean loss, clips it, and calls the optimizer.

    ``clip``: maximum norm of the gradients, ``None`` for no limit. ``average``: moving average of
    the weights to update, if any.
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
        """Take a step on ``batches`` as if they were one batch; each is freed after use.

        Losses are weighted by the numbers of graphs, so that a criterion that averages over a batch
        averages over all. Raises ``TrainingError`` if the criterion fails.
        """
        self.optimizer.zero_grad()
        losses, positions = [], []
        for batch in batches:
            losses.append(self._backward(batch, batch.num_graphs / batches.num_graphs))
            if "sample_position" in batch:
                positions.append(batch.sample_position)
        return self._taken(losses, batches.num_graphs, positions)

    def _taken(self, losses: list[Tensor], num_graphs: int, positions: list[Tensor]) -> Taken:
        """Complete the step after its gradients have been computed."""
        gradient_norm = self._advance()
        return Taken(
            loss=sum(losses[1:], start=losses[0]),
            num_graphs=num_graphs,
            positions=positions,
            gradient_norm=None if self.precision.leaves_out_overflows else gradient_norm,
        )

    def _backward(self, batch: Any, share: float) -> Tensor:
        """Add the gradients of the loss of ``batch`` times its ``share``; returns that product.

        Raises ``OutOfMemoryError`` with the size of the batch if it does not fit into memory.
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
        """Update the weights; returns the norm of the gradients, shape ()."""
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


@dataclass(kw_only=True)
class GroupStep(TrainingStep):
    """Takes the same step on all ranks, with gradients of the mean loss over all graphs.

    ``DistributedDataParallel`` averages gradients over ranks, each of which has the mean over its
    own graphs. So a rank with g of the G graphs of the step has the weight size · g / G; then the
    average equals that of a single process up to rounding, even if shards differ in size.

    Random numbers (dropout) are seeded only from seed, rank and step: they differ between ranks,
    and are the same in a resumed training.
    """

    processes: Processes
    find_unused_parameters: bool = False

    def __post_init__(self) -> None:
        self._shared = DistributedDataParallel(
            _Loss(self.model, self.criterion, super()._loss),
            find_unused_parameters=self.find_unused_parameters,
        )

    def __call__(self, batches: StepBatches) -> Taken:
        """Take a step on shards of ``batches`` as if they were one batch."""
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
    """Maps a batch to its loss; model and criterion are submodules, so that DDP sees all weights.

    The user's ``apply_model`` and criterion thus get the model itself, not a wrapper.
    """

    def __init__(self, model: torch.nn.Module, criterion: Any, loss: Callable[[Any], Tensor]):
        super().__init__()
        self.model = model
        self.criterion = criterion
        self._loss = loss

    def forward(self, batch: Any) -> Tensor:
        return self._loss(batch)
