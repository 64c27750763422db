"""The figures of a run: their names, captions and categories in the report.

The Snakefile imports this module to declare its outputs, so drawing code and matplotlib are only
imported when a figure is drawn.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgpipe.errors import ConfigError
from qgpipe.system.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qgpipe.config.types import Config
    from qgpipe.report.tables.results import RunResults


@dataclass(frozen=True)
class FigureDescription:
    """A figure: the function that draws it, and its title and category in ``snakemake --report``.

    ``drawn_by``: module of this package and name of a function ``RunResults -> Figure``
    (matplotlib). The caption is ``rules/captions/<name>.rst``.
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
        """The function that draws the figure; imports its module."""
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


ASKED_FOR: dict[str, dict[str, FigureDescription]] = {
    "explain": {
        "importances": FigureDescription(
            "Importance of features", "Explanation", "explanation_figures.importances"
        ),
        "invariants": FigureDescription(
            "Share explained by invariants", "Explanation", "explanation_figures.invariants"
        ),
    },
    "ablations": {
        "ablations": FigureDescription("Ablations", "Explanation", "explanation_figures.ablations"),
    },
    "sensitivity": {
        "sensitivity": FigureDescription("Sensitivity", "Test", "sensitivity_figures.sensitivity"),
    },
}
"""The figures that a key of ``report`` asks for."""


def figures_of(config: Config) -> dict[str, FigureDescription]:
    """The figures of the runs of a configuration, by name."""
    return figures_asked_for({**config["report"]})


def figures_asked_for(asked: Mapping[str, Any]) -> dict[str, FigureDescription]:
    """All figures by name: those of every run, and those of the keys of ``report`` in ``asked``."""
    more = [some for key, some in ASKED_FOR.items() if asked.get(key)]
    return FIGURES | {name: figure for some in more for name, figure in some.items()}


def draw(name: str, results: RunResults) -> bytes:
    """The figure ``name`` of a run as SVG, with reproducible bytes.

    Raises ``ConfigError`` for a name that is not in ``FIGURES``, and ``DataError`` for a result
    file that is missing, damaged or lacks values.
    """
    known = FIGURES | {k: v for some in ASKED_FOR.values() for k, v in some.items()}
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
    names: Iterable[str] = FIGURES,
    sensitivity: Sequence[str] = (),
) -> None:
    """Draw figures of a run into ``output_folder``, as ``<name>.svg`` for each of ``names``.

    ``sensitivity``: attributes of the graphs by which scores are shown.

    ``run_folder`` holds ``history.csv``, ``summary.json``, ``test/metrics.json`` and
    ``test/predictions.csv``, and what was asked for beside them. All figures are drawn before the
    first is written. Raises ``DataError`` for a file that is missing, damaged or lacks values.
    """
    from qgpipe.report.tables.results import RunResults

    results = RunResults(run_folder, dataset_json, split_json, sensitivity)
    drawn = {name: draw(name, results) for name in names}
    for name, svg in drawn.items():
        write_bytes(output_folder / f"{name}.svg", svg)
