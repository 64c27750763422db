"""What the ranks of a group agree on: when to stop, when to save, what the losses were."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from qgpipe.training.checkpoint import CheckpointFolder
from qgpipe.training.interruption import SignalWatch
from qgpipe.training.loss_log import Bad, LossLog

if TYPE_CHECKING:
    from qgpipe.training.alone import Alone

SECONDS, STEPS = 1.0, 50  # between two talks of the ranks, whichever is over first


class Agreement:
    """The largest of the ranks' numbers, found out about once a second.

    Ranks are a little ahead of one another, so what one sees after a step (a signal, that time
    is up) becomes known to all after a later one, the same for all.
    """

    def __init__(self, hosts: dist.ProcessGroup):
        """``hosts``: the ranks, in a group that sends what is in the memory of the host."""
        self._hosts = hosts
        self._planned = self._left = 1
        self._since = time.perf_counter()

    def after_step(self, mine: int) -> int:
        """The largest number, if it is time to ask after this step; else 0."""
        self._left -= 1
        return 0 if self._left else self.now(mine)

    def now(self, mine: int) -> int:
        """The largest number."""
        seconds = (time.perf_counter() - self._since) / (self._planned - self._left or 1)
        both = torch.tensor([mine, seconds], dtype=torch.float64)
        dist.all_reduce(both, dist.ReduceOp.MAX, group=self._hosts)
        largest, seconds_per_step = both.tolist()
        self._planned = self._left = max(1, min(STEPS, int(SECONDS / max(seconds_per_step, 1e-9))))
        self._since = time.perf_counter()
        return int(largest)


class GroupSignals(SignalWatch):
    """Stops all ranks after the same step when a signal has come to any of them."""

    def __init__(self, agreement: Agreement):
        super().__init__()
        self._agreement = agreement

    def raise_if_received(self) -> None:
        """Raise ``Interrupted`` on all ranks, if it is time to ask and a signal has arrived."""
        self._raise(self._agreement.after_step(self._number()))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A block before which a signal is heeded; within it, it has to wait for the end."""
        self._raise(self._agreement.now(self._number()))
        yield

    def _number(self) -> int:
        return 0 if self.received is None else signal.Signals[self.received].value

    def _raise(self, number: int) -> None:
        if number:
            self.received = signal.Signals(number).name
            super().raise_if_received()


class GroupCheckpoints(CheckpointFolder):
    """Checkpoints that the first rank writes and reads for all."""

    def __init__(self, group: Alone, agreement: Agreement, *arguments: Any):
        super().__init__(*arguments)
        self._group = group
        self._agreement = agreement

    def save(self, state: dict[str, Any], keep: bool = False) -> None:
        """As ``CheckpointFolder``, by the first rank."""
        if self._group.is_first:
            super().save(state, keep)
        self.position = state["epoch"], state["step"]

    def is_due(self, step: int = 0) -> bool:
        """As ``CheckpointFolder``, by the clock of the first rank."""
        if step and self._every_steps is not None:
            return super().is_due(step)
        wish = int(self._group.is_first and super().is_due(step))
        return bool(self._agreement.after_step(wish) if step else self._agreement.now(wish))

    def load(self, num_epochs: int) -> dict[str, Any] | None:
        """As ``CheckpointFolder``: the first rank reads, all get the state."""
        state = self._group.first(lambda: CheckpointFolder.load(self, num_epochs))
        if state is not None:
            self.position = state["epoch"], state["step"]
        return state


class GroupLossLog(LossLog):
    """Losses of the ranks' shares, which add up to those of the batches."""

    def __init__(self, from_all: Callable[[Any], list[Any]]):
        """``from_all`` returns what it is called with by each rank."""
        super().__init__()
        self._from_all = from_all

    def settle(self) -> Bad | None:
        """Add up what is waiting, and bring it to the host; the first that is not finite."""
        if self._pending:
            losses, *others = zip(*self._pending, strict=True)
            mine = torch.stack(losses).double().cpu()
            whole = torch.stack(self._from_all(mine)).sum(dim=0)
            self._pending = list(zip(whole, *others, strict=True))
        bad = super().settle()
        if bad is None:
            return None
        positions = [position for share in self._from_all(bad.positions) for position in share]
        return replace(bad, positions=positions)
