"""Metrics of an evaluation. How a monitor is called depends on its kind:

- A class is constructed once with ``args`` and ``kwargs``, then called; a torchmetrics metric
  is reset, updated and computed.
- A function gets ``args`` and ``kwargs`` as keyword arguments of the call.
- Parameters ``y_true``, ``y_pred``: scikit-learn's order, class labels for integer targets and raw
  values for real ones. ``y_score`` or ``y_proba`` instead of ``y_pred``: probabilities.
- One required parameter (``numpy.mean``): the losses of the samples, float64 (N,).
- Two otherwise: (predictions, targets), as tensors on the CPU; or, as in QuantumGravPy, as lists
  with an entry for each batch, if the parameters are annotated like that, if the module of the
  function imports QuantumGrav, or if it fails with tensors when it is first called.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from qgpipe.config.metric_mode import LOSSES, OWN, better, is_mean_loss
from qgpipe.config.objects import import_objects
from qgpipe.config.schema import validate
from qgpipe.config.spec import Spec, as_spec, check_keywords
from qgpipe.config.types import MonitorTask
from qgpipe.errors import ConfigError, QgpipeError, TrainingError
from qgpipe.system.quantumgrav_import import is_upstreams
from qgpipe.system.user_code import line_of_user
from qgpipe.training.steps.outputs import (
    as_heads,
    count_tasks,
    is_binary,
    is_class_target,
    kind_of_task,
    labels,
    match_shape,
    probabilities,
    target_of_task,
    target_table,
)

_SCORES = ("y_score", "y_proba", "y_prob")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)


@dataclass
class Collected:
    """Outputs, targets and losses of an evaluation of N graphs, on the CPU.

    ``heads``: concatenated outputs by task; ``num_tasks``: number of tasks of the model, see
    ``count_tasks``; ``targets``: concatenated ``y``; ``losses``: float64 (N,), for each graph the
    loss of its batch; ``positions``: int64 (N,), in the dataset; ``sizes``: int64 (N,), numbers of
    elements. ``None`` if the data has none. ``batch_sizes``: numbers of graphs of the
    batches, if known. ``bare``: the model returned a tensor, not a mapping or list of them.
    """

    num_graphs: int
    losses: np.ndarray
    heads: dict[int, Tensor]
    num_tasks: int
    targets: Tensor | None = None
    positions: Tensor | None = None
    sizes: Tensor | None = None
    batch_sizes: Sequence[int] = ()
    bare: bool = False

    @property
    def of_elements(self) -> bool:
        """Whether outputs and targets have one row for each element, not for each graph."""
        if self.sizes is None:
            return False
        tensors = [*self.heads.values(), *([] if self.targets is None else [self.targets])]
        rows = {len(tensor) for tensor in tensors if tensor.dim()}
        return int(self.sizes.sum()) in rows and self.num_graphs not in rows

    @property
    def num_rows(self) -> int:
        """The number of graphs, or of elements if there are outputs for each element."""
        if self.sizes is None or not self.of_elements:
            return self.num_graphs
        return int(self.sizes.sum())

    def by_batch(self) -> tuple[list[Any], list[Tensor]]:
        """What the model returned for each batch, and ``y`` of each batch.

        Raises ``TrainingError`` if the data has no targets, or shapes differ between batches.
        """
        if self.targets is None or not self.heads:
            missing = "targets 'y'" if self.heads else "outputs of one shape in all batches"
            raise TrainingError(f"there are no {missing}")
        heads = {task: self._split(head) for task, head in self.heads.items()}
        outputs: list[Any] = [
            dict(zip(heads, parts, strict=True)) for parts in zip(*heads.values(), strict=True)
        ]
        return [o[0] for o in outputs] if self.bare else outputs, self._split(self.targets)

    def _split(self, values: Tensor) -> list[Tensor]:
        """``values`` of all graphs, or of their elements, by batch."""
        counts = np.array(self.batch_sizes or [self.num_graphs])
        if self.sizes is not None and len(values) == int(self.sizes.sum()) != self.num_graphs:
            ends = np.concatenate([[0], self.sizes.cumsum(0).numpy()])[np.cumsum(counts)]
            counts = np.diff(ends, prepend=0)
        else:
            counts = counts * (len(values) // max(self.num_graphs, 1))
        return list(values.split(counts.tolist()))

    def pair(self, task: int) -> tuple[Tensor, Tensor]:
        """Outputs and targets of ``task``, classes as integers.

        Raises ``TrainingError`` if either is missing.
        """
        if task not in self.heads:
            there = ", ".join(map(str, self.heads)) or "none"
            raise TrainingError(f"the model has no output for task {task} (there are: {there})")
        if self.targets is None:
            raise TrainingError("the data has no targets 'y'")
        head = self.heads[task]
        table = target_table(self.targets, self.num_graphs, len(head))
        try:
            target = target_of_task(table, task, self.num_tasks)
        except IndexError:
            raise TrainingError(
                f"task {task} has no target: 'y' has {table.shape[1]} columns"
            ) from None
        if not is_class_target(target) and kind_of_task(head, target) == "classification":
            target = target.long()
        return match_shape(head, target), target


@dataclass(frozen=True)
class BatchOutputs:
    """Outputs of a model for a batch, as in ``Collected``; ``loss``: of the batch, (), if known.

    ``bare``: the model returned a tensor, not a mapping or list of them.
    """

    num_graphs: int
    heads: dict[int, Tensor]
    num_tasks: int
    targets: Tensor | None
    positions: Tensor | None
    loss: Tensor | None
    sizes: Tensor | None = None
    bare: bool = False

    @classmethod
    def of(cls, model: torch.nn.Module, outputs: Any, batch: Any, loss: Tensor | None) -> Self:
        """From the ``outputs`` of ``model`` for ``batch``."""
        y, positions = getattr(batch, "y", None), getattr(batch, "sample_position", None)
        targets = y if isinstance(y, Tensor) else None
        heads, num_tasks = as_heads(outputs), count_tasks(model, outputs)
        sizes = elements_of(batch)
        bare = isinstance(outputs, Tensor)
        return cls(batch.num_graphs, heads, num_tasks, targets, positions, loss, sizes, bare)

    def on_host(self) -> Self:
        """A copy with all tensors on the CPU."""
        names = ("targets", "positions", "loss", "sizes")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        heads = {task: head.cpu() for task, head in self.heads.items()}
        return replace(self, heads=heads, **{name: value.cpu() for name, value in given.items()})


def collect(batches: Sequence[BatchOutputs], losses: np.ndarray) -> Collected:
    """The concatenation of ``batches``; tensors whose shapes differ are left out."""
    tasks = dict.fromkeys(task for batch in batches for task in batch.heads)
    heads = {task: _joined([b.heads[task] for b in batches if task in b.heads]) for task in tasks}
    return Collected(
        num_graphs=sum(batch.num_graphs for batch in batches),
        losses=losses,
        heads={task: head for task, head in heads.items() if head is not None},
        num_tasks=max((batch.num_tasks for batch in batches), default=0),
        targets=_joined([batch.targets for batch in batches]),
        positions=_joined([batch.positions for batch in batches]),
        sizes=_joined([batch.sizes for batch in batches]),
        batch_sizes=[batch.num_graphs for batch in batches],
        bare=any(batch.bare for batch in batches),
    )


def _joined(given: Iterable[Tensor | None]) -> Tensor | None:
    """The concatenated tensors, on the CPU; ``None`` if there are none, or if shapes differ."""
    parts = [part for part in given if part is not None]
    if not parts or len({part.shape[1:] for part in parts}) > 1 or parts[0].dim() == 0:
        return None
    return torch.cat(parts).cpu()


def elements_of(batch: Any) -> Tensor | None:
    """The number of elements of each graph of ``batch``, int64 (N,); None without ``ptr``."""
    ptr = getattr(batch, "ptr", None)
    return ptr.diff() if isinstance(ptr, Tensor) else None


class Monitor:
    """A named metric, computed from the collected outputs of an evaluation.

    ``better``: whether lower (``min``) or higher (``max``) is better, if known. ``function``: what
    is called. ``replaces_loss``: it has the name of a loss, with other values. ``sees_losses``: it
    is called with the losses of the samples, not with outputs.
    """

    def __init__(
        self, task: Mapping[str, Any], key: str = "evaluator_tasks", by_batch: bool = False
    ):
        """``task``: mapping with ``name``, ``monitor`` and optional ``args``, ``kwargs``, ``task``.

        ``by_batch``: a monitor of (predictions, targets) takes lists of batches in any case.
        Raises ``ConfigError`` with ``key`` if it cannot be constructed or called.
        """
        given: MonitorTask = validate(task, "monitor", key)
        self.name = given["name"]
        self.replaces_loss = self.name in LOSSES and not (
            self.name == LOSSES[0] and is_mean_loss(given)
        )
        self.task = given["task"]
        self.by_batch = by_batch
        self.key = key
        self.better = better(given["monitor"])
        spec = as_spec([given["monitor"], given["args"], given["kwargs"]], f"{key}.monitor")
        self._call = self._prepare(
            spec.type,
            import_objects(list(spec.args), f"{key}.args"),
            import_objects(spec.kwargs, f"{key}.kwargs"),
        )

    def __call__(self, collected: Collected) -> float | np.ndarray:
        """The value of the metric, or values if it takes batches: float64 (K,).

        Raises ``TrainingError`` naming the monitor if it fails.
        """
        try:
            value = self._call(collected)
            return value.values if isinstance(value, _Several) else _as_number(value)
        except QgpipeError as error:
            raise self._failure(error.problem) from error
        except Exception as error:
            problem = f"{type(error).__name__}: {error}{line_of_user(error)}"
            raise self._failure(problem) from error

    def _failure(self, problem: str) -> TrainingError:
        return TrainingError(
            f"monitor '{self.name}' failed: {problem}",
            where=self.key,
            remedy=f"it is called with ({self._given_to}), and has to return one number",
        )

    def _prepare(
        self, monitor: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> Callable[[Collected], Any]:
        """A function that computes the metric from the collected outputs."""
        if inspect.isclass(monitor):
            monitor = Spec(monitor, tuple(args), kwargs, key=f"{self.key}.monitor").build()
            higher = getattr(monitor, "higher_is_better", None)  # attribute of torchmetrics metrics
            self.better = self.better if higher is None else "max" if higher else "min"
            args, kwargs = [], {}
        self.function = monitor
        self._given_to, self.sees_losses = "predictions, targets", False
        if _is_metric(monitor):
            return lambda collected: _compute_metric(monitor, *collected.pair(self.task))
        check_keywords(monitor, kwargs, f"{self.key}.kwargs")
        parameters = _parameters(monitor)
        names = {p.name for p in parameters}
        score = next((name for name in _SCORES if name in names), "y_pred")
        if {"y_true", score} <= names:
            given = {**self._named(parameters, ("y_true", score), args), **kwargs}
            predict = labels if score == "y_pred" else probabilities
            self._given_to = f"y_true, {score}"

            def call_by_name(collected: Collected) -> Any:
                prediction, target = collected.pair(self.task)
                by_name = {"y_true": target.numpy(), score: predict(prediction, target)}
                return monitor(**by_name, **given)

            return call_by_name
        required = [p for p in parameters if p.default is p.empty and p.kind in _POSITIONAL]
        if len([p for p in required if p.name not in kwargs]) == 1:
            given = {**self._named(parameters, (parameters[0].name,), args), **kwargs}
            self._given_to, self.sees_losses = "losses of the samples", True
            return lambda collected: monitor(collected.losses, **given)
        data = tuple(p.name for p in parameters if p.kind in _POSITIONAL)[:2]
        given = {**self._named(parameters, data, args), **kwargs}
        lists: bool | None = self.by_batch or takes_batches(monitor, parameters) or None

        def call_with_two(collected: Collected) -> Any:
            nonlocal lists  # decided in the first call, if it is not before
            if lists:
                return _numbers(monitor(*collected.by_batch(), **given))
            try:
                value = _as_number(monitor(*collected.pair(self.task), **given))
            except Exception:
                if lists is None:
                    with suppress(Exception):
                        found = _numbers(monitor(*collected.by_batch(), **given))
                        lists = True
                        return found
                raise
            lists = False
            return value

        return call_with_two

    def _named(
        self, parameters: list[inspect.Parameter], data: tuple[str, ...], args: list[Any]
    ) -> dict[str, Any]:
        """``args`` by name of the parameters that do not take data, in order."""
        free = [p.name for p in parameters if p.name not in data and p.kind in _NAMED]
        if len(args) > len(free):
            raise ConfigError(
                f"'{self.name}' takes no {len(args)} arguments beside the data",
                key=f"{self.key}.args",
                remedy="use kwargs",
            )
        return dict(zip(free, args, strict=False))


def lacks_classes(collected: Collected, task: int) -> bool:
    """Whether targets of ``task`` are classes, of which ``collected`` does not have every one.

    Some metrics are not defined then: the area under the ROC curve, for instance.
    """
    try:
        prediction, target = collected.pair(task)
    except TrainingError:
        return False
    classes = prediction.shape[1] if prediction.dim() > target.dim() else 2
    binary = prediction.shape == target.shape and bool(is_binary(target).all())
    is_classes = kind_of_task(prediction, target) == "classification" or binary
    return is_classes and len(target.unique()) < classes


def takes_batches(monitor: Any, parameters: Sequence[inspect.Parameter]) -> bool:
    """Whether ``monitor`` was written for QuantumGravPy, and takes lists of batches.

    By the annotation of its first parameter (``list[dict[int, Tensor]]``), and without one by what
    its module imports.
    """
    first = next((p for p in parameters if p.kind in _POSITIONAL), None)
    if first is not None and first.annotation is not first.empty:
        annotation = str(first.annotation).lower()
        return any(name in annotation for name in ("list", "sequence", "dict", "iterable"))
    called = inspect.unwrap(monitor if inspect.isroutine(monitor) else type(monitor).__call__)
    return any(map(is_upstreams, getattr(called, "__globals__", {}).values()))


def build_monitors(
    tasks: Iterable[Mapping[str, Any]] | None, key: str, by_batch: bool = False
) -> list[Monitor]:
    """The monitors of the list ``evaluator_tasks`` at ``key``; ``by_batch``: see ``Monitor``.

    Raises ``ConfigError`` if two have the same name or one cannot be constructed.
    """
    monitors = [Monitor(task, f"{key}[{i}]", by_batch) for i, task in enumerate(tasks or ())]
    seen: set[str] = set()
    taken = {"epoch", *(f"{OWN}{name}" for name in LOSSES)}
    for monitor in monitors:
        if monitor.name in seen | taken:
            why = "is there twice" if monitor.name in seen else "is a column already"
            raise ConfigError(
                f"'{monitor.name}' {why}", key=f"{monitor.key}.name", remedy="choose another name"
            )
        seen.add(monitor.name)
    return monitors


def _is_metric(monitor: Any) -> bool:
    """Whether ``monitor`` accumulates like a torchmetrics ``Metric``."""
    return all(callable(getattr(monitor, name, None)) for name in ("reset", "update", "compute"))


def _compute_metric(metric: Any, prediction: Tensor, target: Tensor) -> Any:
    metric.reset()
    metric.update(prediction, target)
    value = metric.compute()
    metric.reset()
    return value


def _parameters(monitor: Any) -> list[inspect.Parameter]:
    """The parameters of a call; empty for some functions in C, whose parameters are unknown."""
    if isinstance(monitor, torch.nn.Module):
        monitor = monitor.forward  # __call__ hides the names
    try:
        return list(inspect.signature(monitor).parameters.values())
    except (TypeError, ValueError):
        return []


def scalars(row: Mapping[Any, Any]) -> dict[str, Any]:
    """``row`` with a column for each of several values, ``name[0]``, ``name[1]``."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, np.ndarray) and value.ndim:
            found |= {f"{name}[{i}]": number for i, number in enumerate(value.tolist())}
        else:
            found[str(name)] = value
    return found


@dataclass(frozen=True)
class _Several:
    """The values of a monitor that takes batches, float64 (K,)."""

    values: np.ndarray


def _numbers(value: Any) -> float | _Several:
    """``value`` as a float, or as several."""
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    if isinstance(value, np.ndarray | list | tuple) and np.size(value) > 1:
        return _Several(np.asarray(value, np.float64).reshape(-1))
    return _as_number(value)


def _as_number(value: Any) -> float:
    """``value`` as a float. Raises ``TrainingError`` if it is not a single number."""
    if isinstance(value, Tensor | np.ndarray):
        if math.prod(value.shape) != 1:
            raise TrainingError(f"it returned an array of shape {tuple(value.shape)}, not a number")
        return float(value.item())
    if isinstance(value, bool | int | float | np.generic):
        return float(value)
    raise TrainingError(f"it returned {type(value).__name__}, not a number")
