"""Optimizer and learning-rate schedule of a configuration."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from qgpipe.config.objects import import_object, import_objects
from qgpipe.config.spec import Spec
from qgpipe.errors import ConfigError


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter], training: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimizer that the ``training`` section names, over ``parameters``.

    Raises ``ConfigError`` if it does not take an argument, or refuses its value.
    """
    return _build("optimizer", training, list(parameters))


def build_scheduler(
    optimizer: torch.optim.Optimizer, training: Mapping[str, Any]
) -> LRScheduler | None:
    """The learning-rate schedule that the ``training`` section names, if it does."""
    if training["lr_scheduler_type"] is None:
        return None
    return _build("lr_scheduler", training, optimizer)


def step_scheduler(scheduler: LRScheduler | None, watched: float) -> None:
    """Take the step after an epoch; a plateau schedule looks at the ``watched`` value."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(watched)
    elif scheduler is not None:
        scheduler.step()


def _build(what: str, training: Mapping[str, Any], leading: Any) -> Any:
    key = f"training.{what}"
    made = import_object(training[f"{what}_type"], f"{key}_type")
    args = tuple(import_objects(list(training[f"{what}_args"]), f"{key}_args"))
    kwargs = import_objects(training[f"{what}_kwargs"], f"{key}_kwargs")
    _check_names(made, kwargs, f"{key}_kwargs")
    return Spec(made, args, kwargs, key=f"{key}_type").build(leading)


def _check_names(made: Any, kwargs: Mapping[str, Any], key: str) -> None:
    parameters = inspect.signature(made).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    accepted = [p.name for p in parameters][1:]
    for name in kwargs:
        if name not in accepted:
            raise ConfigError(
                f"{getattr(made, '__name__', repr(made))} takes no '{name}'",
                key=f"{key}.{name}",
                remedy=f"it takes {', '.join(accepted)}",
            )
