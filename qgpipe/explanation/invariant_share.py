"""How much of what a model puts out invariants of the causal sets explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qgpipe.baselines.methods import Features, Target, boosting, linear
from qgpipe.baselines.statistics import bootstrap_interval
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.steps.outputs import Kind

RESAMPLES = 400

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """A coefficient of determination on the test set, with its 95 % interval; None: undefined."""

    value: float | None
    low: float | None
    high: float | None


FITTED: dict[str, Callable[[Target, Features], Reals]] = {"linear": linear, "boosting": boosting}
"""Methods that outputs are fitted with: ridge regression and gradient boosting of values."""


def centred_outputs(output: NDArray[np.generic], kind: Kind) -> Reals:
    """Outputs of a head as columns, float64 [N, C].

    Of classes with an output each minus their mean over the classes: a constant that is added to
    all logits of a graph changes no probability. Other outputs are left as they are.
    """
    columns = output.astype(np.float64).reshape(len(output), -1)
    if kind == "classification" and columns.shape[1] > 1:
        columns = columns - columns.mean(axis=1, keepdims=True)
    return columns


def fitted_outputs(
    method: Callable[[Target, Features], Reals], outputs: Reals, features: Features
) -> Reals:
    """What ``method``, fitted to ``outputs`` (float64 [M, C]) of the M graphs, says of the others.

    ``features``: of the M graphs fitted to, as ``train``, and of N others, as ``test``; the result
    is float64 [N, C]. Raises ``NotApplicable`` as the method does.
    """
    return np.stack(
        [method(Target(f"output {c}", column), features) for c, column in enumerate(outputs.T)],
        axis=1,
    )


def shares_explained(outputs: Reals, fitted: Reals) -> tuple[list[Share], Share]:
    """The coefficient of determination of each column, and of all, with bootstrap intervals.

    ``outputs``, ``fitted``: float64 [N, C], of graphs that nothing was fitted to. With the mean m_c
    of the outputs y_c of these graphs, R²_c = 1 - Σ_i (y_ic - f_ic)² / Σ_i (y_ic - m_c)²; of all
    columns both sums are over c too. It is 1 if the outputs are the fitted function, 0 if that is
    no better than a constant, and may be negative. Undefined if the outputs are all the same. The
    intervals are for another choice of test graphs, with the fit as it is.
    """
    columns = [_share(outputs[:, [c]], fitted[:, [c]]) for c in range(outputs.shape[1])]
    return columns, _share(outputs, fitted)


def outputs_by_graph(collected: Collected, task: int) -> NDArray[np.generic] | None:
    """The outputs of a head if it has a row for each graph, else None."""
    output = collected.heads[task]
    return output.numpy() if len(output) == collected.num_graphs and output.dim() else None


def _share(outputs: Reals, fitted: Reals) -> Share:
    residuals = ((outputs - fitted) ** 2).sum(axis=1)

    def explained(rows: NDArray[np.int64] | slice) -> float:
        some = outputs[rows]
        total = ((some - some.mean(axis=0)) ** 2).sum()
        return float(1 - residuals[rows].sum() / total) if total > 0 else float("nan")

    value = explained(slice(None))
    if not np.isfinite(value):
        return Share(None, None, None)
    interval = bootstrap_interval(explained, len(outputs), RESAMPLES)
    return Share(value, *(interval or (None, None)))
