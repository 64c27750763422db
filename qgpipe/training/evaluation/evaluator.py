"""Losses and metrics of a model on a set of graphs."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qgpipe.config.metric_mode import LOSSES, OWN, Better
from qgpipe.config.objects import import_object, import_objects
from qgpipe.config.spec import Spec, as_spec
from qgpipe.config.types import Config
from qgpipe.errors import DivergenceError, TrainingError
from qgpipe.models.build import call_model
from qgpipe.system.device import on_device, resolve_device
from qgpipe.training.distributed.process_group import ALONE, Processes
from qgpipe.training.distributed.sharding import gather_batches, shard_batches
from qgpipe.training.evaluation.metrics import Collected, Monitor, build_monitors, elements_of
from qgpipe.training.evaluation.predictions_table import undecided_graphs
from qgpipe.training.steps.batch_pass import named_samples
from qgpipe.training.steps.criterion import Criterion, batch_loss, build_criterion
from qgpipe.training.steps.loss_buffer import LossLog
from qgpipe.training.steps.outputs import as_heads, count_tasks
from qgpipe.training.steps.progress import shown
from qgpipe.training.steps.user_errors import memory_for

logger = logging.getLogger(__name__)

SMALLER_EVALUATED = "make the batch_size of this stage smaller"


@dataclass(frozen=True)
class _Seen:
    """What an evaluation saw of a batch, as in ``Collected``; ``loss`` (): of the batch."""

    loss: Tensor
    num_graphs: int
    heads: dict[int, Tensor]
    num_tasks: int
    targets: Tensor | None
    positions: Tensor | None
    sizes: Tensor | None

    def on_host(self) -> _Seen:
        """The same, with its tensors in the memory of the host."""
        return _Seen(
            self.loss.cpu(),
            self.num_graphs,
            {task: head.cpu() for task, head in self.heads.items()},
            self.num_tasks,
            None if self.targets is None else self.targets.cpu(),
            None if self.positions is None else self.positions.cpu(),
            None if self.sizes is None else self.sizes.cpu(),
        )


class Evaluator:
    """Evaluates a model batch by batch and computes the configured metrics over all of them.

    The losses of a row are ``loss_avg``, the mean over samples (a batch's loss counts as often
    as it has graphs), ``loss_min`` and ``loss_max``, over batches. ``data`` holds a row an
    evaluation, ``collected`` what the latest saw, ``undecided`` the places in it of graphs whose
    outputs are not finite: with any, metrics of outputs are NaN. ``processes`` share the batches,
    and get the same results.
    """

    title = "Evaluation"
    keeps_outputs = False
    processes: Processes = ALONE

    def __init__(
        self,
        device: str | torch.device,
        criterion: Any,
        evaluator_tasks: Sequence[Mapping[str, Any]] | None = None,
        apply_model: Any = None,
        key: str = "evaluator",
    ):
        """``key`` is where in the configuration the evaluator stands, for messages.

        ``criterion`` and ``apply_model`` are functions or their names; ``evaluator_tasks`` are
        mappings with ``name``, ``monitor`` and optionally ``args``, ``kwargs``, ``task``. Raises
        ``ConfigError`` if one of them is wrong.
        """
        self.key = key
        self.device = resolve_device(device, f"{key}.device")
        self.criterion = on_device(build_criterion(criterion, f"{key}.criterion"), self.device)
        self.apply_model: Callable[[Any, Any], Any] | None = import_object(
            apply_model, f"{key}.apply_model"
        )
        self.monitors = build_monitors(evaluator_tasks, f"{key}.evaluator_tasks")
        self.replacing = [m for m in self.monitors if m.replaces_loss]
        for monitor in self.replacing:
            logger.warning("%s: %s", monitor.key, replaced_text(monitor))
        own = [f"{OWN}{m.name}" for m in self.replacing]
        names = [*LOSSES, *own, *(m.name for m in self.monitors)]
        self.columns = list(dict.fromkeys(names))
        self.data = pd.DataFrame(columns=self.columns, dtype=float)
        self.collected: Collected | None = None
        self.undecided = np.zeros(0, np.int64)

    def evaluate(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """One row: the losses, and a column for each task.

        A task that has the name of a loss column replaces its value; the loss is then in a column
        ``criterion_<name>``. ``model`` is left in evaluation mode. Raises ``TrainingError`` if the
        criterion or a monitor fails.
        """
        model = on_device(model, self.device)
        model.eval()
        try:
            log, self.collected = self._collect(model, data_loader)
        except TrainingError as error:
            error.where = error.where or self.key
            raise
        values = log.summary()
        values |= {f"{OWN}{m.name}": values[m.name] for m in self.replacing}
        self.undecided = undecided_graphs(self.collected)
        for monitor in self.monitors:
            known = monitor.sees_losses or not len(self.undecided)
            values[monitor.name] = monitor(self.collected) if known else math.nan
        row = pd.DataFrame([values], columns=self.columns)
        self.data = pd.concat([self.data, row], ignore_index=True) if len(self.data) else row
        return row

    def report(self, data: pd.DataFrame) -> None:
        """Log the last row of ``data``."""
        logger.info("%s: %s", self.title, shown(data.iloc[-1].to_dict()))

    @property
    def better(self) -> dict[str, Better]:
        """Whether lower or higher is better of each column of which that is known."""
        losses = [*LOSSES, *(f"{OWN}{monitor.name}" for monitor in self.replacing)]
        known: dict[str, Better | None] = dict.fromkeys(losses, "min")
        of_monitors = {monitor.name: monitor.better for monitor in self.monitors}
        return {k: v for k, v in {**known, **of_monitors}.items() if v is not None}

    @torch.no_grad()
    def _collect(self, model: torch.nn.Module, loader: Iterable) -> tuple[LossLog, Collected]:
        log = LossLog()
        heads: dict[int, list[Tensor]] = {}
        num_tasks = 0
        targets: list[Tensor] = []
        positions: list[Tensor] = []
        sizes: list[Tensor] = []
        mine = [self._see(model, batch) for batch in shard_batches(loader, self.processes)]
        for seen in gather_batches(mine, self.processes):
            log.add(seen.loss, seen.num_graphs)
            num_tasks = max(num_tasks, seen.num_tasks)
            for task, head in seen.heads.items():
                heads.setdefault(task, []).append(head)
            if seen.targets is not None:
                targets.append(seen.targets)
            if seen.positions is not None:
                positions.append(seen.positions)
            if seen.sizes is not None:
                sizes.append(seen.sizes)
        log.settle()
        joined = {task: _joined(parts) for task, parts in heads.items()}
        return log, Collected(
            num_graphs=log.num_graphs,
            losses=log.per_sample(),
            heads={task: head for task, head in joined.items() if head is not None},
            num_tasks=num_tasks,
            targets=_joined(targets),
            positions=_joined(positions),
            sizes=_joined(sizes),
        )

    def _see(self, model: torch.nn.Module, batch: Any) -> _Seen:
        with memory_for(batch, self.device, SMALLER_EVALUATED):
            batch = batch.to(self.device, non_blocking=True)
            outputs = call_model(model, batch, self.apply_model)
            loss = batch_loss(self.criterion, outputs, batch)
        y = getattr(batch, "y", None)
        return _Seen(
            loss,
            batch.num_graphs,
            as_heads(outputs) if self.keeps_outputs or self.monitors else {},
            count_tasks(model, outputs),
            y if isinstance(y, Tensor) else None,
            getattr(batch, "sample_position", None),
            elements_of(batch),
        )


class Validator(Evaluator):
    """Evaluates the model after every epoch."""

    title = "Validation"

    def validate(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """What the trainer calls: :meth:`evaluate` on the validation set."""
        return self.evaluate(model, data_loader)


class Tester(Evaluator):
    """Evaluates the best model on the test set, and keeps all its outputs."""

    title = "Test"
    keeps_outputs = True

    def test(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """What the trainer calls: :meth:`evaluate` on the test set."""
        return self.evaluate(model, data_loader)


_NATIVE: dict[str, tuple[str, type[Evaluator]]] = {
    "validation": ("validator", Validator),
    "testing": ("tester", Tester),
}


def build_evaluator(
    config: Config,
    stage: str,
    device: torch.device,
    criterion: Criterion,
    apply_model: Callable[[Any, Any], Any] | None,
) -> Any:
    """The evaluator of ``validation`` or ``testing``: native, or ``{type, args, kwargs}``.

    ``device``, ``criterion`` and ``apply_model`` are those of the training: the objects, not their
    names. They stand in for what the section does not give and, in a class of the user's, the
    constructor takes. Raises ``ConfigError`` with the key of what is wrong.
    """
    name, native = _NATIVE[stage]
    key = f"{stage}.{name}"
    validating = stage == "validation"
    section = config["validation"]["validator"] if validating else config["testing"]["tester"]
    defaults: dict[str, Any] = {
        "device": device,
        "criterion": criterion,
        "apply_model": apply_model,
    }
    if "type" not in section:
        given = {name: value for name, value in section.items() if value is not None}
        if given.get("criterion") == config["criterion"]:
            given["criterion"] = criterion  # the same object, which may have a state
        return native(**{**defaults, **given}, key=key)
    spec = as_spec(import_objects(section, key), key)
    parameters = inspect.signature(spec.type).parameters
    positional = list(parameters)[: len(spec.args)]
    filled = {
        name: value
        for name, value in defaults.items()
        if name in parameters and name not in positional and spec.kwargs.get(name) is None
    }
    return Spec(spec.type, spec.args, {**spec.kwargs, **filled}, key=key).build()


def undecided_text(undecided: np.ndarray, collected: Collected, loader: Any) -> str:
    """What a user is to know of graphs whose outputs are not finite."""
    positions = [] if collected.positions is None else collected.positions[undecided].tolist()
    return (
        f"the outputs for {len(undecided)} of {collected.num_graphs} graphs are not finite"
        f"{named_samples(loader, positions)}"
    )


def require_decided(collected: Collected, loader: Any) -> None:
    """Raise ``DivergenceError`` if there are graphs whose outputs are not finite."""
    undecided = undecided_graphs(collected)
    if len(undecided):
        raise DivergenceError(
            undecided_text(undecided, collected, loader),
            where="the test",
            remedy="look at these samples, or train a model whose outputs for them are finite",
        )


def replaced_text(monitor: Monitor) -> str:
    """What a user is to know of a ``monitor`` that replaces a loss."""
    return (
        f"the column '{monitor.name}' is what this monitor gives, not the loss, which is in the "
        f"column '{OWN}{monitor.name}'"
    )


def last_row(results: Any, key: str) -> dict[str, Any]:
    """The last row of an evaluator's results by column, numbers as Python numbers.

    Raises ``TrainingError`` with ``key`` if they are no table.
    """
    if not isinstance(results, pd.DataFrame) or results.empty:
        raise TrainingError(
            f"it returned {type(results).__name__}, not a table with a row",
            where=key,
            remedy="return a pandas DataFrame",
        )
    row = results.iloc[-1].to_dict()
    return {str(k): v.item() if hasattr(v, "item") else v for k, v in row.items() if k != "epoch"}


def _joined(parts: list[Tensor]) -> Tensor | None:
    """``parts`` concatenated, on the CPU; ``None`` for nothing, or where shapes differ."""
    if not parts or len({part.shape[1:] for part in parts}) > 1 or parts[0].dim() == 0:
        return None
    return torch.cat(parts).cpu()
