"""The criterion of a configuration, and the loss that it returns for a batch."""

import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from qgpipe.config.spec import build_object
from qgpipe.config.types import Config
from qgpipe.errors import ConfigError, TrainingError, shown
from qgpipe.models.construct.model_file import load_weights
from qgpipe.system.device import on_device
from qgpipe.system.user_code import line_of_user
from qgpipe.training.steps.outputs import as_heads

logger = logging.getLogger(__name__)

Criterion = Callable[..., Tensor]  # of (outputs, data), some of (outputs, data, trainer)


def build_criterion(value: Any, key: str = "criterion") -> Criterion:
    """The criterion for ``value``: a function, an object, or the spec of a class.

    Raises ``ConfigError`` with ``key`` if it cannot be constructed or called.
    """
    criterion = build_object(value, key)
    if not callable(criterion):
        raise ConfigError(
            f"{shown(criterion)} cannot be called",
            key=key,
            remedy="name a function (outputs, data)",
        )
    return criterion


def takes_trainer(criterion: Any) -> tuple[bool, bool]:
    """Whether ``criterion`` takes a trainer as third argument, and whether it has to get one.

    It takes one if it has a third parameter without a default, or one that is called ``trainer``.
    """
    called = criterion.forward if isinstance(criterion, torch.nn.Module) else criterion
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except (TypeError, ValueError):  # a function in C
        return False, False
    third = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][2:3]
    required = any(p.default is p.empty for p in third)
    return required or any(p.name == "trainer" for p in third), required


def with_trainer(criterion: Criterion, trainer: Any) -> tuple[Criterion, Criterion]:
    """``criterion`` as it is called in training, and in an evaluation: with (outputs, data).

    ``trainer`` is added as a third argument where the criterion takes one; in an evaluation only if
    it has no default, as in QuantumGravPy. A module stays the same object, and always gets it.
    """
    takes, required = takes_trainer(criterion)
    if not takes:
        return criterion, criterion
    if isinstance(criterion, torch.nn.Module):
        criterion.register_forward_pre_hook(lambda _, args: (*args, trainer))
        return criterion, criterion

    @functools.wraps(criterion)
    def called(outputs: Any, data: Any) -> Tensor:
        return criterion(outputs, data, trainer)

    return called, called if required else criterion


def evaluation_criterion(
    config: Config, device: torch.device, content: Mapping[str, Any], path: Path
) -> Criterion:
    """The criterion with the weights in the model file ``path`` that has this ``content``.

    There is no trainer: what takes one gets an object with ``config``, ``device``, ``seed`` and the
    ``epoch`` of the model.
    """
    criterion = on_device(build_criterion(config["criterion"]), device)
    load_criterion(criterion, content.get("criterion_state_dict"), path)
    known = {"config": config, "device": device, "epoch": content.get("epoch")}
    stand_in = SimpleNamespace(**known, seed=config["training"]["seed"])
    return with_trainer(criterion, stand_in)[1]


def state_of(part: Any) -> dict[str, Any]:
    """A copy of the ``state_dict`` of a model or criterion, on its device; empty if it has none."""
    state = part.state_dict() if hasattr(part, "state_dict") else {}
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }


@contextmanager
def in_state(criterion: Any, state: Mapping[str, Any]) -> Iterator[None]:
    """A block in which ``criterion`` has ``state``, unless that is empty."""
    before = state_of(criterion) if state else {}
    if state:
        criterion.load_state_dict(state)
    try:
        yield
    finally:
        if before:
            criterion.load_state_dict(before)


def load_criterion(criterion: Any, state: Mapping[str, Any] | None, path: Path) -> None:
    """Load the weights in ``state``, from the model file ``path``, into ``criterion``.

    Raises ``DataError`` if they do not fit.
    """
    if state:
        load_weights(criterion, state, path, "criterion")
    elif isinstance(criterion, torch.nn.Module) and any(
        weight.requires_grad for weight in criterion.parameters()
    ):
        logger.warning(
            "%s does not keep the weights of the criterion: losses are those of an untrained one",
            path,
        )


def batch_loss(criterion: Criterion, outputs: Any, batch: Any) -> Tensor:
    """The loss of a batch, a tensor of shape ().

    Raises ``TrainingError`` if the criterion fails or returns anything but one number.
    """
    name = getattr(criterion, "__name__", type(criterion).__name__)
    try:
        loss = criterion(outputs, batch)
    except IndexError as error:
        raise TrainingError(
            f"criterion '{name}' failed: {error} ({_widths_and_targets(outputs, batch)})",
            remedy="classes are numbered from 0, and the last layer needs an output for each",
        ) from error
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise TrainingError(
            f"criterion '{name}' failed: {type(error).__name__}: {error}{line_of_user(error)}",
            remedy=_remedy(error, outputs, batch),
        ) from error
    if not isinstance(loss, Tensor):
        raise TrainingError(
            f"criterion '{name}' returned {type(loss).__name__}", remedy="return a scalar tensor"
        )
    if loss.numel() != 1:
        raise TrainingError(
            f"criterion '{name}' returned a tensor of shape {tuple(loss.shape)}",
            remedy="return the mean",
        )
    return loss.reshape(())


def require_gradient(loss: Tensor) -> None:
    """Raise ``TrainingError`` if ``loss`` has no gradient."""
    if not loss.requires_grad:
        raise TrainingError(
            "the loss has no gradient", remedy="compute it from the outputs with torch"
        )


def _remedy(error: Exception, outputs: Any, batch: Any) -> str:
    y = getattr(batch, "y", None)
    if isinstance(y, Tensor) and y.is_floating_point() and "Long" in str(error):
        return (
            f"data.y is {y.dtype}, and classes are integers: store the target as integers, or "
            "convert it with data.y.long() in the criterion or in data.pre_transform"
        )
    if remedy := _other_rows(outputs, batch):
        return remedy
    return f"it is called with (outputs, data), {_shapes(outputs, batch)}"


def _other_rows(outputs: Any, batch: Any) -> str | None:
    """A remedy if targets have rows for elements and outputs for graphs, or the reverse."""
    y, elements = getattr(batch, "y", None), getattr(batch, "num_nodes", None)
    rows = {len(head) for head in as_heads(outputs).values() if head.dim()}
    if not isinstance(y, Tensor) or not y.dim() or elements in (None, batch.num_graphs):
        return None
    if len(y) == elements and rows == {batch.num_graphs}:
        return (
            "the target has a value for each element, and the model gives one for each causal "
            "set: leave out model.pooling_layers, or name another target"
        )
    if len(y) == batch.num_graphs and rows == {elements}:
        return (
            "the target has a value for each causal set, and the model gives one for each "
            "element: give model.pooling_layers, or name another target"
        )
    return None


def _shapes(outputs: Any, batch: Any) -> str:
    """Shapes of the arguments of the criterion, for a message."""
    heads = {task: list(head.shape) for task, head in as_heads(outputs).items()}
    edge_format = f"a tensor {heads[0]}" if isinstance(outputs, Tensor) else str(heads)
    y = getattr(batch, "y", None)
    target = f"data.y {list(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else "no data.y"
    return f"here {edge_format} and {target}"


def _widths_and_targets(outputs: Any, batch: Any) -> str:
    """Sizes of the heads and range of the targets, for a message."""
    parts = [
        f"task {task} has {head.shape[-1]} outputs"
        for task, head in as_heads(outputs).items()
        if head.dim() > 1
    ]
    y = getattr(batch, "y", None)
    if isinstance(y, Tensor) and y.numel():
        parts.append(f"targets are from {y.min().item()} to {y.max().item()}")
    return ", ".join(parts) or "no outputs"
