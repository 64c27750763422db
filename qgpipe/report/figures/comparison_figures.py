"""Tables and figures over several runs: score against swept keys, and folds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qgpipe.report.figures import style
from qgpipe.report.tables.comparison import (
    DEVIATION,
    MEAN,
    Places,
    cross_validation_table,
    results_table,
    sweep_table,
)
from qgpipe.system.files import write_bytes, write_text

_DECADES = 1.7  # a larger range is drawn on a logarithmic axis
_MOST_NAMED = 12  # tick labels of an axis; of more values only some get a label


def write_sweep(folder: Path, places: Places, table: Path, figure: Path) -> None:
    """Write the table of a sweep (CSV) and its figure (SVG); raises as ``sweep_table``."""
    content = sweep_table(folder, places)
    _, score = results_table(folder, places)
    keys = list(next(iter(places.values()))["point"])
    with style.applied():
        svg = style.to_svg(sweep(content, keys, score), "Runs")
    write_text(table, content.to_csv(index=False))
    write_bytes(figure, svg)


def write_cross_validation(folder: Path, places: Places, table: Path, figure: Path) -> None:
    """Write the table of folds (CSV) and its figure (SVG); raises as ``cross_validation_table``."""
    content = cross_validation_table(folder, places)
    with style.applied():
        svg = style.to_svg(cross_validation(content), "Folds")
    write_text(table, content.to_csv(index=False))
    write_bytes(figure, svg)


def sweep(table: pd.DataFrame, keys: list[str], score: str | None) -> Figure:
    """A panel for each swept key: the score of every run against its value, with the best marked.

    ``table``: from ``comparison.sweep_table``; ``score``: its column with the validation score.
    """
    if score is None or table[score].isna().all():
        return style.sentence("The runs have no validation score in common to compare.")
    figure, all_axes = style.panels(len(keys))
    best = table["rank"] == 1
    name = style.wrapped(str(table.loc[best, "run"].iloc[0]), 50)
    for axes, key in zip(all_axes, keys, strict=True):
        places = _places(axes, table[key])
        means = table[score].groupby(places).mean()
        axes.plot(means.index, means, label="mean", zorder=1, **style.DASHED)
        _dots(axes, places[~best], table[~best], score, style.SETS["validation"], "run")
        _dots(axes, places[best], table[best], score, style.SETS["test"], f"best: {name}")
        axes.set_xlabel(style.wrapped(key, 40))
        axes.set_ylabel(style.wrapped(f"validation {score.removeprefix('val_')}", 30))
    style.legend(figure, all_axes[0], 1 if len(keys) == 1 else 3, "outside upper left")
    return figure


def cross_validation(table: pd.DataFrame) -> Figure:
    """A panel for each test result: one dot for each fold, the mean, and one standard deviation.

    ``table``: from ``comparison.cross_validation_table``; for a sweep, one line for each point.
    """
    columns = [name for name in map(str, table) if name.startswith("test_")]
    runs = list(dict.fromkeys(table["run"]))
    folds = table[~table["fold"].isin([MEAN, DEVIATION])]
    count = len(runs) if len(runs) > 1 else len(folds)
    figure, all_axes = style.panels(len(columns), height=max(2.2, 0.9 + 0.28 * count))
    for axes, column in zip(all_axes, columns, strict=True):
        if len(runs) > 1:
            _points(axes, table, runs, column)
        else:
            _folds(axes, table, column)
        axes.invert_yaxis()
        axes.set_title(style.wrapped(column.removeprefix("test_"), 36))
        axes.label_outer()
    style.legend(figure, all_axes[0], 3)
    return figure


def _places(axes: Axes, values: pd.Series) -> np.ndarray:
    """The x coordinate of each value: the number itself, or the index if not all are numbers."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if numbers:
        places = values.to_numpy(float)
        if places.min() > 0 and np.log10(places.max() / places.min()) > _DECADES:
            axes.set_xscale("log")
        return places
    names = list(dict.fromkeys(map(str, values)))
    step = -(-len(names) // _MOST_NAMED)
    labels = [style.wrapped(name, 16) for name in names[::step]]
    axes.set_xticks(range(0, len(names), step), labels, rotation=30 if len(names) > 4 else 0)
    axes.set_xlim(-0.5, len(names) - 0.5)
    return np.array([names.index(str(value)) for value in values], float)


def _dots(
    axes: Axes, places: np.ndarray, table: pd.DataFrame, score: str, color: str, label: str
) -> None:
    bars = table.get(f"{score}_{DEVIATION}")
    options: dict[str, Any] = {"fmt": "o", "markersize": 5, "linewidth": 1, "capsize": 2}
    axes.errorbar(places, table[score], bars, color=color, label=label, **options)


def _folds(axes: Axes, table: pd.DataFrame, column: str) -> None:
    """The folds of one run, one below the other, with mean (line) and deviation (band)."""
    values = table.set_index("fold")[column]
    mean, deviation = values[MEAN], values[DEVIATION]
    folds = values.drop([MEAN, DEVIATION])
    axes.axvspan(
        mean - deviation, mean + deviation, color=style.GREY, alpha=0.15, label="one deviation"
    )
    axes.axvline(mean, label="mean", **style.DASHED)
    axes.plot(folds, range(len(folds)), "o", color=style.SETS["test"], label="fold")
    axes.set_yticks(range(len(folds)), [f"fold {name}" for name in folds.index])
    axes.set_ylim(-0.5, len(folds) - 0.5)


def _points(axes: Axes, table: pd.DataFrame, runs: list[str], column: str) -> None:
    """The folds of each point of a sweep in one line, with mean and deviation."""
    for place, run in enumerate(runs):
        values = table[table["run"] == run].set_index("fold")[column]
        folds = values.drop([MEAN, DEVIATION])
        names = ("fold", "mean, one deviation") if place == 0 else (None, None)
        dots: dict[str, Any] = {"color": style.SETS["test"], "alpha": 0.5, "label": names[0]}
        bars: dict[str, Any] = {"fmt": "|", "color": "#333333", "capsize": 3, "label": names[1]}
        axes.plot(folds, [place] * len(folds), "o", **dots)
        axes.errorbar(values[MEAN], place, xerr=values[DEVIATION], **bars)
    axes.set_yticks(range(len(runs)), [style.wrapped(run, 34) for run in runs])
    axes.set_ylim(-0.5, len(runs) - 0.5)
