"""Reliability of predictions: calibration or residuals, and scores by size."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qgpipe.report.figures import style
from qgpipe.report.tables.graphs import graph_sizes
from qgpipe.report.tables.predictions import Answers, ClassAnswers, ValueAnswers, answers
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.scores import calibration, size_scores

_NOTHING = "No output of the model belongs to a target, so there is nothing to judge."


def reliability(results: RunResults) -> Figure:
    """For classes accuracy against confidence; for real targets residuals and their histogram.

    One column of axes for each target.
    """
    found = answers(results)
    if not found:
        return style.sentence(_NOTHING)
    figure = style.new_figure(1.2 + 3.8 * len(found), 5.4)
    grid = figure.add_gridspec(2, len(found), height_ratios=(3, 2))
    for place, one in enumerate(found):
        axes = [figure.add_subplot(grid[row, place]) for row in range(2)]
        name = f"{style.wrapped(one.name, 36)}\n" if len(found) > 1 else ""
        if len(one.rows) == 0:
            style.note(axes[0], "no finite value")
            style.note(axes[1], "no finite value")
        elif isinstance(one, ClassAnswers):
            _calibration(axes[0], one, name)
            _confidences(axes[1], one)
            axes[1].set_xlim(axes[0].get_xlim())
        else:
            _residuals(axes[0], one, name)
            _residual_histogram(axes[1], one)
    return figure


def scores_by_size(results: RunResults) -> Figure:
    """Accuracy, or mean absolute error, of graphs of similar size, with 95 % intervals."""
    found = [one for one in answers(results) if len(one.rows)]
    if not found:
        return style.sentence(_NOTHING)
    sizes = graph_sizes(results, results.predictions["id"].tolist())
    figure, all_axes = style.panels(len(found), width=3.8, height=2.8)
    for axes, one in zip(all_axes, found, strict=True):
        _by_size(axes, one, sizes[one.rows])
        if len(found) > 1:
            axes.set_title(style.wrapped(one.name, 36))
    return figure


def _calibration(axes: Axes, one: ClassAnswers, name: str) -> None:
    bins = calibration(one)
    bars = [bins.accuracy - bins.low, bins.high - bins.accuracy]
    axes.plot([0, 1], [0, 1], **style.DASHED)
    axes.errorbar(
        bins.confidence,
        bins.accuracy,
        yerr=np.maximum(bars, 0),
        color=style.SETS["test"],
        marker="o",
        markersize=4,
        elinewidth=1,
        capsize=2,
    )
    lowest = np.floor(10 * min(bins.confidence.min(), bins.low.min())) / 10
    axes.set(xlim=(lowest, 1.02), ylim=(lowest, 1.02), xlabel="confidence", ylabel="accuracy")
    axes.set_title(f"{name}expected calibration error {bins.error:.3f}")


def _confidences(axes: Axes, one: ClassAnswers) -> None:
    edges = np.linspace(0, 1, 21)
    edges = edges[max(np.searchsorted(edges, one.confidence.min()) - 1, 0) :]
    kinds = (one.correct, "right", style.SETS["test"]), (~one.correct, "wrong", style.WRONG)
    below = np.zeros(len(edges) - 1)
    for chosen, label, color in kinds:
        counts, _ = np.histogram(one.confidence[chosen], edges)
        axes.stairs(below + counts, edges, baseline=below, fill=True, color=color, label=label)
        below = below + counts
    axes.set(xlabel="confidence", ylabel=f"number of test {one.unit}")
    style.count_axis(axes, "y")
    axes.legend(loc="upper left")


def _residuals(axes: Axes, one: ValueAnswers, name: str) -> None:
    style.scatter(axes, one.target, one.residual)
    axes.axhline(0, **style.DASHED)
    axes.set(xlabel=f"true {style.wrapped(one.name, 30)}", ylabel="predicted − true")
    axes.set_title(f"{name}mean absolute error {one.error.mean():.3g}")


def _residual_histogram(axes: Axes, one: ValueAnswers) -> None:
    style.histogram(axes, one.residual)
    axes.axvline(0, **style.DASHED)
    axes.set(xlabel="predicted − true", ylabel=f"number of test {one.unit}")
    mean = f"{one.residual.mean():.2g}".replace("-", "−")
    axes.set_title(f"mean {mean}, standard deviation {one.residual.std():.2g}")


def _by_size(axes: Axes, one: Answers, sizes: np.ndarray) -> None:
    bins = size_scores(one, sizes)
    middle = (bins.smallest + bins.largest) / 2
    axes.errorbar(
        middle,
        bins.score,
        xerr=(bins.largest - bins.smallest) / 2,
        yerr=np.maximum([bins.score - bins.low, bins.high - bins.score], 0),
        color=style.SETS["test"],
        marker="o",
        markersize=4,
        linestyle="none",
        elinewidth=1.2,
    )
    axes.set_xlabel("number of elements")
    axes.set_ylabel("accuracy" if isinstance(one, ClassAnswers) else "mean absolute error")
    style.count_axis(axes, "x")
