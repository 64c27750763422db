"""Early stopping, decided from the validation results after every epoch."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from qgpipe.config.metric_mode import require_column
from qgpipe.config.objects import import_objects
from qgpipe.config.schema import validate
from qgpipe.config.spec import as_spec
from qgpipe.config.types import EarlyStoppingSection, NativeEarlyStopping, StoppingTaskSection
from qgpipe.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass
class StoppingTask:
    """One monitored column of the validation results, and its best score so far."""

    name: str
    metric: str
    delta: float
    mode: str
    grace_period: int
    best_score: float

    def is_better(self, value: float) -> bool:
        """Whether ``value`` is finite and better than the best score by more than ``delta``."""
        if not math.isfinite(value):
            return False
        if self.mode == "min":
            return self.best_score - self.delta > value
        return self.best_score + self.delta < value

    def latest(self, data: pd.DataFrame) -> float:
        """The metric in the last row of ``data``; ``ConfigError`` if there is no such column."""
        self.require(data.columns)
        return float(data[self.metric].iloc[-1])

    def require(self, columns: Iterable[str]) -> None:
        """Raise ``ConfigError`` unless the metric is one of ``columns``."""
        require_column(self.metric, columns, f"early_stopping.tasks.{self.name}.metric")


class DefaultEarlyStopping:
    """Stop when no monitored value has improved for ``patience`` epochs.

    A task improves if ``best - delta > value`` (mode ``min``) or ``best + delta < value``
    (``max``). An epoch improves if ``any`` or ``all`` of the tasks do: then the best scores of
    these tasks are updated and the remaining patience is reset. Otherwise, if every grace period is
    over, it is reduced by one, and at zero training stops. With a ``patience`` of zero training
    stops at the first epoch without improvement.
    """

    def __init__(
        self, tasks: Mapping[str | int, Mapping[str, Any]], patience: int, mode: str = "any"
    ):
        """``tasks``: mappings, by name, with the key ``metric`` and optional keys.

        These are ``delta``, ``mode``, ``grace_period`` and ``init_best_score`` (``None``: the worst
        possible score). Raises ``ConfigError`` for a wrong key or value.
        """
        section: NativeEarlyStopping = validate(
            {"tasks": tasks, "patience": patience, "mode": mode},
            "native_early_stopping",
            "early_stopping",
        )
        self.tasks = {name: _task(name, given) for name, given in section["tasks"].items()}
        self.patience: int = section["patience"]
        self.mode: str = section["mode"]
        self.current_patience = self.patience
        self.improved: list[str] = []

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> Self:
        """The early stopping of a native ``early_stopping`` section."""
        return cls(**validate(section, "native_early_stopping", "early_stopping"))

    @property
    def found_better_model(self) -> bool:
        """Whether the latest epoch improved: any or all of the tasks did."""
        return bool(self.improved) if self.mode == "any" else len(self.improved) == len(self.tasks)

    @property
    def best_scores(self) -> dict[str, float]:
        """The best score of each task."""
        return {name: task.best_score for name, task in self.tasks.items()}

    @property
    def watched(self) -> str:
        """The column of the first task, which a plateau schedule also monitors."""
        return next(iter(self.tasks.values())).metric

    def require(self, columns: Iterable[str]) -> None:
        """Raise ``ConfigError`` unless every monitored metric is one of ``columns``."""
        columns = list(columns)
        for task in self.tasks.values():
            task.require(columns)

    def require_modes(self, better: Mapping[str, str]) -> None:
        """Raise ``ConfigError`` if a task's mode is not the one of its metric in ``better``."""
        for task in self.tasks.values():
            known = better.get(task.metric, task.mode)
            if known != task.mode:
                more = "more" if known == "max" else "less"
                raise ConfigError(
                    f"{more} of '{task.metric}' is better, and the mode is '{task.mode}'",
                    key=f"early_stopping.tasks.{task.name}.mode",
                    remedy=f"write {known}",
                )

    def __call__(self, data: pd.DataFrame) -> bool:
        """Evaluate the last row of ``data``, the validation results; returns whether to stop.

        Raises ``ConfigError`` if a metric is not among the columns.
        """
        values = {name: task.latest(data) for name, task in self.tasks.items()}
        self.improved = [n for n, task in self.tasks.items() if task.is_better(values[n])]
        exhausted = False
        if self.found_better_model:
            for name in self.improved:
                self.tasks[name].best_score = values[name]
            self.current_patience = self.patience
        elif all(task.grace_period <= 0 for task in self.tasks.values()):
            self.current_patience -= 1
            exhausted = self.current_patience <= 0
        for task in self.tasks.values():
            task.grace_period = max(task.grace_period - 1, 0)
        logger.debug("patience %d, best scores %s", self.current_patience, self.best_scores)
        return exhausted

    def state_dict(self) -> dict[str, Any]:
        """Remaining patience and grace periods, best scores, and tasks that improved last."""
        return {
            "current_patience": self.current_patience,
            "improved": list(self.improved),
            "best_scores": self.best_scores,
            "grace_periods": {name: task.grace_period for name, task in self.tasks.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.current_patience = state["current_patience"]
        self.improved = list(state["improved"])
        for name, task in self.tasks.items():
            task.best_score = state["best_scores"][name]
            task.grace_period = state["grace_periods"][name]


def build_early_stopping(section: EarlyStoppingSection) -> Callable[[pd.DataFrame], bool]:
    """The early stopping of a configuration: native, or a user's class ``{type, args, kwargs}``.

    An instance of the latter is called with the validation results so far and returns whether to
    stop. It may have ``found_better_model`` (whether to keep the epoch as the best), and
    ``state_dict`` and ``load_state_dict`` for resuming.
    """
    if "type" not in section:
        return DefaultEarlyStopping.from_config(section)
    return as_spec(import_objects(section), "early_stopping").build()


def _task(name: str, given: StoppingTaskSection) -> StoppingTask:
    worst = math.inf if given["mode"] == "min" else -math.inf
    settings: dict[str, Any] = {k: v for k, v in given.items() if k != "init_best_score"}
    start = given["init_best_score"]
    return StoppingTask(name=name, best_score=worst if start is None else start, **settings)
