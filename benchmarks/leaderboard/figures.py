"""The figures of the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from matplotlib.figure import Figure
from results import TEST, Task, scores

from qgpipe.report.figures import style

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def figures(tasks: Sequence[Task]) -> dict[str, bytes]:
    """Each figure by its name, as SVG."""
    with style.applied():
        drawn = {"leaderboard-scores": draw_scores(tasks)}
        drawn |= {f"leaderboard-{t.name}": draw_curves(t) for t in tasks if t.results[0]["curves"]}
        return {name: style.to_svg(figure, name) for name, figure in drawn.items()}


def draw_scores(tasks: Sequence[Task]) -> Figure:
    """A panel for each task: all methods on the test set, and on the further sets."""
    figure, all_axes = style.panels(len(tasks), width=4.4, height=3.2)
    for axes, task in zip(all_axes, tasks, strict=True):
        names = [r["model"] for r in task.results] + list(task.baselines)
        for place, name in enumerate(reversed(names)):
            result = next((r for r in task.results if r["model"] == name), None)
            colour = style.SETS["train"] if result else style.GREY
            points = {
                one: scores(result, one)
                if result
                else [s for s in [task.baselines[name]["scores"].get(one)] if s is not None]
                for one in (TEST, *task.sets)
            }
            for one, marker in zip(points, "oD^s", strict=False):
                if points[one]:
                    face = colour if one == TEST else "white"
                    axes.plot(
                        fmean(points[one]), place, marker, color=colour, markerfacecolor=face,
                        markersize=5, linestyle="none",
                        label=one if place == len(names) - 1 else None,
                    )  # fmt: skip
        axes.set_yticks(range(len(names)), reversed(names))
        low = 0.0
        axes.set(title=task.name, xlabel=task.measure, xlim=(low - 0.02, 1.02))
        axes.legend(fontsize=7, loc="lower left")
    return figure


def draw_curves(task: Task) -> Figure:
    """The score of each model by what causal sets were made of, for each class."""
    figure, axes = style.single(5.6, 3.6)
    for result, colour in zip(task.results, COLOURS, strict=False):
        for curve in result["curves"]:
            axes.plot(
                curve["value"], curve["score"], "o-", color=colour, markersize=4,
                label=result["model"],
            )  # fmt: skip
    axes.set(
        xlabel=task.results[0]["curves"][0]["by"].replace("_", " "),
        ylabel=f"recall of {task.results[0]['curves'][0]['class']}",
        ylim=(0, 1.02),
    )
    axes.legend()
    return figure
