"""The batches of a pass, in steps: loaded as each is needed, and let go of after it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class StepBatches:
    """What one step is taken on: ``number`` batches with ``num_graphs`` graphs in all."""

    batches: Iterable[Any]
    number: int
    num_graphs: int

    @classmethod
    def of(cls, batches: Sequence[Any]) -> Self:
        """Batches that are there already."""
        return cls(batches, len(batches), sum(batch.num_graphs for batch in batches))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def in_steps(loader: Any, epoch: int, first: int, accumulate: int) -> Iterator[StepBatches]:
    """The batches of ``epoch`` from number ``first`` on, ``accumulate`` of them a step.

    The last step may have fewer. A step needs to know beforehand how many graphs it has: of a
    loader that is none of ours, its batches are loaded for that.
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
    """The batches of ``epoch`` from number ``first`` on, if ``loader`` knows of that."""
    return iter(loader.iterate(epoch, first) if can_resume_within_epoch(loader) else loader)
