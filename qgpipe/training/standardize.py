"""Computes means and standard deviations of the training set for the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import ConfigError
from qgpipe.models.construct.standardizer import INPUTS, KEY, NAME, Standardizer
from qgpipe.training.steps.outputs import is_class_target

GRAPHS_AT_ONCE = 256


def standardize(model: nn.Module, loader: Any, kinds: Sequence[str]) -> None:
    """Standardise the inputs and outputs ``kinds`` of ``model``, with statistics of ``loader``.

    ``kinds``: any of ``node_features``, ``graph_features`` and ``target``. Each column of the
    training set gets mean 0 and (population) standard deviation 1; sums are computed in float64.
    Raises ``ConfigError`` if the data has no such values, or a column is constant.
    """
    if not kinds:
        return
    moments = training_moments(loader, kinds)
    require_varying(moments, loader.dataset)
    statistics = {
        kind: (found.mean.to(found.dtype), found.std.to(found.dtype))
        for kind, found in moments.items()
    }
    standardizer = Standardizer(statistics)
    attached = getattr(model, NAME, None)
    if isinstance(attached, Standardizer):  # by an earlier call
        attached.load_state_dict(standardizer.state_dict())
        return
    standardizer.attach(model)
    standardizer.to(next(iter(model.parameters()), torch.empty(0)).device)


def training_moments(loader: Any, kinds: Sequence[str]) -> dict[str, Moments]:
    """Mean and deviation of each column of ``kinds``, over all graphs of ``loader``."""
    moments = {kind: Moments() for kind in kinds}
    forms = getattr(loader.dataset, "attributes", None) or {}
    of_nodes = forms.get("y", {}).get("kind") == "node"
    for batch in _in_order(loader):
        for kind, found in moments.items():
            values = values_of(batch, kind)
            if kind == "target":
                values = values.reshape(len(values) if of_nodes else batch.num_graphs, -1)
            found.add(values)
    return moments


def require_varying(
    moments: Mapping[str, Moments], dataset: Any, where: str = "the whole training set"
) -> None:
    """Raise ``ConfigError`` if a column is constant. ``where``: the graphs, for the message."""
    for kind, found in moments.items():
        constant = (found.std <= 1e-12 * found.mean.abs()).nonzero().flatten().tolist()
        if constant:
            known = getattr(dataset, kind, None) if kind in INPUTS else None
            column = f"'{known[constant[0]]}'" if known else f"column {constant[0]}"
            raise _refusal(
                kind,
                f"{column} of the {kind.replace('_', ' ')} is "
                f"{found.mean[constant[0]]:g} in {where}",
                "leave this feature out of the reader's kwargs" if kind in INPUTS else None,
            )


def values_of(batch: Any, kind: str) -> Tensor:
    """The values of ``kind`` in ``batch``; ``ConfigError`` if they cannot be standardised."""
    values = getattr(batch, INPUTS.get(kind, "y"), None)
    if not isinstance(values, Tensor):
        raise _refusal(kind, f"the data has no {kind.replace('_', ' ')}")
    if kind == "target" and is_class_target(values):
        raise _refusal(kind, "the targets are classes, not values")
    return values


class Moments:
    """Mean and standard deviation of columns, block by block (Chan, Golub and LeVeque 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)
        self.dtype = torch.float32

    def add(self, values: Tensor) -> None:
        """``values``: [R, F], one row for each node or graph."""
        if values.is_floating_point():
            self.dtype = values.dtype
        block = values.double().cpu()
        count = len(block)
        if not count:
            return
        mean = block.mean(dim=0)
        delta, total = mean - self.mean, self.count + count
        self._squares = (
            self._squares
            + (block - mean).square().sum(dim=0)
            + delta.square() * self.count * count / total
        )
        self.mean = self.mean + delta * count / total
        self.count = total

    @property
    def std(self) -> Tensor:
        """The population standard deviation, float64 [F]."""
        return (self._squares / self.count).sqrt()


def _in_order(loader: Any) -> Iterable[Any]:
    """All batches of the training set, in order, without affecting the order of epochs.

    They have no edges, unless a transform of the user's needs them.
    """
    if not isinstance(loader, GraphLoader):
        return loader
    if loader.dataset.transform is None:
        return loader.dataset.batches_without_edges(GRAPHS_AT_ONCE)
    in_order = GraphLoader(loader.dataset, GRAPHS_AT_ONCE, seed=loader.seed)
    in_order.edge_format = loader.edge_format
    return in_order


def _refusal(kind: str, problem: str, remedy: str | None = None) -> ConfigError:
    return ConfigError(problem, key=KEY, remedy=remedy or f"leave out '{kind}'")
