"""A rehearsal of optimizer and learning-rate schedule: what fails late is found before training."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from qgpipe.config.types import TrainingSection
from qgpipe.errors import ConfigError
from qgpipe.system import tensor_files
from qgpipe.system.rng import restore_rng, rng_state
from qgpipe.system.user_code import line_of_user
from qgpipe.training.optimizer import build_optimizer, build_scheduler, step_scheduler

_MOST_EPOCHS = 10_000  # of which a schedule is tried


def rehearse(optimizer: torch.optim.Optimizer, training: TrainingSection) -> None:
    """Find out whether the optimizer of ``training`` can take steps, and the schedule all of them.

    On copies: one of each shape of the parameters of ``optimizer``, and as many epochs as there
    are, up to 10,000. Raises ``ConfigError`` for one that fails, gives a learning rate that is not
    finite, or has a state that no checkpoint can hold.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    alike = {(p.shape, p.dtype, p.device): p for p in parameters if not is_lazy(p)}
    copies = [torch.nn.Parameter(p.detach().clone()) for p in alike.values()]
    before = rng_state()
    try:
        if copies:
            _rehearse(copies, training)
    finally:
        restore_rng(before)


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
    """Raise ``ConfigError`` if a checkpoint could not hold the state of ``part``."""
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
