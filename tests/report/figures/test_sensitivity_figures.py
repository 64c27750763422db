from __future__ import annotations

import numpy as np
import pytest

from qgpipe.report.figures import sensitivity_figures as figure_module
from qgpipe.report.figures import style
from qgpipe.report.figures.run_figures import FIGURES, draw, figures_asked_for
from qgpipe.report.page.page import render
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.sensitivity import Curve, Sensitivity


def curve(name: str, values: list[float]) -> Curve:
    numbers = np.array(values)
    ones = np.ones(len(values))
    return Curve(name, numbers, numbers, numbers, 20 + 0 * numbers.astype(int), 0.9 * ones,
                 0.8 * ones, 0.95 * ones)  # fmt: skip


@pytest.fixture
def drawn(monkeypatch, results):
    """The figure of given sensitivities."""

    def make(found: list[Sensitivity]):
        monkeypatch.setattr(figure_module, "sensitivities", lambda _: found)
        with style.applied():
            return figure_module.sensitivity(results())

    return make


def test_each_array_has_a_panel_and_each_class_one_entry_in_the_legend(drawn):
    both = [curve("merged", [0.0, 1.0]), curve("polynomial", [0.5])]
    figure = drawn(
        [
            Sensitivity("cset_type", "flip_share", "recall", both),
            Sensitivity("cset_type", "genus", "recall", both[:1]),
            Sensitivity("cset_type", "empty", "recall", []),
        ]
    )
    assert [axes.get_xlabel() for axes in figure.axes] == ["flip_share", "genus", "empty"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["polynomial", "merged"]


def test_curves_differ_in_colour_and_marker(drawn):
    names = [f"class {k}" for k in range(7)]
    figure = drawn([Sensitivity("y", "by", "recall", [curve(name, [0.0, 1.0]) for name in names])])
    lines = [container.lines[0] for container in figure.axes[0].containers]
    assert len({line.get_color() for line in lines}) == 7
    assert len({line.get_marker() for line in lines}) == 7


def test_an_error_has_no_legend(drawn):
    figure = drawn([Sensitivity("y", "by", "mean absolute error", [curve("", [0.0, 1.0])])])
    assert not figure.legends
    assert figure.axes[0].get_ylim()[0] == 0


def test_a_run_without_sensitivity_has_no_such_figure(results):
    assert figures_asked_for({"sensitivity": []}) == FIGURES
    assert [*figures_asked_for({"sensitivity": ["genus"]})] == [*FIGURES, "sensitivity"]
    assert "figure-sensitivity" not in render(results())


def test_the_figure_and_the_numbers_are_on_the_page(monkeypatch, results):
    run = results()
    found = [Sensitivity("cset_type", "genus", "recall", [curve("merged", [0.0, 1.0])])]
    for module in (figure_module, __import__("qgpipe.report.page.page", fromlist=["page"])):
        monkeypatch.setattr(module, "sensitivities", lambda _: found)
    sensitive = RunResults(run.run_folder, run.dataset_json, run.split_json, ["genus"])
    text = render(sensitive)
    assert 'id="figure-sensitivity"' in text
    assert "Recall by genus, in numbers" in text
    assert draw("sensitivity", sensitive) == draw("sensitivity", sensitive)
