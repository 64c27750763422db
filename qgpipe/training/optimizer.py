"""Optimizer and learning-rate schedule of a configuration."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from qgpipe.config.objects import import_object, import_objects
from qgpipe.config.spec import Spec, check_keywords
from qgpipe.config.types import TrainingSection
from qgpipe.errors import ConfigError


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter], training: TrainingSection
) -> torch.optim.Optimizer:
    """The optimizer that the ``training`` section names, over ``parameters``.

    Raises ``ConfigError`` if there are none, and if the optimizer does not take an argument or
    refuses its value.
    """
    trained = list(parameters)
    if not trained:
        raise ConfigError(
            "there is nothing to train in it",
            key="model",
            remedy="use a model with parameters, kept as attributes of the module",
        )
    return _build(
        "optimizer",
        training["optimizer_type"],
        training["optimizer_args"],
        training["optimizer_kwargs"],
        trained,
    )


def build_scheduler(
    optimizer: torch.optim.Optimizer, training: TrainingSection
) -> LRScheduler | None:
    """The learning-rate schedule that the ``training`` section names, if it does."""
    if training["lr_scheduler_type"] is None:
        return None
    return _build(
        "lr_scheduler",
        training["lr_scheduler_type"],
        training["lr_scheduler_args"],
        training["lr_scheduler_kwargs"],
        optimizer,
    )


def require_plateau_mode(scheduler: LRScheduler | None, column: str, better: str) -> None:
    """Raise ``ConfigError`` for a plateau schedule that takes the worse for the ``better``.

    ``better``: ``min`` or ``max``, of the ``column`` that it follows.
    """
    mode = getattr(scheduler, "mode", better)
    if isinstance(scheduler, ReduceLROnPlateau) and mode != better:
        more = "more" if better == "max" else "less"
        raise ConfigError(
            f"the schedule follows '{column}', of which {more} is better, and its mode is '{mode}'",
            key="training.lr_scheduler_kwargs.mode",
            remedy=f"write mode: {better}",
        )


def step_scheduler(scheduler: LRScheduler | None, watched: float) -> None:
    """Take the step after an epoch; a plateau schedule looks at the ``watched`` value."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(watched)
    elif scheduler is not None:
        scheduler.step()


def _build(what: str, kind: Any, args: list[Any], kwargs: dict[str, Any], leading: Any) -> Any:
    key = f"training.{what}"
    made = import_object(kind, f"{key}_type")
    args = import_objects(list(args), f"{key}_args")
    kwargs = import_objects(kwargs, f"{key}_kwargs")
    check_keywords(made, kwargs, f"{key}_kwargs", leading=1)
    return Spec(made, tuple(args), kwargs, key=f"{key}_type").build(leading)
