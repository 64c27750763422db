"""The figures of a run: their names, captions and places in the report.

Drawing code, and matplotlib with it, is imported when a figure is drawn: the Snakefile reads
this module to declare its outputs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qgpipe.errors import ConfigError
from qgpipe.system.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qgpipe.report.tables.results import RunResults


@dataclass(frozen=True)
class FigureDescription:
    """One figure: what draws it, and under what ``snakemake --report`` shows it.

    ``drawn_by`` is the module, of this package, and the name in it of a function
    ``RunResults -> matplotlib Figure``. The caption is ``rules/captions/<name>.rst``.
    """

    title: str
    category: str
    drawn_by: str

    @property
    def labels(self) -> dict[str, str]:
        """The figure's entries in the columns of the report's table."""
        return {"figure": self.title}

    @property
    def function(self) -> Callable[[RunResults], Figure]:
        """The function that draws the figure, imported now."""
        module, _, name = self.drawn_by.partition(".")
        return getattr(importlib.import_module(f"qgpipe.report.figures.{module}"), name)


FIGURES: dict[str, FigureDescription] = {
    "loss": FigureDescription("Loss", "Training", "curves.loss"),
    "metrics": FigureDescription("Metrics", "Training", "curves.metrics"),
    "learning_rate": FigureDescription("Learning rate", "Training", "curves.learning_rate"),
    "prediction": FigureDescription("Predictions", "Test", "prediction.prediction"),
    "reliability": FigureDescription("Reliability", "Test", "reliability.reliability"),
    "scores_by_size": FigureDescription("Scores by size", "Test", "reliability.scores_by_size"),
    "targets": FigureDescription("Targets", "Data", "dataset_figures.targets"),
    "sizes": FigureDescription("Sizes", "Data", "dataset_figures.sizes"),
}


SENSITIVITY = FigureDescription("Sensitivity", "Test", "sensitivity_figures.sensitivity")


def figures(sensitivity: Sequence[str]) -> dict[str, FigureDescription]:
    """The figures of a run by name; ``sensitivity``: that of the configuration's ``report``."""
    return FIGURES | ({"sensitivity": SENSITIVITY} if sensitivity else {})


def draw(name: str, results: RunResults) -> bytes:
    """The figure ``name`` of a run as SVG; equal results give equal bytes.

    Raises ``ConfigError`` for a name that is not among its figures, and ``DataError`` for a
    result file that is missing, damaged or lacks what the figure shows.
    """
    known = figures(results.sensitivity)
    if name not in known:
        raise ConfigError(f"no figure '{name}'", remedy=f"there are {', '.join(known)}")
    from qgpipe.report.figures import style

    with style.applied():
        return style.to_svg(known[name].function(results), known[name].title)


def plot_run(
    run_folder: Path,
    dataset_json: Path,
    split_json: Path,
    output_folder: Path,
    sensitivity: Sequence[str] = (),
) -> None:
    """Draw every figure of a run into ``output_folder``, as ``<name>.svg`` for each of them.

    ``run_folder`` holds ``history.csv``, ``summary.json``, ``test/metrics.json`` and
    ``test/predictions.csv``. All figures are drawn before the first is written. Raises
    ``DataError`` for a file that is missing, damaged or lacks what a figure shows.
    """
    from qgpipe.report.tables.results import RunResults

    results = RunResults(run_folder, dataset_json, split_json, sensitivity)
    drawn = {name: draw(name, results) for name in figures(sensitivity)}
    for name, svg in drawn.items():
        write_bytes(output_folder / f"{name}.svg", svg)
