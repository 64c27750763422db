from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qgpipe.report.figures import style
from qgpipe.report.figures.run_figures import FIGURES


def shown_tick_labels(axis):
    """The labels of ticks within the view: matplotlib keeps others, and does not draw them."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    labels = [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
    return [label for label in labels if label.get_visible() and label.get_text()]


def test_nothing_in_the_figure_of_an_odd_run_is_clipped(odd_figure):
    name, results = odd_figure
    with style.applied():
        figure = FIGURES[name].function(results)
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert drawn.x0 >= -0.02 and drawn.x1 <= width + 0.02
    assert drawn.y0 >= -0.02 and drawn.y1 <= height + 0.02


def test_no_tick_label_of_an_odd_run_overlaps_the_next(odd_figure):
    name, results = odd_figure
    with style.applied():
        figure = FIGURES[name].function(results)
        figure.draw_without_rendering()
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            boxes = [label.get_window_extent() for label in shown_tick_labels(axis)]
            spans = sorted(tuple(getattr(box, f"interval{axis.axis_name}")) for box in boxes)
            assert all(end + 2 <= start for (_, end), (start, _) in pairwise(spans)), spans


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"])), st.integers(5, 40)
)
def test_wrapping_keeps_every_character(text, width):
    wrapped = style.wrapped(text, width)
    assert wrapped.replace("\n", "").replace(r"\$", "$") == text


@given(st.text("ab_- .", max_size=80), st.integers(5, 40))
def test_no_wrapped_line_is_wider_than_asked(text, width):
    assert all(len(line) <= width for line in style.wrapped(text, width).split("\n"))


def test_a_long_name_is_broken_after_an_underscore():
    assert style.wrapped("future_chain_length", 14) == "future_chain_\nlength"


def test_a_dollar_sign_starts_no_formula():
    assert style.wrapped("$a$", 10) == r"\$a\$"
