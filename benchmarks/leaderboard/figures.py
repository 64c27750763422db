"""The figures of the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from results import TEST, Task

from qgpipe.report.figures import style

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "D", "^", "s")  # the test set, and further sets


def figures(tasks: Sequence[Task]) -> dict[str, bytes]:
    """Each figure by its name, as SVG."""
    with style.applied():
        drawn = {"leaderboard-scores": _scores(tasks)}
        drawn |= {f"leaderboard-{task.name}": _curves(task) for task in tasks if task.curves}
        return {name: style.to_svg(figure, name) for name, figure in drawn.items()}


def _scores(tasks: Sequence[Task]) -> Figure:
    """A panel for each task: all methods on the test set, and on the further sets."""
    figure, panels = style.panels(len(tasks), width=4.4, height=3.3)
    for axes, task in zip(panels, tasks, strict=True):
        _panel(axes, task)
    return figure


def _panel(axes: Axes, task: Task) -> None:
    """Scores below 0, of R², are drawn at 0."""
    places = range(len(task.methods))[::-1]
    for name, marker in zip((TEST, *task.sets), MARKERS, strict=False):
        for is_model, colour in ((True, COLOURS[0]), (False, style.GREY)):
            points = [
                (max(0.0, fmean(method.scores[name])), place)
                for method, place in zip(task.methods, places, strict=True)
                if method.is_model == is_model and method.scores[name]
            ]
            face = colour if name == TEST else "white"
            look = {"color": colour, "markerfacecolor": face, "markersize": 5}
            label = name if is_model else None
            axes.plot(*zip(*points, strict=True), marker, label=label, **look) if points else None
    for method, place in zip(task.methods, places, strict=True):
        if method.interval:
            axes.plot([max(0.0, end) for end in method.interval], [place, place], color=style.GREY)
    axes.set_yticks(places, [method.name for method in task.methods])
    axes.set(title=task.name, xlabel=task.measure, xlim=(-0.03, 1.03))
    axes.legend(fontsize=7, loc="best")


def _curves(task: Task) -> Figure:
    """The scores of each model by what causal sets were made of."""
    figure, axes = style.single(5.6, 3.6)
    for (model, curves), colour in zip(task.curves.items(), COLOURS, strict=False):
        for curve in curves:
            look = {"color": colour, "markersize": 4, "label": model}
            axes.plot(curve["value"], curve["score"], "o-", **look)
            axes.set(xlabel=curve["by"].replace("_", " "), ylabel=f"recall of {curve['class']}")
    axes.set_ylim(0, 1.03)
    axes.legend()
    return figure
