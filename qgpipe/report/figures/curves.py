"""Curves over the epochs of a training run: losses, metrics, learning rate."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from qgpipe.config.metric_mode import OWN
from qgpipe.report.figures import style
from qgpipe.report.tables.results import RunResults

_NO_EPOCH = "No epoch was finished."
_MARKED = 60  # with more epochs, not every epoch gets a marker
_ANNEALED = 1e-9  # a schedule that ends below this share of its peak ends at zero up to rounding
_DECADES = 1.7  # a loss that falls by more is drawn on a logarithmic axis


def loss(results: RunResults) -> Figure:
    """Mean training and validation loss of every epoch, with bands from minimum to maximum.

    The y axis is scaled to the means: bands may extend beyond it.
    """
    history = results.history
    if history.empty:
        return style.sentence(_NO_EPOCH)
    figure, axes = style.single(5.6, 3.6)
    epochs = history["epoch"].to_numpy(float)
    means, extremes = [], []
    for part, prefix in (("train", "train"), ("validation", "val")):
        if f"{prefix}_loss_avg" not in history:
            continue
        mean, low, high = (
            _finite(history[_of_loss(history, prefix, kind)].to_numpy(float))
            for kind in ("avg", "min", "max")
        )
        _band(axes, epochs, low, high, style.SETS[part])
        _curve(axes, epochs, mean, style.SETS[part], style.SET_NAMES[part])
        means.append(mean)
        extremes += [low, high]
    _epoch_axis(axes, epochs)
    _mark_best(axes, results.best_epoch)
    _set_view(axes, np.concatenate(means), np.concatenate(extremes))
    axes.set_ylabel("loss")
    handles, labels = axes.get_legend_handles_labels()
    handles.append(Patch(color=style.GREY, alpha=0.25, linewidth=0))
    labels.append("lowest to highest")
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def metrics(results: RunResults) -> Figure:
    """A panel for each column ``val_<metric>`` of the history, with the best epoch marked."""
    history = results.history
    losses = {_of_loss(history, "val", kind) for kind in ("avg", "min", "max")}
    columns = [c for c in map(str, history) if c.startswith("val_") and c not in losses]
    if history.empty:
        return style.sentence(_NO_EPOCH)
    if "val_loss_avg" not in history and not columns:
        return style.sentence("This run has no validation set, so there are no metrics to show.")
    if not columns:
        return style.sentence(
            "No metrics to show: validation.validator.evaluator_tasks names no monitor."
        )
    figure, all_axes = style.panels(len(columns))
    epochs = history["epoch"].to_numpy(float)
    for axes, column in zip(all_axes, columns, strict=True):
        values = _finite(history[column].to_numpy(float))
        _curve(axes, epochs, values, style.SETS["validation"], style.SET_NAMES["validation"])
        _epoch_axis(axes, epochs)
        _mark_best(axes, results.best_epoch)
        axes.set_title(style.wrapped(column.removeprefix("val_"), 36))
        if np.isnan(values).all():
            style.note(axes, "no finite value")
    style.legend(figure, all_axes[0], 2)
    return figure


def learning_rate(results: RunResults) -> Figure:
    """The learning rate of every epoch, on a logarithmic axis if it varies and does not reach 0."""
    history = results.history
    if history.empty:
        return style.sentence(_NO_EPOCH)
    figure, axes = style.single(5.4, 2.8)
    epochs = history["epoch"].to_numpy(float)
    rates = _finite(history["lr"].to_numpy(float))
    _curve(axes, epochs, rates, style.SETS["train"], "learning rate")
    _epoch_axis(axes, epochs)
    known = rates[~np.isnan(rates)]
    if known.size == 0:
        style.note(axes, "no finite value")
    elif known.min() == known.max() > 0:
        axes.set_ylim(0, 1.25 * known.max())
    elif known.min() > _ANNEALED * known.max():
        axes.set_yscale("log")
    axes.set_ylabel("learning rate")
    return figure


def _of_loss(history: pd.DataFrame, prefix: str, kind: str) -> str:
    """The column of a loss; another one if a metric has its name."""
    own = f"{prefix}_{OWN}loss_{kind}"
    return own if own in history else f"{prefix}_loss_{kind}"


def _curve(axes: Axes, epochs: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    """A line with a marker at every epoch; if there are many, only at isolated values."""
    dots = ~np.isnan(values) if len(epochs) <= _MARKED else _isolated(values)
    axes.plot(epochs, values, color=color, label=label, marker="o", markersize=3.5, markevery=dots)


def _band(axes: Axes, epochs: np.ndarray, low: np.ndarray, high: np.ndarray, color: str) -> None:
    axes.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
    some = _isolated(low + high)
    axes.vlines(epochs[some], low[some], high[some], color=color, alpha=0.25, linewidth=5)


def _isolated(values: np.ndarray) -> np.ndarray:
    """Which values have no finite neighbour, and so are not visible in a line."""
    known = np.pad(~np.isnan(values), 1)
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _set_view(axes: Axes, means: np.ndarray, extremes: np.ndarray) -> None:
    """Scale the y axis to the means; bands extend it by at most their range on either side."""
    means, extremes = means[~np.isnan(means)], extremes[~np.isnan(extremes)]
    if means.size == 0:
        style.note(axes, "no finite value")
        return
    log = means.min() > 0 and np.log10(means.max() / means.min()) > _DECADES
    if log:
        axes.set_yscale("log")
        means, extremes = np.log10(means), np.log10(extremes[extremes > 0])
    bottom, top = means.min(), means.max()
    span = (top - bottom) if log else max(top - bottom, 0.5 * max(abs(top), abs(bottom)))
    bottom = max(bottom - span, np.append(extremes, bottom).min())
    top = min(top + span, np.append(extremes, top).max())
    pad = 0.05 * ((top - bottom) or 1.0)
    bottom, top = bottom - pad, top + pad
    axes.set_ylim(*((10**bottom, 10**top) if log else (bottom, top)))


def _epoch_axis(axes: Axes, epochs: np.ndarray) -> None:
    axes.set_xlabel("epoch")
    style.count_axis(axes, "x")
    first, last = epochs.min(), epochs.max()
    pad = max(0.02 * (last - first), 0.5)
    axes.set_xlim(first - pad, last + pad)


def _mark_best(axes: Axes, epoch: int | None) -> None:
    if epoch is not None:
        axes.axvline(epoch, label=f"best epoch ({epoch})", zorder=1, **style.DASHED)
