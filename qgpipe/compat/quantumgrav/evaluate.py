"""Evaluators that are made, asked and subclassed as those of QuantumGravPy."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from qgpipe.compat.quantumgrav.base import errors_as_there, require_keys
from qgpipe.training.evaluation import evaluator as ours
from qgpipe.training.steps.progress import shown


class Evaluator(ours.Evaluator):
    """``qgpipe.Evaluator`` whose monitors take lists of batches, as in May 2026.

    ``evaluate`` adds a row to the table ``data``, and returns the table.
    """

    monitors_take_batches = True
    collected = None  # these also for a subclass that does not call the constructor
    undecided = np.zeros(0, np.int64)
    monitors: Any = ()
    replacing: Any = ()

    def __init__(
        self,
        device: Any,
        criterion: Any,
        evaluator_tasks: Sequence[Mapping[str, Any]] | None = None,
        apply_model: Callable[[Any, Any], Any] | None = None,
    ):
        """As ``qgpipe.Evaluator``. A monitor with ``args`` or ``kwargs`` is called with them first.

        Raises ``ConfigurationError`` if an argument is wrong.
        """
        tasks = [_with_its_arguments(task) for task in evaluator_tasks or ()]
        with errors_as_there():
            super().__init__(device, criterion, tasks, apply_model)
        self.logger = logging.getLogger(__name__)
        self.task_specs = evaluator_tasks

    @property
    def tasks(self) -> list[tuple[str, Any]]:
        """Names and monitors."""
        return [(monitor.name, monitor.function) for monitor in self.monitors]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """An evaluator for ``{device, criterion, evaluator_tasks, apply_model}``.

        Raises ``jsonschema.ValidationError`` if device or criterion is missing.
        """
        require_keys(config, ("device", "criterion"))
        with errors_as_there():
            return cls(**config)

    def evaluate(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """The table of all evaluations so far, with a row for this one."""
        with errors_as_there():
            super().evaluate(model, data_loader)
        return self.data

    def report(self, data: Any) -> None:
        """Log the last row of ``data``."""
        self.logger.info("%s results: %s", self.title, shown(data.iloc[-1].to_dict()))

    def to_state_dict(self) -> dict[str, Any]:
        """The table, as ``data``."""
        return {"data": self.data}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the table."""
        self.data = state_dict["data"]


class Validator(Evaluator):
    """Evaluates the model after every epoch."""

    title = "Validation"

    def validate(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """:meth:`evaluate` on the validation set; called by the trainer."""
        return self.evaluate(model, data_loader)


class Tester(Evaluator):
    """Evaluates the best model on the test set."""

    title = "Testing"
    keeps_outputs = True

    def test(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """:meth:`evaluate` on the test set; called by the trainer."""
        return self.evaluate(model, data_loader)


class DefaultEvaluator(ours.Evaluator):
    """The evaluator of January 2026: losses of batches, and their mean and deviation in ``data``.

    ``data`` is a list, to which ``report`` adds ``(mean, deviation)``; a subclass may set it to a
    table of its own, and fill that.
    """

    def __init__(
        self, device: Any, criterion: Any, apply_model: Callable[[Any, Any], Any] | None = None
    ):
        """Raises ``ConfigurationError`` if an argument is wrong."""
        with errors_as_there():
            super().__init__(device, criterion, None, apply_model)
        self.logger = logging.getLogger(__name__)
        self.data: Any = []

    def evaluate(self, model: torch.nn.Module, data_loader: Iterable) -> Any:
        """The loss of each batch, as a list of tensors of shape ()."""
        model.eval()
        with errors_as_there():
            log, self.collected = self._collect(model, data_loader)
        return [torch.tensor(loss) for loss in log.values]

    def report(self, data: Any) -> None:
        """Log mean and standard deviation of ``data``, and add them to the table."""
        losses = np.array([float(loss) for loss in data])
        mean, deviation = losses.mean(), losses.std()
        self.logger.info("Average loss: %s, Standard deviation: %s", mean, deviation)
        if isinstance(self.data, pd.DataFrame):
            self.data.loc[len(self.data), ["loss", "std"]] = mean, deviation
        else:
            self.data.append((mean, deviation))


class DefaultValidator(DefaultEvaluator):
    """Evaluates the model after every epoch."""

    def validate(self, model: torch.nn.Module, data_loader: Iterable) -> Any:
        """:meth:`evaluate` on the validation set; called by the trainer."""
        return self.evaluate(model, data_loader)


class DefaultTester(DefaultEvaluator):
    """Evaluates the best model on the test set."""

    def test(self, model: torch.nn.Module, data_loader: Iterable) -> Any:
        """:meth:`evaluate` on the test set; called by the trainer."""
        return self.evaluate(model, data_loader)


def _with_its_arguments(task: Mapping[str, Any]) -> dict[str, Any]:
    """``task`` with the monitor that a function makes of ``args`` and ``kwargs``, if it makes one.

    A function that takes predictions and targets itself gets the keywords in each call.
    """
    monitor, args, kwargs = task["monitor"], task.get("args") or (), task.get("kwargs") or {}
    if not (args or kwargs) or inspect.isclass(monitor) or not callable(monitor):
        return dict(task)
    try:
        inspect.signature(monitor).bind(*args, **kwargs)
    except (TypeError, ValueError):  # something is missing: the predictions and targets
        return dict(task)
    return {"name": task["name"], "monitor": monitor(*args, **kwargs)}
