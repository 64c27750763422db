import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from qgpipe.report.figures import style
from qgpipe.report.figures.curves import learning_rate, loss, metrics

HISTORY = {
    "epoch": [1, 2, 3],
    "train_loss_avg": [1.0, 0.7, 0.5],
    "train_loss_min": [0.8, 0.5, 0.4],
    "train_loss_max": [1.3, 0.9, 0.8],
    "lr": [0.1, 0.1, 0.1],
}


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_the_loss_curves_are_the_columns_of_the_history(results):
    drawn = lines(loss(results()).axes[0])
    assert drawn["training"].get_xydata().tolist() == [[1, 1.0], [2, 0.7], [3, 0.5]]
    assert drawn["validation"].get_xydata().tolist() == [[1, 1.1], [2, 0.6], [3, 0.8]]


def test_a_metric_that_is_called_loss_avg_is_drawn_among_the_metrics(results):
    losses = {f"val_loss_{which}": [0.9, 0.5, 0.7] for which in ("avg", "min", "max")}
    own = {"val_criterion_loss_avg": [1.1, 0.6, 0.8], "val_loss_std": [0.1, 0.2, 0.3]}
    found = results(history={**HISTORY, **losses, **own})
    assert lines(loss(found).axes[0])["validation"].get_ydata().tolist() == [1.1, 0.6, 0.8]
    assert [axes.get_title() for axes in metrics(found).axes] == ["loss_avg", "loss_std"]


def test_the_bands_reach_from_the_lowest_to_the_highest_loss(results):
    training = loss(results()).axes[0].collections[0].get_paths()[0].vertices
    assert {(1, 0.8), (1, 1.3), (3, 0.4), (3, 0.8)} <= {tuple(point) for point in training}


def test_the_best_epoch_is_the_one_in_the_summary(results):
    best = lines(loss(results(best_epoch=2)).axes[0])["best epoch (2)"]
    assert best.get_xdata() == [2, 2]


def test_no_epoch_is_marked_when_the_run_chose_none(results):
    assert not [name for name in lines(loss(results(best_epoch=None)).axes[0]) if "best" in name]


def test_training_and_validation_have_the_same_colours_everywhere(results):
    drawn = lines(loss(results()).axes[0])
    assert to_hex(drawn["training"].get_color()).upper() == style.SETS["train"]
    assert to_hex(drawn["validation"].get_color()).upper() == style.SETS["validation"]


def test_without_validation_only_the_training_loss_is_drawn(results):
    assert "validation" not in lines(loss(results(history=HISTORY)).axes[0])


def test_a_loss_over_several_decades_has_a_logarithmic_axis(results):
    history = {**HISTORY, "train_loss_avg": [100.0, 1.0, 0.01]}
    assert loss(results(history=history)).axes[0].get_yscale() == "log"


def test_a_negative_loss_has_a_linear_axis(results):
    history = {**HISTORY, "train_loss_avg": [100.0, 1.0, -0.01]}
    assert loss(results(history=history)).axes[0].get_yscale() == "linear"


def test_a_wide_band_does_not_flatten_the_curve(results):
    history = {**HISTORY, "train_loss_max": [1e9] * 3}
    bottom, top = loss(results(history=history)).axes[0].get_ylim()
    assert (1.0 - 0.5) / (top - bottom) > 0.3


@given(
    losses=st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=6),
    spread=st.floats(0, 1e12),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_mean_loss_lies_within_the_axis(results, losses, spread):
    history = {
        "epoch": range(1, len(losses) + 1),
        "train_loss_avg": losses,
        "train_loss_min": [value - spread for value in losses],
        "train_loss_max": [value + spread for value in losses],
        "lr": 0.1,
    }
    bottom, top = loss(results(history=history, best_epoch=None)).axes[0].get_ylim()
    assert bottom < min(losses) and max(losses) < top


def test_a_single_epoch_shows_dots_and_a_bar_for_each_band(results):
    history = {name: values[:1] for name, values in HISTORY.items()}
    axes = loss(results(history=history)).axes[0]
    assert lines(axes)["training"].get_markevery().tolist() == [True]
    assert axes.collections[1].get_segments()[0].tolist() == [[1, 0.8], [1, 1.3]]


def test_a_lone_epoch_between_missing_ones_is_still_seen_in_a_long_history(results):
    values = np.ones(100)
    values[[49, 51]] = np.nan
    history = {"epoch": range(1, 101), **dict.fromkeys(list(HISTORY)[1:], values)}
    marked = lines(loss(results(history=history)).axes[0])["training"].get_markevery()
    assert np.flatnonzero(marked).tolist() == [50]


def test_each_metric_has_a_panel_with_its_column(results):
    history = {**HISTORY, "val_f1": [0.1, 0.5, 0.4], "val_mcc": [0.0, np.inf, 0.2]}
    panels = {axes.get_title(): axes for axes in metrics(results(history=history)).axes}
    assert list(panels) == ["f1", "mcc"]
    assert lines(panels["f1"])["validation"].get_ydata().tolist() == [0.1, 0.5, 0.4]
    np.testing.assert_equal(lines(panels["mcc"])["validation"].get_ydata(), [0.0, np.nan, 0.2])


def test_a_metric_that_is_never_a_number_says_so(results):
    figure = metrics(results(history={**HISTORY, "val_f1": ["none"] * 3}))
    assert "no finite value" in texts(figure)


def test_a_run_without_validation_says_that_it_has_no_metrics(results):
    assert "no validation set" in texts(metrics(results(history=HISTORY)))[0].replace("\n", " ")


def test_a_run_without_monitors_names_the_key_that_would_give_some(results):
    validated = {name.replace("train_", "val_"): values for name, values in HISTORY.items()}
    figure = metrics(results(history={**validated, **HISTORY}))
    assert "evaluator_tasks" in texts(figure)[0]


@pytest.mark.parametrize(
    ("rates", "scale"),
    [
        ([0.1, 0.1, 0.1], "linear"),
        ([0.1, 0.01, 0.001], "log"),
        ([0.1, 0.05, 1e-19], "linear"),
        ([0.0, 0.05, 0.1], "linear"),
    ],
    ids=["constant", "steps", "annealed to zero", "warmed up from zero"],
)
def test_the_learning_rate_is_logarithmic_if_it_varies_away_from_zero(results, rates, scale):
    axes = learning_rate(results(history={**HISTORY, "lr": rates})).axes[0]
    assert axes.get_yscale() == scale
    assert lines(axes)["learning rate"].get_ydata().tolist() == rates


@pytest.mark.parametrize("draw", [loss, metrics, learning_rate])
def test_a_history_without_epochs_says_so(results, draw):
    figure = draw(results(history={name: [] for name in HISTORY}))
    assert texts(figure) == ["No epoch was finished."]
