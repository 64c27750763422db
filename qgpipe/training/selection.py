"""Which epoch is the best, and whether to go on after it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch

from qgpipe.errors import TrainingError
from qgpipe.training.early_stopping import DefaultEarlyStopping
from qgpipe.training.history import TRAIN, VALIDATION, History


class Selection:
    """The best model so far and whether to stop, judged after every epoch.

    With early stopping an epoch is the best so far when that found it better; otherwise when its
    validation loss is the lowest. Without a validation the last epoch is the best one.
    """

    def __init__(self, early_stopping: Any = None):
        self.early_stopping = early_stopping
        self.stopped = False
        self.epoch: int | None = None
        self.score = math.nan
        self.weights: dict[str, Any] = {}

    @property
    def metric(self) -> str:
        """The watched column of the validation results; of the training without a validation."""
        stopping = self.early_stopping
        return stopping.watched if isinstance(stopping, DefaultEarlyStopping) else "loss_avg"

    def judge(self, history: History, model: torch.nn.Module) -> float:
        """Look at the last row of ``history``, keep ``model`` if it is the best; returns the score.

        The score is the value of the watched column. Raises ``TrainingError`` if there is none.
        """
        row = history.rows[-1]
        if not any(name.startswith(VALIDATION) for name in row):
            return row[f"{TRAIN}{self.metric}"]
        score = row.get(f"{VALIDATION}{self.metric}")
        if score is None:
            raise TrainingError(
                f"the validation results have no column '{self.metric}'",
                remedy="return it from validate, or let early stopping watch another column",
            )
        if self.early_stopping is not None:
            self.stopped = bool(self.early_stopping(history.validation()))
        if self._is_best(score):
            self.keep(model, row["epoch"], score)
        return score

    def keep(self, model: torch.nn.Module, epoch: int, score: float) -> None:
        """Keep a copy of the weights of ``model``, on their device, as the best."""
        self.epoch, self.score = epoch, score
        self.weights = {
            name: value.detach().clone() if isinstance(value, torch.Tensor) else copy.copy(value)
            for name, value in model.state_dict().items()
        }

    def _is_best(self, score: float) -> bool:
        if hasattr(self.early_stopping, "found_better_model"):
            return bool(self.early_stopping.found_better_model)
        return not math.isnan(score) and not score >= self.score  # self.score is NaN at first

    def state_dict(self) -> dict[str, Any]:
        """The best epoch with its score and weights, and whether to stop."""
        names = ("stopped", "epoch", "score", "weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, value)
