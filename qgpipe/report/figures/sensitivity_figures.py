"""How scores depend on what causal sets were made of."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qgpipe.report.figures import style
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.sensitivity import Curve, sensitivities

# Okabe and Ito's palette without yellow, which is faint on white, and a marker each: the curves
# can be told apart without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = "osD^vPX*<>"
_APART = 0.008  # of the axis, by which curves are moved so that intervals do not overlap


def sensitivity(results: RunResults) -> Figure:
    """Recall of each class, or mean absolute error, with 95 % intervals, a panel an array."""
    found = sensitivities(results)
    if not found:
        return style.sentence("No output of the model belongs to a target.")
    figure, all_axes = style.panels(len(found), width=3.8, height=3.0)
    several = len({one.target for one in found}) > 1
    drawn = {curve.name for one in found for curve in one.curves}
    classes = results.dataset["class_names"] or []
    names = [*(name for name in classes if name in drawn), *sorted(drawn.difference(classes))]
    for axes, one in zip(all_axes, found, strict=True):
        axes.set_xlabel(style.wrapped(one.by, 36))
        axes.set_ylabel(one.score)
        if several:
            axes.set_title(style.wrapped(one.target, 36))
        if not one.curves:
            style.note(axes, "no test graph has a value")
            continue
        width = max(curve.largest.max() for curve in one.curves)
        width -= min(curve.smallest.min() for curve in one.curves)
        for place, curve in enumerate(one.curves):
            shift = _APART * width * (place - (len(one.curves) - 1) / 2)
            _draw(axes, curve, names.index(curve.name), shift)
        if one.score == "recall":
            axes.set_ylim(-0.03, 1.03)
        else:
            axes.set_ylim(bottom=0)
    _legend(figure, all_axes, names)
    return figure


def _draw(axes: Axes, curve: Curve, number: int, shift: float) -> None:
    axes.errorbar(
        curve.value + shift,
        curve.score,
        xerr=np.maximum([curve.value - curve.smallest, curve.largest - curve.value], 0),
        yerr=np.maximum([curve.score - curve.low, curve.high - curve.score], 0),
        color=_COLOURS[number % len(_COLOURS)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=5,
        linestyle=":",
        linewidth=1,
        elinewidth=1.2,
        label=style.wrapped(curve.name, 30) or None,
    )


def _legend(figure: Figure, all_axes: list[Axes], names: list[str]) -> None:
    """One legend for all panels: each curve once."""
    known: dict[str, Any] = {}
    for axes in all_axes:
        handles, labels = axes.get_legend_handles_labels()
        known |= dict(zip(labels, handles, strict=True))
    labels = [label for label in (style.wrapped(name, 30) for name in names) if label in known]
    if labels:
        handles = [known[label] for label in labels]
        columns = min(len(labels), 2 * min(len(all_axes), 3))
        figure.legend(handles, labels, loc="outside upper center", ncols=columns)
