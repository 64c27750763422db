"""Losses and metrics of a model on a set of graphs."""

import inspect
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from qgpipe.config.metric_mode import LOSSES, OWN, Better
from qgpipe.config.objects import import_object, import_objects
from qgpipe.config.spec import Spec, as_spec
from qgpipe.config.types import Config
from qgpipe.errors import DivergenceError, TrainingError
from qgpipe.models.build import call_model
from qgpipe.system.device import on_device, resolve_device
from qgpipe.training.distributed.process_group import ALONE, Processes
from qgpipe.training.distributed.sharding import gather_batches, shard_batches
from qgpipe.training.evaluation.metrics import (
    BatchOutputs,
    Collected,
    Monitor,
    build_monitors,
    collect,
    scalars,
)
from qgpipe.training.evaluation.predictions_table import undecided_graphs
from qgpipe.training.steps.batch_pass import named_samples
from qgpipe.training.steps.criterion import Criterion, batch_loss, build_criterion
from qgpipe.training.steps.loss_buffer import LossLog
from qgpipe.training.steps.progress import shown
from qgpipe.training.steps.user_errors import memory_for

logger = logging.getLogger(__name__)

SMALLER_EVALUATED = "make the batch_size of this stage smaller"


class Evaluator:
    """Evaluates a model batch by batch and computes the configured metrics over all of them.

    The losses of a row are ``loss_avg``, the mean over samples (losses of batches weighted by their
    numbers of graphs), and ``loss_min`` and ``loss_max`` over batches. ``data``: one row for each
    evaluation; ``collected``: outputs and targets of the latest; ``undecided``: indices in it of
    graphs whose outputs are not finite, with which metrics of outputs are NaN. ``processes`` share
    the batches, and get the same results.
    """

    title = "Evaluation"
    keeps_outputs = False
    monitors_take_batches = False  # as those of QuantumGravPy do, see ``metrics``
    processes: Processes = ALONE

    def __init__(
        self,
        device: str | torch.device,
        criterion: Any,
        evaluator_tasks: Sequence[Mapping[str, Any]] | None = None,
        apply_model: Any = None,
        key: str = "evaluator",
    ):
        """``key``: the key of the evaluator in the configuration, for messages.

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
        tasks_key, by_batch = f"{key}.evaluator_tasks", self.monitors_take_batches
        self.monitors = build_monitors(evaluator_tasks, tasks_key, by_batch)
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

        A task with the name of a loss column replaces its value; the loss is then in the column
        ``criterion_<name>``. ``model`` stays in evaluation mode. Raises ``TrainingError`` if the
        criterion or a monitor fails.
        """
        model = on_device(model, self.device)
        model.eval()
        try:
            log, self.collected = self._collect(model, data_loader)
        except TrainingError as error:
            error.where = error.where or self.key
            raise
        values: dict[str, Any] = {**log.summary()}
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
        """Whether lower or higher is better, for each column for which it is known."""
        losses = [*LOSSES, *(f"{OWN}{monitor.name}" for monitor in self.replacing)]
        known: dict[str, Better | None] = dict.fromkeys(losses, "min")
        of_monitors = {monitor.name: monitor.better for monitor in self.monitors}
        return {k: v for k, v in {**known, **of_monitors}.items() if v is not None}

    def collect(self, model: torch.nn.Module, data_loader: Iterable) -> Collected:
        """Outputs, targets and losses that :meth:`evaluate` would give the monitors."""
        return self._collect(model, data_loader)[1]

    @torch.no_grad()
    def _collect(self, model: torch.nn.Module, loader: Iterable) -> tuple[LossLog, Collected]:
        mine = [self._see(model, batch) for batch in shard_batches(loader, self.processes)]
        seen = gather_batches(mine, self.processes)
        log = LossLog()
        for batch in seen:
            assert batch.loss is not None
            log.add(batch.loss, batch.num_graphs)
        log.settle()
        return log, collect(seen, log.per_sample())

    def _see(self, model: torch.nn.Module, batch: Any) -> BatchOutputs:
        with memory_for(batch, self.device, SMALLER_EVALUATED):
            batch = batch.to(self.device, non_blocking=True)
            outputs = call_model(model, batch, self.apply_model)
            loss = batch_loss(self.criterion, outputs, batch)
        seen = BatchOutputs.of(model, outputs, batch, loss)
        return seen if self.keeps_outputs or self.monitors else replace(seen, heads={})


class Validator(Evaluator):
    """Evaluates the model after every epoch."""

    title = "Validation"

    def validate(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """:meth:`evaluate` on the validation set; called by the trainer."""
        return self.evaluate(model, data_loader)


class Tester(Evaluator):
    """Evaluates the best model on the test set, and keeps all outputs."""

    title = "Test"
    keeps_outputs = True

    def test(self, model: torch.nn.Module, data_loader: Iterable) -> pd.DataFrame:
        """:meth:`evaluate` on the test set; called by the trainer."""
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

    ``device``, ``criterion`` and ``apply_model``: the objects of the training, used as defaults for
    missing arguments; for a user's class, if its constructor takes them. Raises ``ConfigError``
    with the key of a wrong value.
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
            given["criterion"] = criterion  # the same object, because it may have a state
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
    """A message about graphs whose outputs are not finite."""
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
    """A message about a ``monitor`` that replaces a loss."""
    return (
        f"the column '{monitor.name}' is what this monitor gives, not the loss, which is in the "
        f"column '{OWN}{monitor.name}'"
    )


def report_row(evaluator: Any, results: Any, key: str) -> dict[str, Any]:
    """Let ``evaluator`` report its ``results``; returns their last row, see ``last_row``.

    As in QuantumGravPy, an evaluator may also add the row to its table ``data`` as it reports, and
    if it returns no table, the row is the last one of ``data``. Without any table the results are
    the losses of the batches.
    """
    is_table, before = isinstance(results, pd.DataFrame), _own_table(evaluator)
    nothing = results is None and (before is None or before.empty)
    row = last_row(results, key) if is_table or nothing else {}
    evaluator.report(results)
    own = _own_table(evaluator)
    if own is not None and (not is_table or before is None or len(own) > len(before)):
        return last_row(own, key)
    if is_table:
        return row
    try:
        losses = np.array([float(loss) for loss in results], np.float64)
    except (TypeError, ValueError):
        return last_row(results, key)
    values = losses.mean(), losses.min(), losses.max()
    return dict(zip(LOSSES, map(float, values), strict=True))


def _own_table(evaluator: Any) -> pd.DataFrame | None:
    """A copy of the table ``data`` of ``evaluator``, if it has one."""
    data = getattr(evaluator, "data", None)
    return data.copy() if isinstance(data, pd.DataFrame) else None


def last_row(results: Any, key: str) -> dict[str, Any]:
    """The last row of an evaluator's results by column, numbers as Python numbers.

    Raises ``TrainingError`` with ``key`` if the results are not a table.
    """
    if not isinstance(results, pd.DataFrame) or results.empty:
        raise TrainingError(
            f"it returned {type(results).__name__}, not a table with a row",
            where=key,
            remedy="return a pandas DataFrame",
        )
    row = results.iloc[-1].to_dict()
    values = scalars(row).items()
    return {k: v.item() if hasattr(v, "item") else v for k, v in values if k != "epoch"}
