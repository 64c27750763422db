"""Figures of the data: classes or target values, and sizes of the causal sets."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qgpipe.errors import DataError
from qgpipe.report.figures import style
from qgpipe.report.tables.results import RunResults


def targets(results: RunResults) -> Figure:
    """Counts of the classes in training, validation and test set; for other targets a histogram."""
    if results.split["class_counts"] is None or results.test["task"] == "regression":
        return target_histogram(results)
    return class_balance(results)


def class_balance(results: RunResults) -> Figure:
    """The number of graphs of each class in training, validation and test set, as bars."""
    counts = results.split["class_counts"]
    sets = [name for name in style.SETS if counts.get(name)]
    codes = sorted({int(code) for name in sets for code in counts[name]})
    if not codes:
        return style.sentence("The data set has no graphs.")
    names = style.class_labels(results.dataset["class_names"], codes)
    letters = 0.08 * max(len(line) for name in names for line in name.split("\n"))  # inches
    height = 1.3 + 0.15 * (len(sets) + 1) * len(codes)
    figure, axes = style.single(max(5.4, letters + 3.6), height)
    thickness = 0.84 / len(sets)
    for place, name in enumerate(sets):
        bars = axes.barh(
            np.arange(len(codes)) + (place - (len(sets) - 1) / 2) * thickness,
            [counts[name].get(str(code), 0) for code in codes],
            height=thickness * 0.92,
            color=style.SETS[name],
            label=style.SET_NAMES[name],
        )
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, size=8)
    axes.set_yticks(np.arange(len(codes)), names)
    axes.set_ylim(len(codes) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.set(xlabel="number of graphs", ylabel="class")
    axes.grid(False, axis="y")
    style.count_axis(axes, "x")
    figure.legend(loc="outside upper center", ncols=len(sets))
    return figure


def target_histogram(results: RunResults) -> Figure:
    """Histograms of the targets of the test set, one panel for each target."""
    columns = results.target_columns
    if not columns:
        return style.sentence("The graphs have no targets.")
    names = style.target_labels(results.dataset["target"], columns)
    figure, all_axes = style.panels(len(columns), height=3.2)
    for axes, column, name in zip(all_axes, columns, names, strict=True):
        values = pd.to_numeric(results.predictions[column], errors="coerce").to_numpy(float)
        values = values[np.isfinite(values)]
        axes.set(xlabel=name, ylabel=f"number of test {results.unit}")
        if len(values):
            style.histogram(axes, values)
        else:
            style.note(axes, "no finite value")
    return figure


def sizes(results: RunResults) -> Figure:
    """The histogram of the number of elements of all graphs of the dataset.

    Raises ``DataError`` if the numbers of edges and counts in ``dataset.json`` do not match.
    """
    found = results.dataset["sizes"]
    counts, edges = found["histogram"]["counts"], found["histogram"]["edges"]
    if not counts or not results.dataset["num_graphs"]:
        return style.sentence("The data set has no graphs.")
    if len(edges) != len(counts) + 1:
        raise DataError(
            f"the histogram of sizes has {len(edges)} edges for {len(counts)} counts",
            store=str(results.dataset_json),
        )
    figure, axes = style.single(5.4, 3.2)
    axes.stairs(counts, edges, fill=True, color=style.ALL_SETS)
    axes.axvline(found["mean"], label=f"mean ({found['mean']:,.1f})", **style.DASHED)
    axes.set(xlabel="number of elements", ylabel="number of graphs")
    axes.set_title(
        f"{results.dataset['num_graphs']:,} graphs of {found['min']:,} to {found['max']:,} elements"
    )
    style.count_axis(axes, "x")
    style.count_axis(axes, "y")
    figure.legend(loc="outside upper center")
    return figure
