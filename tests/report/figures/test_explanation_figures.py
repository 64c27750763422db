import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from qgpipe.report.figures import explanation_figures, style
from qgpipe.report.figures.run_figures import ASKED_FOR, FIGURES, draw, figures_asked_for

from ..conftest import ABLATIONS, EXPLANATION, LONG_NAME, MARKUP, feature_entry


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]


def test_the_figures_are_there_if_they_are_asked_for():
    assert figures_asked_for({}) == FIGURES == figures_asked_for({"explain": False})
    assert set(figures_asked_for({"ablations": ["no_edges"]})) == {*FIGURES, "ablations"}
    assert set(figures_asked_for({"explain": True, "ablations": []})) == {
        *FIGURES,
        "importances",
        "invariants",
    }


@pytest.mark.parametrize("name", ASKED_FOR["explain"])
def test_an_explanation_is_drawn(results, name):
    svg = draw(name, results(explanation=EXPLANATION))
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_bars_are_in_the_order_of_the_rise_of_the_loss(results):
    with style.applied():
        figure = explanation_figures.importances(results(explanation=EXPLANATION))
    left = figure.axes[0]
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "out_degree (a)", "ordering_fraction", "in_degree (a)"
    ]  # fmt: skip
    assert [bar.get_width() for bar in left.containers[1]] == [0.5, 0.25, -0.01]
    assert [text for text in texts(figure)[3:] if text] == [
        "the 2 correlated features (a)",
        "all 3 node features",
    ]


def test_many_features_and_long_names_stay_legible(results):
    names = [f"{LONG_NAME}{k}" for k in range(30)] + [MARKUP] * 30
    many = [feature_entry([name], 1 / (k + 1)) for k, name in enumerate(names)]
    importances = {**EXPLANATION["importances"], "features": many, "correlated": [], "all": []}
    run = results(explanation={**EXPLANATION, "importances": importances})
    with style.applied():
        figure = explanation_figures.importances(run)
        figure.canvas.draw()
        axes = figure.axes[0]
        boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert len(boxes) == explanation_figures.MOST_FEATURES
    assert "of 60" in axes.get_title(loc="left")
    assert all(upper.y0 >= lower.y1 - 3 for upper, lower in pairwise(boxes))


def test_what_is_not_there_is_said(results):
    none = {
        **EXPLANATION,
        "importances": {**EXPLANATION["importances"], "features": [], "correlated": [], "all": []},
        "invariants": {**EXPLANATION["invariants"], "heads": [], "left_out": "no order"},
    }
    run = results(explanation=none)
    for name, said in (("importances", "no features"), ("invariants", "no order")):
        with style.applied():
            figure = getattr(explanation_figures, name)(run)
        assert said in " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def test_a_point_for_the_model_and_each_ablation(results):
    run = results(ablations=ABLATIONS)
    assert ElementTree.fromstring(draw("ablations", run)).tag.endswith("svg")
    with style.applied():
        [axes] = explanation_figures.ablations(run).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "model", "without edges", "edges reversed"
    ]  # fmt: skip
    points = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert points == [0.7, 0.5, 0.7]


def test_several_targets_have_a_panel_each_and_none_a_sentence(results):
    [target] = ABLATIONS["targets"]
    several = {**ABLATIONS, "targets": [target, {**target, "name": LONG_NAME}]}
    with style.applied():
        assert len(explanation_figures.ablations(results(ablations=several)).axes) == 2
    none = {**ABLATIONS, "targets": [{**target, "model": None, "ablations": {}}]}
    with style.applied():
        assert explanation_figures.ablations(results(ablations=none)).texts
