"""The losses of a pass over a set of graphs, kept on the device until they are needed."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qgpipe.training.distributed.process_group import ALONE, Processes

SETTLE_EVERY = 50  # steps between two device synchronisations


@dataclass(frozen=True)
class Bad:
    """A value that is not finite, its step (from 0), and the positions of the samples."""

    step: int
    what: str
    value: float
    positions: list[int]


class LossLog:
    """Loss and number of graphs of each batch or step.

    Losses stay on their device, so that adding one needs no synchronisation, and are copied to the
    host together in :meth:`settle`. Several ``processes`` add the losses of shards of the same
    batches, whose sums are the losses of the batches.
    """

    def __init__(self, processes: Processes = ALONE) -> None:
        self._processes = processes
        self.values: list[float] = []
        self.sizes: list[int] = []
        self._pending: list[tuple[Tensor, Tensor | None, list[Tensor]]] = []

    def add(
        self,
        loss: Tensor,
        num_graphs: int,
        positions: Sequence[Tensor] = (),
        gradient_norm: Tensor | None = None,
    ) -> None:
        """Add the scalar ``loss`` of ``num_graphs`` graphs, and further values of the step.

        ``positions``: int64 tensors with the positions of the graphs; ``gradient_norm``: shape ().
        """
        self._pending.append((loss.detach(), gradient_norm, list(positions)))
        self.sizes.append(num_graphs)

    @property
    def is_full(self) -> bool:
        """Whether the number of pending losses is large enough to settle."""
        return len(self._pending) >= SETTLE_EVERY

    def settle(self) -> Bad | None:
        """Copy pending values to the host; returns the first non-finite one, of all ranks."""
        if not self._pending:
            return None
        pending, self._pending = self._pending, []
        start = len(self.values)
        losses, norms, positions = zip(*pending, strict=True)
        new = self._processes.all_sum(torch.stack(losses).double().cpu()).tolist()
        self.values += new
        given = [norm for norm in norms if norm is not None]
        known = iter(torch.stack(given).double().tolist() if given else [])
        for i, loss in enumerate(new):
            norm = 0.0 if norms[i] is None else next(known)
            for what, value in (("loss", loss), ("norm of the gradients", norm)):
                if not math.isfinite(value):
                    mine = torch.cat(positions[i]).tolist() if positions[i] else []
                    samples = itertools.chain.from_iterable(self._processes.all_gather(mine))
                    return Bad(start + i, what, value, list(samples))
        return None

    @property
    def num_graphs(self) -> int:
        """Number of graphs in the batches so far."""
        return sum(self.sizes)

    def per_sample(self) -> np.ndarray:
        """For each graph the loss of its batch, float64 (graphs,).

        For a criterion that averages over a batch, its mean is the mean over samples.
        """
        return np.repeat(np.array(self.values, dtype=np.float64), self.sizes)

    def summary(self) -> dict[str, float]:
        """``loss_avg`` over the graphs, ``loss_min`` and ``loss_max`` over the batches."""
        if not self.values:
            return dict.fromkeys(("loss_avg", "loss_min", "loss_max"), math.nan)
        values = np.array(self.values, dtype=np.float64)
        return {
            "loss_avg": float(np.average(values, weights=self.sizes)),
            "loss_min": float(values.min()),
            "loss_max": float(values.max()),
        }

    def state_dict(self) -> dict[str, Any]:
        """The losses so far, which must be settled."""
        return {
            "values": torch.tensor(self.values, dtype=torch.float64),
            "sizes": torch.tensor(self.sizes, dtype=torch.int64),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.values, self.sizes = state["values"].tolist(), state["sizes"].tolist()
        self._pending = []
