"""Optimizer and learning-rate scheduler of a configuration, and a trial run of both."""

import inspect
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.parameter import is_lazy
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, ReduceLROnPlateau

from qgpipe.config.objects import import_object, import_objects, is_tagged
from qgpipe.config.spec import Spec, as_spec, check_keywords, is_spec_mapping
from qgpipe.config.types import TrainingSection
from qgpipe.errors import ConfigError
from qgpipe.system import tensor_files
from qgpipe.system.rng import random_numbers_kept
from qgpipe.system.user_code import line_of_user


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter], training: TrainingSection
) -> torch.optim.Optimizer:
    """The optimizer of the ``training`` section, for ``parameters``.

    Raises ``ConfigError`` if there are none, and if the optimizer does not accept an argument.
    """
    trained = list(parameters)
    if not trained:
        raise ConfigError(
            "there is nothing to train in it",
            key="model",
            remedy="use a model with parameters, kept as attributes of the module",
        )
    key = "training.optimizer"
    made = import_object(training["optimizer_type"], f"{key}_type")
    args = import_objects(list(training["optimizer_args"]), f"{key}_args")
    kwargs = import_objects(training["optimizer_kwargs"], f"{key}_kwargs")
    check_keywords(made, kwargs, f"{key}_kwargs", leading=1)
    return Spec(made, tuple(args), kwargs, key=f"{key}_type").build(trained)


def build_scheduler(
    optimizer: torch.optim.Optimizer, training: TrainingSection
) -> LRScheduler | None:
    """The learning-rate scheduler of the ``training`` section, if there is one.

    Specs of schedulers among its arguments, as ``SequentialLR`` and ``ChainedScheduler`` take them,
    are built for ``optimizer``, too.
    """
    if training["lr_scheduler_type"] is None:
        return None
    key = "training.lr_scheduler"
    given = (training["lr_scheduler_type"], training["lr_scheduler_args"])
    kwargs = training["lr_scheduler_kwargs"]
    return _scheduler(*given, kwargs, optimizer, (f"{key}_type", f"{key}_args", f"{key}_kwargs"))


def _scheduler(
    kind: Any, args: Any, kwargs: Any, optimizer: torch.optim.Optimizer, keys: tuple[str, str, str]
) -> Any:
    """``kind(optimizer, *args, **kwargs)``; ``keys``: those of the three."""
    made = import_object(kind, keys[0])
    args = import_objects(_with_schedulers(list(args or ()), optimizer, keys[1]), keys[1])
    kwargs = import_objects(_with_schedulers(dict(kwargs or {}), optimizer, keys[2]), keys[2])
    leading = [optimizer]
    if inspect.isclass(made) and issubclass(made, ChainedScheduler):
        leading, kwargs = [], {"optimizer": optimizer, **kwargs}  # it takes the schedulers first
    check_keywords(made, kwargs, keys[2], leading=len(leading))
    return Spec(made, tuple(args), kwargs, key=keys[0]).build(*leading)


def _with_schedulers(value: Any, optimizer: torch.optim.Optimizer, key: str) -> Any:
    """``value`` with schedulers in place of their specs, at any depth."""
    if is_spec_mapping(value) or (isinstance(value, list) and value and is_tagged(value[0])):
        spec = as_spec(value, key)
        inner = (f"{key}.type", f"{key}.args", f"{key}.kwargs")
        return _scheduler(spec.type, spec.args, spec.kwargs, optimizer, inner)
    if isinstance(value, Mapping):
        return {k: _with_schedulers(v, optimizer, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_with_schedulers(v, optimizer, f"{key}[{i}]") for i, v in enumerate(value)]
    return value


def require_plateau_mode(scheduler: LRScheduler | None, column: str, better: str) -> None:
    """Raise ``ConfigError`` for a plateau scheduler whose mode is not ``better``.

    ``better``: ``min`` or ``max``, for the monitored ``column``.
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
    """Take the step after an epoch; a plateau scheduler gets the monitored value ``watched``."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(watched)
    elif scheduler is not None:
        scheduler.step()


_MOST_EPOCHS = 10_000  # for which a scheduler is tried


def rehearse(optimizer: torch.optim.Optimizer, training: TrainingSection) -> None:
    """Check that the optimizer of ``training`` can take a step, and the scheduler all of its steps.

    With copies of parameters of ``optimizer``, one for each shape, and up to 10,000 epochs. Raises
    ``ConfigError`` if one of them fails, if a learning rate is not finite, or if a state cannot be
    stored in a checkpoint.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    alike = {(p.shape, p.dtype, p.device): p for p in parameters if not is_lazy(p)}
    copies = [torch.nn.Parameter(p.detach().clone()) for p in alike.values()]
    with random_numbers_kept():
        if copies:
            _rehearse(copies, training)


def _rehearse(copies: list[torch.nn.Parameter], training: TrainingSection) -> None:
    optimizer = build_optimizer(copies, training)
    scheduler = build_scheduler(optimizer, training)
    for copy in copies:
        copy.grad = torch.full_like(copy, 1e-3)
    with _explained(optimizer, "optimizer", "it cannot take a step"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.step()
    _require_plain_state(optimizer, "optimizer")
    epochs = training["num_epochs"]
    for epoch in range(1, min(epochs, _MOST_EPOCHS) + 1 if scheduler is not None else 1):
        failure = f"it fails after epoch {epoch} of {epochs}"
        with _explained(scheduler, "lr_scheduler", failure), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step_scheduler(scheduler, 1.0)
        for group in optimizer.param_groups:
            if not math.isfinite(group["lr"]):
                raise ConfigError(
                    f"the learning rate after epoch {epoch} would be {float(group['lr'])}",
                    key="training.lr_scheduler_kwargs",
                    remedy="check its arguments",
                )
    if scheduler is not None:
        _require_plain_state(scheduler, "lr_scheduler")


def _require_plain_state(part: Any, what: str) -> None:
    """Raise ``ConfigError`` if the state of ``part`` cannot be stored in a checkpoint."""
    with _explained(part, what, "its state cannot be saved"):
        tensor_files.as_plain(part.state_dict(), "state_dict")


@contextmanager
def _explained(part: Any, what: str, failure: str) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{type(part).__name__}: {failure}: {type(error).__name__}: {text}"
            f"{line_of_user(error)}",
            key=f"training.{what}_type",
            remedy="check its arguments, or take another: it is called with dense gradients and "
            "without a closure"
            if what == "optimizer"
            else "check its arguments",
        ) from error
