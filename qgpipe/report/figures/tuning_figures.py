"""Figures of a study: the value of each trial, and the importance of parameters."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from qgpipe.report.figures import style

_FAR = 5  # interquartile ranges beyond the quartiles; worse values are drawn at the edge


def trials(table: pd.DataFrame, metric: str, mode: str) -> Figure:
    """The value of every trial, the last one of pruned trials, and the best so far.

    ``table``: from ``tuning.results.trials_table``. Values far worse than the rest are drawn as
    triangles at the edge.
    """
    figure, axes = style.single(6.4, 3.6)
    groups = {state: table[table["state"] == state] for state in ("finished", "pruned", "failed")}
    sign = 1 if mode == "min" else -1
    worst = _edge(sign * table["value"].dropna()) * sign
    looks = {"finished": ("o", style.SETS["train"]), "pruned": ("x", style.SETS["validation"])}
    for state, (marker, color) in looks.items():
        group = groups[state].dropna(subset="value")
        far = sign * group["value"] > sign * worst
        near, label = group[~far], f"{state} ({len(groups[state])})"
        if len(group):
            axes.plot(near["trial"], near["value"], marker, color=color, markersize=5, label=label)
            edge = "^" if sign > 0 else "v"
            axes.plot(group["trial"][far], [worst] * far.sum(), edge, color=color, markersize=5)
    finished = table["value"].where(table["state"] == "finished")
    best = (finished.cummin() if mode == "min" else finished.cummax()).ffill()
    axes.step(table["trial"], best, where="post", label="best so far", **style.DASHED)
    failed = groups["failed"]
    for trial in failed["trial"]:
        axes.axvline(trial, color=style.WRONG, alpha=0.6, linewidth=1)
    if len(failed):
        axes.plot([], [], color=style.WRONG, label=f"failed ({len(failed)})")
    axes.set(xlabel="trial", ylabel=style.wrapped(f"validation {metric}", 30))
    style.count_axis(axes, "x")
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def importances(weights: Mapping[str, float], metric: str, fewest: int) -> Figure:
    """A bar for each parameter: its share of the variance of the values of trials.

    ``weights``: from ``tuning.results.importances``; if they are empty, the figure only says that
    ``fewest`` finished trials are needed.
    """
    if not weights:
        return style.sentence(
            f"Importances need at least {fewest} finished trials with different values."
        )
    figure, axes = style.single(6.4, 1.1 + 0.36 * len(weights))
    names = [style.wrapped(key, 44) for key in weights]
    bars = axes.barh(names, list(weights.values()), height=0.62, color=style.SETS["train"])
    axes.bar_label(bars, [f"{weight:.0%}" for weight in weights.values()], padding=3)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlim(0, 1.1 * max(weights.values()))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel(style.wrapped(f"share of the variance of validation {metric}", 70))
    return figure


def _edge(values: pd.Series) -> float:
    """The largest of ``values`` that is not far from the rest."""
    if values.empty:
        return 0.0
    low, high = values.quantile(0.25), values.quantile(0.75)
    limit = high + _FAR * (high - low)
    return float(values[values <= limit].max())
