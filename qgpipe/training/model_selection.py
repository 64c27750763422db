"""Selection of the best epoch, and early stopping."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from qgpipe.config.metric_mode import OWN
from qgpipe.errors import TrainingError
from qgpipe.training.early_stopping import DefaultEarlyStopping
from qgpipe.training.loggers.history import TRAIN, VALIDATION, History
from qgpipe.training.steps.criterion import state_of

logger = logging.getLogger(__name__)


class Selection:
    """The best model so far and whether to stop, updated after every epoch.

    With early stopping an epoch is the best if early stopping says so; otherwise if its validation
    loss is the lowest. Without a validation the last epoch is the best.
    """

    def __init__(self, criterion: Any = None, early_stopping: Any = None):
        """``criterion``: of the training; its weights are kept together with those of the model."""
        self.criterion = criterion
        self.early_stopping = early_stopping
        self.stopped = False
        self.epoch: int | None = None
        self.score = math.nan
        self.weights: dict[str, Any] = {}
        self.criterion_weights: dict[str, Any] = {}

    def judge(self, history: History, model: torch.nn.Module) -> float:
        """Evaluate the last epoch, and keep ``model`` if it is the best; returns its score.

        Raises ``TrainingError`` if the monitored column is missing.
        """
        score = self._score(history)
        if not history.has_validation:
            return score
        if self.early_stopping is not None:
            self.stopped = bool(self.early_stopping(history.validation()))
        if self._is_best(score):
            self._keep(model, history, score)
        return score

    def settle(
        self, history: History, model: torch.nn.Module, say: Callable[[str], None] = logger.warning
    ) -> None:
        """After the last epoch: if no epoch was the best, select the last one.

        Reports this, and epochs with scores that are not finite, with ``say``.
        """
        column, epochs = self.column(history), len(history.rows)
        bad = sum(not math.isfinite(row.get(column, 0.0)) for row in history.rows)
        if bad:
            say(f"{column} is not finite in {bad} of {epochs} epochs, which are never the best")
        if self.epoch is None:
            if history.has_validation:
                say("no epoch was better than the initial score; the last one is kept")
            self._keep(model, history, self._score(history))

    def column(self, history: History) -> str:
        """The monitored column of the history."""
        if not history.has_validation:
            return f"{TRAIN}loss_avg"
        stopping = self.early_stopping
        if isinstance(stopping, DefaultEarlyStopping):
            return f"{VALIDATION}{stopping.watched}"
        own = f"{VALIDATION}{OWN}loss_avg"
        return own if own in history.rows[-1] else f"{VALIDATION}loss_avg"

    def _score(self, history: History) -> float:
        column = self.column(history)
        score = history.rows[-1].get(column)
        if score is None:
            raise TrainingError(
                f"the validation results have no column '{column.removeprefix(VALIDATION)}'",
                remedy="return it from validate, or let early stopping watch another column",
            )
        if not math.isfinite(score):
            kind = "not a number" if math.isnan(score) else "not finite"
            logger.warning("%s is %s after epoch %d", column, kind, history.rows[-1]["epoch"])
        return score

    def _is_best(self, score: float) -> bool:
        if hasattr(self.early_stopping, "found_better_model"):
            return bool(self.early_stopping.found_better_model)
        return math.isfinite(score) and not score >= self.score  # self.score is NaN at first

    def _keep(self, model: torch.nn.Module, history: History, score: float) -> None:
        """Copy the weights of ``model`` and criterion, on their device."""
        self.epoch, self.score = history.rows[-1]["epoch"], score
        self.weights, self.criterion_weights = state_of(model), state_of(self.criterion)

    def state_dict(self) -> dict[str, Any]:
        """The best epoch with its score and weights, and whether to stop."""
        names = ("stopped", "epoch", "score", "weights", "criterion_weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, value)
