import numpy as np
import pytest

from qgpipe.errors import DataError
from qgpipe.report.figures.dataset_figures import sizes, targets

DATASET = {"num_graphs": 5, "target": ["mass", "dimension"], "class_names": None}
REAL = {"class_counts": None}


def bars(figure):
    return {
        container.get_label(): [bar.get_width() for bar in container]
        for container in figure.axes[0].containers
    }


def histogram(counts, edges, graphs=5):
    found = {"min": 3, "max": 6, "mean": 4.5, "histogram": {"counts": counts, "edges": edges}}
    return {**DATASET, "num_graphs": graphs, "sizes": found}


def test_the_bars_are_the_class_counts_of_the_split(results):
    assert bars(targets(results())) == {
        "training": [16, 15, 17],
        "validation": [2, 3, 1],
        "test": [2, 0, 4],
    }


def test_the_bars_bear_class_names_from_the_top_down(results):
    axes = targets(results()).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["polynomial", "destroyed", "merged"]
    assert axes.yaxis_inverted()


def test_codes_are_sorted_as_numbers_and_named_as_such_beyond_the_names(results):
    split = {"class_counts": {"train": {"10": 1, "2": 3, "0": 2}}}
    figure = targets(results(split=split))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["polynomial", "merged", "class 10"]
    assert bars(figure) == {"training": [2, 3, 1]}


def test_a_set_without_graphs_has_no_bars(results):
    split = {"class_counts": {"train": {"0": 1}, "validation": {}, "test": {"0": 1}}}
    assert list(bars(targets(results(split=split)))) == ["training", "test"]


def test_real_targets_are_counted_as_numpy_counts_them(results):
    values = np.random.default_rng(0).normal(size=200)
    table = {"id": range(201), "target": [*values, np.nan], "output_0": 0.0}
    axes = targets(results(split=REAL, predictions=table)).axes[0]
    drawn = axes.patches[0].get_data()
    np.testing.assert_array_equal(drawn.values, np.histogram(values, bins=drawn.edges)[0])
    assert drawn.values.sum() == 200


def test_integers_that_are_values_have_a_histogram(results):
    metrics = {"task": "regression", "num_graphs": 3, "class_names": None, "confusion_matrix": None}
    table = {"id": ["a/0", "a/1", "a/2"], "target": [10, 20, 145]}
    split = {"class_counts": {"train": {"10": 1, "20": 3, "145": 2}}}
    axes = targets(results(split=split, metrics=metrics, predictions=table)).axes[0]
    assert axes.get_ylabel() == "number of test graphs"


def test_each_real_target_has_a_panel_with_its_name(results):
    table = {"id": range(2), "target_0": [0.0, 1.0], "target_1": [5.0, 6.0]}
    figure = targets(results(split=REAL, predictions=table, dataset=DATASET))
    assert [axes.get_xlabel() for axes in figure.axes] == ["mass", "dimension"]


def test_the_histogram_of_sizes_is_that_of_the_data_set(results):
    axes = sizes(results(dataset=histogram([2, 3], [3, 5, 7]))).axes[0]
    drawn = axes.patches[0].get_data()
    assert (drawn.values.tolist(), drawn.edges.tolist()) == ([2, 3], [3, 5, 7])
    assert axes.get_title() == "5 graphs of 3 to 6 elements"
    assert axes.lines[0].get_xdata() == [4.5, 4.5]


def test_a_histogram_with_too_few_edges_is_refused_with_its_file(results):
    with pytest.raises(DataError, match=r"dataset\.json: .* has 2 edges for 2 counts"):
        sizes(results(dataset=histogram([2, 3], [3, 5])))


def test_a_data_set_without_graphs_says_so(results):
    figure = sizes(results(dataset=histogram([], [], graphs=0)))
    assert figure.texts[0].get_text() == "The data set has no graphs."
