"""The losses of one pass over a set of graphs, kept on the device until they are needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

SETTLE_EVERY = 50  # steps between two device synchronisations


@dataclass(frozen=True)
class BadLoss:
    """A loss that is not a finite number: its step (from 0), value and sample positions."""

    step: int
    value: float
    positions: list[int] | None


class LossLog:
    """Loss and number of graphs of each batch.

    Losses stay on their device, so that adding one costs no synchronisation, and come to the
    host together in :meth:`settle`.
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self.sizes: list[int] = []
        self._pending: list[tuple[Tensor, Tensor | None]] = []

    def add(self, loss: Tensor, num_graphs: int, positions: Tensor | None = None) -> None:
        """Add the scalar ``loss`` of a batch; ``positions`` (B,) are its graphs' positions."""
        self._pending.append((loss.detach(), positions))
        self.sizes.append(num_graphs)

    @property
    def is_full(self) -> bool:
        """Whether so many losses are waiting that it is time to settle."""
        return len(self._pending) >= SETTLE_EVERY

    def settle(self) -> BadLoss | None:
        """Bring waiting losses to the host; returns the first that is not finite."""
        if not self._pending:
            return None
        start = len(self.values)
        new = torch.stack([loss for loss, _ in self._pending]).double().tolist()
        self.values += new
        pending, self._pending = self._pending, []
        for i, value in enumerate(new):
            if not math.isfinite(value):
                positions = pending[i][1]
                return BadLoss(start + i, value, None if positions is None else positions.tolist())
        return None

    @property
    def num_graphs(self) -> int:
        """Graphs in the batches so far."""
        return sum(self.sizes)

    def per_sample(self) -> np.ndarray:
        """float64 (graphs,): each graph has the loss of its batch.

        The mean is the mean over samples of a criterion that averages over its batch.
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
        """The losses so far, all of them settled."""
        return {
            "values": torch.tensor(self.values, dtype=torch.float64),
            "sizes": torch.tensor(self.sizes, dtype=torch.int64),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.values, self.sizes = state["values"].tolist(), state["sizes"].tolist()
        self._pending = []
