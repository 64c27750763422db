"""The style of all figures: colours, sizes, text, and SVG with reproducible bytes."""

import io
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe and Ito's palette, distinguishable with every kind of colour blindness:
# https://jfly.uni-koeln.de/color/
SETS = {"train": "#0072B2", "validation": "#D55E00", "test": "#009E73"}
ALL_SETS = "#56B4E9"
WRONG = "#CC79A7"
GREY = "#6E6E6E"
GRID = "#E3E3E3"
SET_NAMES = {"train": "training", "validation": "validation", "test": "test"}

DASHED: dict[str, Any] = {"color": "#333333", "linestyle": (0, (4, 3)), "linewidth": 1}

_Place = Literal["outside upper center", "outside upper left"]
_VECTOR_POINTS = 3000  # more points than this are rasterised, to keep the SVG small

_PARAMETERS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "figure.titlesize": 11,
    "font.family": "DejaVu Sans",  # included in matplotlib, so the same on every machine
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "qgpipe",
}


@contextmanager
def applied() -> Iterator[None]:
    """A block in which figures have this style, independent of the user's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_PARAMETERS)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches, with a layout that does not clip texts."""
    return Figure(figsize=(width, height), layout="constrained")


def single(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of ``width`` by ``height`` inches, and its only axes."""
    figure = new_figure(width, height)
    return figure, figure.add_subplot()


def new_square_figure(width: float, height: float) -> Figure:
    """As ``new_figure``, for axes of fixed aspect, with labels close to the axes."""
    return Figure(figsize=(width, height), layout="compressed")


def panels(count: int, width: float = 3.4, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes, at most three in a row; sizes of one panel in inches."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    if count == 1:
        width, height = 1.4 * width, 1.4 * height
    figure = new_figure(columns * width, rows * height)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(count)]


def sentence(text: str) -> Figure:
    """A figure with only ``text``, if there is nothing to draw."""
    figure = new_figure(5.6, 1.6)
    figure.text(0.5, 0.5, wrapped(text, 60), ha="center", va="center", color="#333333", size=11)
    return figure


def note(axes: Axes, text: str) -> None:
    """Write ``text`` in the middle of axes, if there is nothing to draw."""
    axes.set(xticks=[], yticks=[])
    look: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, backgroundcolor="white", **look)


def wrapped(text: str, width: int) -> str:
    """``text`` in lines of at most ``width`` characters, broken after a blank or one of ``_-./``.

    Dollar signs are escaped, so that matplotlib finds no formula in it.
    """
    lines = [""]
    for piece in re.split(r"(?<=[\s_\-./])", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return "\n".join(line.rstrip() for line in lines).replace("$", r"\$")


def class_labels(names: list[str] | None, codes: Iterable[int]) -> list[str]:
    """The name of each class code, or ``class <code>`` if unknown, in about three lines."""
    known = dict(enumerate(names or []))
    labels = [known.get(code, f"class {code}") for code in codes]
    width = max([26, *(len(label) // 3 + 8 for label in labels)])
    return [wrapped(label, width) for label in labels]


def target_labels(target: str | list[str] | None, columns: list[str]) -> list[str]:
    """The name of each target column: from the data if known, otherwise that of the column."""
    names = [target] if isinstance(target, str) else target or []
    return [wrapped(name, 30) for name in (names if len(names) == len(columns) else columns)]


def legend(
    figure: Figure, axes: Axes, columns: int, place: _Place = "outside upper center"
) -> None:
    """One legend for all axes of ``figure``, with the entries of ``axes``."""
    figure.legend(*axes.get_legend_handles_labels(), loc=place, ncols=columns)


def scatter(axes: Axes, x: np.ndarray, y: np.ndarray, label: str | None = None) -> None:
    """A point for each test graph; many points are rasterised."""
    many = len(x) > _VECTOR_POINTS
    look: dict[str, Any] = {"s": 6, "alpha": 0.2} if many else {"s": 14, "alpha": 0.5}
    axes.scatter(x, y, color=SETS["test"], linewidths=0, rasterized=many, label=label, **look)


def histogram(axes: Axes, values: np.ndarray) -> None:
    """The histogram of ``values`` of the test graphs; there must be at least one."""
    counts, edges = np.histogram(values, bins=min(40, max(5, int(np.sqrt(len(values))))))
    axes.stairs(counts, edges, fill=True, color=SETS["test"])
    count_axis(axes, "y")


def count_axis(axes: Axes, axis: str) -> None:
    """Ticks of ``axis`` ("x" or "y") only at integers, with thousands separators."""
    chosen = axes.xaxis if axis == "x" else axes.yaxis
    chosen.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    chosen.set_major_formatter("{x:,.0f}")


def to_svg(figure: Figure, title: str) -> bytes:
    """``figure`` as SVG without a date or random ids; text is converted to paths."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=144, metadata={"Date": None, "Title": title})
    return buffer.getvalue()
