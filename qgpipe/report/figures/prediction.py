"""The predictions on the test set: a confusion matrix, or predictions against targets."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qgpipe.report.figures import style
from qgpipe.report.tables.predictions import paired_columns
from qgpipe.report.tables.results import RunResults

MOST_CLASSES = 30  # in a confusion matrix with counts in its cells
_WRITTEN_SHARES = 8  # up to this number of classes, cells also have shares


def prediction(results: RunResults) -> Figure:
    """The confusion matrix of a classification, or the predictions of a regression."""
    task = results.test["task"]
    if task == "classification":
        return confusion_matrix(results)
    if task == "regression":
        return target_prediction(results)
    return style.sentence(
        "The model's outputs are neither classes nor predictions of the targets, "
        "so there is nothing to compare."
    )


def confusion_matrix(results: RunResults) -> Figure:
    """Counts of test graphs by true (row) and predicted class (column), coloured by share."""
    if results.test["confusion_matrix"] is None:
        return style.sentence("The test has no confusion matrix.")
    counts = np.array(results.test["confusion_matrix"])
    if counts.sum() == 0:
        return style.sentence("The test set has no graphs.")
    names = style.class_labels(results.test["class_names"], range(len(counts)))
    figure, axes = _matrix_axes(names)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    many = len(counts) > MOST_CLASSES  # rasterised, to keep the SVG small
    lines: dict[str, Any] = {} if many else {"edgecolors": "white", "linewidth": 1}
    mesh = axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, rasterized=many, **lines)
    axes.set_facecolor("#F0F0F0")
    if not many:
        _write_cells(axes, counts, shares)
    colorbar = figure.colorbar(
        mesh, ax=axes, label="share of the true class", shrink=0.8, fraction=0.05, aspect=25
    )
    colorbar.ax.yaxis.set_major_formatter("{x:.0%}")
    colorbar.outline.set_visible(False)
    correct, total = int(np.trace(counts)), int(counts.sum())
    figure.suptitle(
        f"{correct:,} of {total:,} test {results.unit} ({correct / total:.1%}) classified correctly"
    )
    return figure


def target_prediction(results: RunResults) -> Figure:
    """Prediction against target of every test graph, with the diagonal; a panel for each target."""
    table = results.predictions
    pairs = paired_columns(results.target_columns, list(table.columns))
    if not pairs:
        return style.sentence("No output of the model belongs to a target.")
    names = style.target_labels(results.dataset["target"], [target for target, _ in pairs])
    figure, all_axes = style.panels(len(pairs), width=3.8, height=3.9)
    for axes, (target, output), name in zip(all_axes, pairs, names, strict=True):
        known = table[[target, output]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
        finite = np.isfinite(known).all(axis=1)
        _scatter(axes, known[finite, 0], known[finite, 1], results.unit)
        axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
        left_out = int((~finite).sum())
        title = _determination(known[finite, 0], known[finite, 1], results.unit)
        axes.set_title(f"{title}\n{left_out:,} not finite, left out" if left_out else title)
    style.legend(figure, all_axes[0], 2)
    return figure


def _matrix_axes(names: list[str]) -> tuple[Figure, Axes]:
    cells = len(names)
    lines = [line for name in names for line in name.split("\n")]
    letters = 0.08 * max(map(len, lines))  # inches
    labelled = range(0, cells, -(-cells // MOST_CLASSES))
    label = min(max(5.0 / cells, 0.5), 1.6)
    side = label * len(labelled)
    turned = letters > label - 0.1
    figure = style.new_square_figure(
        max(side + letters + 1.8, 5.6), side + (letters if turned else 0.3) + 0.8
    )
    axes = figure.add_subplot()
    centres = [place + 0.5 for place in labelled]
    axes.set_yticks(centres, names[:: labelled.step])
    axes.set_xticks(centres, names[:: labelled.step], rotation=90 if turned else 0)
    axes.set(aspect="equal", xlabel="predicted class", ylabel="true class")
    axes.invert_yaxis()
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure, axes


def _write_cells(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    size = 9 if len(counts) <= 12 else 7
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        text = f"{count:,}"
        if len(counts) <= _WRITTEN_SHARES and not np.isnan(share):
            text += f"\n{share:.0%}"
        color = "white" if share > 0.55 else "#222222" if count else style.GREY
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=color, size=size)


def _scatter(axes: Axes, targets: np.ndarray, predictions: np.ndarray, unit: str) -> None:
    style.scatter(axes, targets, predictions, f"test {unit.removesuffix('s')}")
    if len(targets) == 0:
        style.note(axes, "no finite value")
        return
    low = min(targets.min(), predictions.min())
    high = max(targets.max(), predictions.max())
    pad = 0.05 * ((high - low) or abs(high) or 1.0)
    ends = (low - pad, high + pad)
    axes.plot(ends, ends, label="equality", **style.DASHED)
    axes.set(xlim=ends, ylim=ends, aspect="equal")


def _determination(targets: np.ndarray, predictions: np.ndarray, unit: str = "graphs") -> str:
    """The coefficient of determination 1 − Σ(t − p)² / Σ(t − t̄)², as text."""
    spread = np.sum((targets - targets.mean()) ** 2) if len(targets) else 0.0
    if spread == 0:
        return f"R² undefined, {len(targets):,} {unit}"
    value = 1 - np.sum((targets - predictions) ** 2) / spread
    return f"R² = {value:.3f}, {len(targets):,} {unit}"
