"""Permutation importance: what a model loses if features are those of other nodes or graphs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qgpipe.errors import TrainingError
from qgpipe.explanation.edge_reuse import expanded_once
from qgpipe.models.build import call_model
from qgpipe.training.evaluation.metrics import BatchOutputs, Collected, collect
from qgpipe.training.steps.criterion import Criterion, batch_loss
from qgpipe.training.steps.outputs import IGNORED_TARGET, Kind, kind_of_task, labels

Level = Literal["node", "graph"]
ATTRIBUTES: dict[Level, str] = {"node": "x", "graph": "graph_features"}
LOSS = "loss"


@dataclass(frozen=True)
class Permuted:
    """Columns of the features of nodes (``x``) or graphs (``graph_features``) permuted together."""

    level: Level
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Score:
    """A measure of the answers of one head: its accuracy, or its mean absolute error."""

    task: int
    kind: Kind

    @property
    def measure(self) -> str:
        """What it is called."""
        return "accuracy" if self.kind == "classification" else "mean absolute error"


@dataclass(frozen=True)
class Importances:
    """What permuting costs.

    ``loss``, ``values``: of the features as they are, the latter for each of ``scores``. ``worse``:
    float64 [P, R, 1 + S], how much worse the loss and each of the S scores are than that if the
    p-th columns are permuted for the r-th time: the rise of a loss or an error, or the fall of an
    accuracy.
    """

    num_graphs: int
    scores: list[Score]
    loss: float
    values: list[float]
    worse: NDArray[np.float64]


@dataclass(frozen=True)
class _Features:
    """The features of all nodes or all graphs.

    ``values``: [N, F]; ``orders``: R permutations of their rows, int64 [R, N].
    """

    values: Tensor
    orders: Tensor


def feature_values(batches: Iterable[Any]) -> dict[Level, Tensor]:
    """The features of nodes [N, F] and of graphs [G, F] in ``batches``, those that are there."""
    found: dict[Level, list[Tensor]] = {"node": [], "graph": []}
    for batch in batches:
        for level, name in ATTRIBUTES.items():
            values = getattr(batch, name, None)
            if isinstance(values, Tensor):
                found[level].append(values)
    return {
        level: (whole if (whole := torch.cat(parts)).dim() > 1 else whole[:, None])
        for level, parts in found.items()
        if parts
    }


@torch.no_grad()
def permutation_importances(
    model: nn.Module,
    batches: Callable[[], Iterable[Any]],
    permuted: Sequence[Permuted],
    criterion: Criterion,
    apply_model: Callable[[Any, Any], Any] | None = None,
    device: torch.device | str = "cpu",
    repetitions: int = 5,
    seed: int = 0,
) -> Importances:
    """How much worse ``model`` is if each of ``permuted`` is permuted, several times.

    ``batches``: called for the graphs, which have to come in the same order each time. Rows of the
    columns are permuted among all nodes of all graphs, or among all graphs: what is left of a
    feature is its distribution, and nothing that tells one graph from another. With e the error of
    the model on the features as they are and e_r that after permutation r, the importance is the
    mean of e_r - e over r = 1 … R (Breiman, Machine Learning 45, 5, 2001, for random forests;
    Fisher, Rudin and Dominici, JMLR 20(177), 1, 2019, arXiv:1801.01489, for any model). Permutation
    r is the same one for all columns of a level, so that these are compared fairly; it is drawn
    from (``seed``, r).

    Raises ``TrainingError`` if the criterion fails.
    """
    model = model.to(device).eval()
    values = feature_values(batches())
    features = {
        level: _Features(
            whole.to(device),
            torch.from_numpy(_orders(len(whole), repetitions, seed, level)).to(device),
        )
        for level, whole in values.items()
    }
    calls = len(permuted) * repetitions
    seen: list[list[BatchOutputs]] = [[] for _ in range(1 + calls)]
    start: dict[Level, int] = {"node": 0, "graph": 0}
    for given in batches():
        batch = expanded_once(given.to(device))
        seen[0].append(_seen(model, batch, criterion, apply_model))
        for p, some in enumerate(permuted):
            for r in range(repetitions):
                changed = _with_rows_of_others(batch, some, features[some.level], r, start)
                seen[1 + p * repetitions + r].append(_seen(model, changed, criterion, apply_model))
        for level, name in ATTRIBUTES.items():
            start[level] += len(getattr(batch, name)) if level in features else 0
    whole, *others = [_together(some) for some in seen]
    scores = scores_of(whole[0])
    errors = np.array([_errors(loss, collected, scores) for collected, loss in (whole, *others)])
    worse = (errors[1:] - errors[0]).reshape(len(permuted), repetitions, -1)
    return Importances(
        whole[0].num_graphs,
        scores,
        whole[1],
        [_sign(score) * error for score, error in zip(scores, errors[0, 1:], strict=True)],
        worse,
    )


def scores_of(collected: Collected) -> list[Score]:
    """The heads with classes or values as targets, with the scores that are computed of them."""
    found = []
    for task in collected.heads:
        try:
            kind = kind_of_task(*collected.pair(task))
        except TrainingError:  # there is no target
            continue
        if kind != "other":
            found.append(Score(task, kind))
    return found


def _orders(count: int, repetitions: int, seed: int, level: Level) -> NDArray[np.int64]:
    place = list(ATTRIBUTES).index(level)
    return np.stack(
        [np.random.default_rng((seed, place, r)).permutation(count) for r in range(repetitions)]
    )


def _with_rows_of_others(
    batch: Any, some: Permuted, features: _Features, r: int, start: dict[Level, int]
) -> Any:
    """``batch`` with permuted columns; its first node or graph is number ``start`` of all."""
    name, columns = ATTRIBUTES[some.level], list(some.columns)
    own = getattr(batch, name)
    rows = features.orders[r, start[some.level] : start[some.level] + len(own)]
    new = own.clone() if own.dim() > 1 else own[:, None].clone()
    new[:, columns] = features.values[rows][:, columns]
    changed = copy.copy(batch)
    setattr(changed, name, new.reshape(own.shape))
    return changed


def _seen(
    model: nn.Module,
    batch: Any,
    criterion: Criterion,
    apply_model: Callable[[Any, Any], Any] | None,
) -> BatchOutputs:
    outputs = call_model(model, batch, apply_model)
    return BatchOutputs.of(model, outputs, batch, batch_loss(criterion, outputs, batch))


def _together(seen: Sequence[BatchOutputs]) -> tuple[Collected, float]:
    """All batches, and their mean loss, in which each counts as often as it has graphs."""
    losses = torch.stack([batch.loss for batch in seen if batch.loss is not None]).double().cpu()
    counts = torch.tensor([batch.num_graphs for batch in seen], dtype=torch.float64)
    collected = collect([batch.on_host() for batch in seen], np.zeros(0))
    return collected, float((losses * counts).sum() / counts.sum())


def _sign(score: Score) -> int:
    return -1 if score.kind == "classification" else 1


def _errors(loss: float, collected: Collected, scores: Sequence[Score]) -> list[float]:
    """The loss, and for each head minus its accuracy, or its mean absolute error."""
    return [loss, *(_sign(score) * _value(collected, score) for score in scores)]


def _value(collected: Collected, score: Score) -> float:
    output, target = collected.pair(score.task)
    answer, truth = labels(output, target), target.numpy()
    if score.kind == "classification":
        known = truth != IGNORED_TARGET
        return float((answer == truth)[known].mean()) if known.any() else float("nan")
    errors = np.abs(answer - truth.astype(np.float64).reshape(answer.shape))
    known = np.isfinite(truth).reshape(answer.shape)
    return float(errors[known].mean()) if known.any() else float("nan")
