import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from qgpipe.errors import DataError
from qgpipe.report.figures import prediction as module
from qgpipe.report.figures.prediction import prediction

REGRESSION = {
    "task": "regression",
    "num_graphs": 4,
    "class_names": None,
    "confusion_matrix": None,
}
CLASSES = {"task": "classification", "num_graphs": 10, "class_names": None}


def sentence(figure):
    assert not figure.axes
    return figure.texts[0].get_text().replace("\n", " ")


def test_a_cell_says_its_count_and_its_share_of_the_row(results):
    axes = prediction(results()).axes[0]
    cells = [text.get_text().split("\n") for text in axes.texts]
    assert [int(count) for count, _ in cells] == [3, 1, 0, 0, 2, 0, 1, 1, 2]
    assert [share for _, share in cells[:3]] == ["75%", "25%", "0%"]


def test_the_colour_of_a_cell_is_its_share_of_the_row(results):
    shares = prediction(results()).axes[0].collections[0].get_array()
    np.testing.assert_allclose(shares, [[0.75, 0.25, 0], [0, 1, 0], [0.25, 0.25, 0.5]])


def test_rows_and_columns_bear_the_class_names(results):
    axes = prediction(results()).axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["polynomial", "destroyed", "merged"]


def test_the_true_class_runs_downwards(results):
    axes = prediction(results()).axes[0]
    assert axes.yaxis_inverted()
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")


def test_the_title_counts_the_diagonal(results):
    title = prediction(results()).get_suptitle()
    assert title == "7 of 10 test graphs (70.0%) classified correctly"


def test_classes_without_names_bear_their_codes(results):
    metrics = {**CLASSES, "confusion_matrix": [[1, 0], [0, 1]]}
    labels = prediction(results(metrics=metrics)).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["class 0", "class 1"]


def test_a_class_that_the_test_set_lacks_has_no_shares(results):
    metrics = {**CLASSES, "confusion_matrix": [[0, 0], [2, 2]]}
    axes = prediction(results(metrics=metrics)).axes[0]
    assert axes.texts[0].get_text() == "0"
    assert axes.collections[0].get_array().mask.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(("classes", "texts"), [(30, 900), (31, 0)])
def test_the_cells_of_many_classes_are_a_picture_without_texts(results, classes, texts):
    metrics = {**CLASSES, "confusion_matrix": np.eye(classes, dtype=int).tolist()}
    axes = prediction(results(metrics=metrics)).axes[0]
    assert len(axes.texts) == texts
    assert axes.collections[0].get_rasterized() == (texts == 0)


def test_many_classes_share_the_place_for_names(results):
    metrics = {**CLASSES, "confusion_matrix": np.eye(150, dtype=int).tolist()}
    figure = prediction(results(metrics=metrics))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[:3] == ["class 0", "class 5", "class 10"]
    assert max(figure.get_size_inches()) < 20


def test_a_matrix_that_is_not_square_is_refused_with_its_file(results):
    metrics = {**CLASSES, "confusion_matrix": [[1, 0]]}
    with pytest.raises(
        DataError, match=r"metrics\.json is damaged: .confusion_matrix. has not one row"
    ):
        prediction(results(metrics=metrics))


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({**CLASSES, "confusion_matrix": None}, "no confusion matrix"),
        ({**CLASSES, "confusion_matrix": [[0, 0], [0, 0]]}, "no graphs"),
        ({**CLASSES, "task": "other", "confusion_matrix": None}, "nothing to compare"),
    ],
)
def test_where_there_is_nothing_to_draw_a_sentence_says_why(results, metrics, words):
    assert words in sentence(prediction(results(metrics=metrics)))


def test_the_dots_are_targets_and_outputs(results):
    table = {"id": ["a/0", "a/1"], "target": [0.5, 2.0], "output_0": [0.25, 3.0]}
    axes = prediction(results(metrics=REGRESSION, predictions=table)).axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[0.5, 0.25], [2.0, 3.0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true cset_type", "predicted cset_type")


def test_graphs_without_a_finite_value_are_left_out_and_counted(results):
    table = {"id": range(3), "target": [0.0, 1.0, 2.0], "output_0": [0.0, np.nan, 2.0]}
    axes = prediction(results(metrics=REGRESSION, predictions=table)).axes[0]
    assert axes.get_title() == "R² = 1.000, 2 graphs\n1 not finite, left out"
    assert len(axes.collections[0].get_offsets()) == 2


def test_many_dots_become_a_picture(results):
    table = {"id": range(5000), "target": range(5000), "output_0": range(5000)}
    axes = prediction(results(metrics=REGRESSION, predictions=table)).axes[0]
    assert axes.collections[0].get_rasterized()


@pytest.mark.parametrize(
    "outputs", [("output_0", "output_1"), ("task0_output_0", "task1_output_0")]
)
def test_each_target_meets_the_output_that_predicts_it(results, outputs):
    table = {"id": [0], "target_0": [1.0], "target_1": [2.0], outputs[0]: [3.0], outputs[1]: [4.0]}
    figure = prediction(results(metrics=REGRESSION, predictions=table))
    dots = [axes.collections[0].get_offsets().tolist() for axes in figure.axes]
    assert dots == [[[1.0, 3.0]], [[2.0, 4.0]]]


def test_a_second_output_without_a_target_is_left_out(results):
    table = {"id": [0, 1], "target": [1.0, 2.0], "output_0": [1.0, 2.0], "output_1": [9.0, 9.0]}
    assert len(prediction(results(metrics=REGRESSION, predictions=table)).axes) == 1


def test_outputs_without_targets_say_so(results):
    table = {"id": [0], "output_0": [1.0]}
    figure = prediction(results(metrics=REGRESSION, predictions=table))
    assert "belongs to a target" in sentence(figure)


@given(
    st.lists(st.tuples(st.integers(-99, 99), st.floats(-99, 99)), min_size=2).filter(
        lambda pairs: len({target for target, _ in pairs}) > 1
    )
)
def test_the_coefficient_of_determination_agrees_with_scikit_learn(pairs):
    targets, outputs = np.array(pairs, dtype=float).T
    words = module._determination(targets, outputs)
    assert words == f"R² = {r2_score(targets, outputs):.3f}, {len(pairs):,} graphs"


def test_equal_targets_have_no_coefficient_of_determination():
    words = module._determination(np.ones(3), np.zeros(3))
    assert words == "R² undefined, 3 graphs"
