"""Figures of what the answers of a model rest on."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from qgpipe.report.figures import style
from qgpipe.report.tables.ablations import TITLES
from qgpipe.report.tables.explanation import METHODS, Cost, costs, head_title, measures
from qgpipe.report.tables.results import RunResults

MOST_FEATURES = 40  # bars; the file and the table have all
_LEVELS = {
    "node": ("features of elements", style.SETS["train"]),
    "graph": ("features of causal sets", style.SETS["validation"]),
}
_ORANGE = "#E69F00"  # of the same palette
_METHOD_COLOURS = dict(
    zip(
        METHODS,
        (style.ALL_SETS, style.SETS["train"], _ORANGE, style.SETS["validation"]),
        strict=True,
    )
)
_BAR = 0.2  # inches
_LONGEST = 48  # characters of a name


def importances(results: RunResults) -> Figure:
    """What permuting each feature costs: a bar each, with the deviation over the repetitions.

    Above the single features, below correlated features and all of a kind that are permuted
    together, on a scale of their own. On the left the loss, on the right the first score.
    """
    explanation = results.explanation
    kinds = {
        "single": costs(explanation, "features"),
        "together": [*costs(explanation, "correlated"), *costs(explanation, "all")],
    }
    if not kinds["single"]:
        return style.sentence("The graphs have no features that could be permuted.")
    titles = measures(explanation)[:2]
    left_out = len(kinds["single"]) - MOST_FEATURES
    shown = {kind: found[:MOST_FEATURES] for kind, found in kinds.items() if found}
    heights = [len(found) * _BAR + 0.55 for found in shown.values()]
    figure = style.new_figure(4.1 + 2.2 * len(titles), sum(heights) + 0.5)
    grid = figure.add_gridspec(len(shown), len(titles), height_ratios=heights)
    for row, kind in enumerate(shown):
        for column, title in enumerate(titles):
            axes = figure.add_subplot(grid[row, column])
            every = {"single": ("features",), "together": ("correlated", "all")}[kind]
            bars = [cost for one in every for cost in costs(explanation, one, column)]
            _bars(axes, bars[:MOST_FEATURES], named=column == 0)
            axes.set_xlabel(title + ("" if kind == "single" else ", permuted together"))
    used = {cost.level for found in shown.values() for cost in found}
    handles = [
        Patch(color=c, label=label) for level, (label, c) in _LEVELS.items() if level in used
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    if left_out > 0:
        figure.axes[0].set_title(
            f"the {MOST_FEATURES} features with the largest rise of the loss, of "
            f"{len(kinds['single'])}",
            loc="left",
        )
    return figure


def _bars(axes: Axes, bars: Sequence[Cost], named: bool) -> None:
    places = np.arange(len(bars))
    values = [np.nan if cost.mean is None else cost.mean for cost in bars]
    axes.barh(
        places,
        values,
        height=0.7,
        color=[_LEVELS[cost.level][1] for cost in bars],
        xerr=[cost.deviation or 0 for cost in bars],
        error_kw={"ecolor": "#333333", "elinewidth": 1, "capsize": 2},
    )
    axes.set_yticks(places, [_on_a_line(cost.short_name) for cost in bars] if named else [])
    axes.tick_params("y", labelsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    axes.grid(False, axis="y")
    axes.locator_params(axis="x", nbins=5)


def _on_a_line(name: str) -> str:
    """A name, without its middle if it is long; the table of the page has all of it."""
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 20]}…{name[-19:]}"
    return short.replace("$", r"\$")


def invariants(results: RunResults) -> Figure:
    """How much of the variance of each output, and of all, invariants explain, with intervals."""
    explanation = results.explanation
    found = explanation["invariants"]
    if not found["heads"]:
        return style.sentence(f"No share that invariants explain: {found['left_out']}.")
    rows = [
        (f"{title}: {name}" if (title := head_title(explanation, head)) else name, methods)
        for head in found["heads"]
        for name, methods in [
            *([("all outputs", head["methods"])] if len(head["outputs"]) > 1 else []),
            *((one["name"], one["methods"]) for one in head["outputs"]),
        ]
    ]
    names = list(dict.fromkeys(name for _, methods in rows for name in methods))
    figure, axes = style.single(6.8, 1.2 + len(rows) * (0.17 * len(names) + 0.14))
    height = 0.8 / len(names)
    for k, name in enumerate(names):
        shares = [methods[name] for _, methods in rows]
        values = np.array([np.nan if one["value"] is None else one["value"] for one in shares])
        ends = np.array(
            [
                [value if one[end] is None else one[end] for end in ("low", "high")]
                for value, one in zip(values, shares, strict=True)
            ]
        )
        axes.barh(
            np.arange(len(rows)) + (k - (len(names) - 1) / 2) * height,
            values,
            height=0.9 * height,
            color=_METHOD_COLOURS.get(name, style.GREY),
            xerr=np.abs(ends - values[:, None]).T,
            error_kw={"ecolor": "#333333", "elinewidth": 1, "capsize": 2},
            label=METHODS.get(name, name),
        )
    axes.set_yticks(np.arange(len(rows)), [style.wrapped(name, 30) for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    low = axes.get_xlim()[0]
    axes.set_xlim(min(low, 0), 1.02)
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    axes.grid(False, axis="y")
    axes.set_xlabel("share of the variance of the model's outputs (R² on test graphs)")
    style.legend(figure, axes, 1 if len(names) < 3 else 2)
    return figure


def ablations(results: RunResults) -> Figure:
    """The score of the model and of each of its ablations, with intervals: a panel a target.

    Points, not bars: the axis need not begin at 0, where no model is.
    """
    targets = [one for one in results.ablations["targets"] if one["model"] is not None]
    if not targets:
        return style.sentence("No answer of the model can be compared with those of its ablations.")
    rows = max(1 + len(one["ablations"]) for one in targets)
    figure, panels = style.panels(len(targets), 4.6, 0.9 + 0.32 * rows)
    for axes, target in zip(panels, targets, strict=True):
        scores = {"model": target["model"], **target["ablations"]}
        places = np.arange(len(scores))
        for place, (kind, score) in zip(places, scores.items(), strict=True):
            axes.errorbar(
                score["value"],
                place,
                xerr=[[score["value"] - score["low"]], [score["high"] - score["value"]]],
                fmt="o" if kind == "model" else "s",
                color=style.SETS["test" if kind == "model" else "validation"],
                capsize=3,
            )
        axes.axvspan(target["model"]["low"], target["model"]["high"], color=style.GRID, zorder=0)
        axes.set_yticks(places, [TITLES.get(kind, kind) for kind in scores])
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.set_xlabel(f"{target['measure']} on the test set")
        if len(targets) > 1:
            axes.set_title(style.wrapped(target["name"], 40))
    return figure
