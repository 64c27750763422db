from __future__ import annotations

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.columns import choose_columns
from qgpipe.errors import DataError


@pytest.fixture
def store(write_stacked, causal_sets):
    changes = {
        "degrees": np.zeros((7, 12, 2), "f4"),
        "dimension": np.zeros(7, "f4"),
        "abundances": np.zeros((7, 3), "f4"),
        "names": np.array(["x"] * 7, dtype="U1"),
    }
    return open_store(write_stacked(causal_sets, changes=changes))


def test_usual_names_are_found(store):
    columns = choose_columns(store)
    assert columns.adjacency.name == "adjacency_matrix"
    assert columns.size.name == "cset_size"
    assert columns.node_features == ["max_pathlens_future", "max_pathlens_past"]
    assert [a.name for a in columns.target] == ["cset_type"]
    assert columns.graph == ()


def test_usual_names_are_found_in_groups(write_groups, causal_sets):
    columns = choose_columns(open_store(write_groups(causal_sets)))
    assert columns.adjacency.name == "adj"
    assert columns.size is None
    assert columns.node_features == ["max_pathlens_future", "max_pathlens_past"]
    assert [a.name for a in columns.target] == ["cset_type"]


def test_the_other_spelling_of_path_lengths_is_found(write_stacked, causal_sets):
    changes = {
        "max_pathlens_future": None,
        "max_pathlens_past": None,
        "max_pathlen_future": np.zeros((7, 12), "f4"),
        "max_pathlen_past": np.zeros((7, 12), "f4"),
        "cset_type": None,
    }
    columns = choose_columns(open_store(write_stacked(causal_sets, changes=changes)))
    assert columns.node_features == ["max_pathlen_future", "max_pathlen_past"]
    assert [a.name for a in columns.target] == ["manifold_like"]


def test_an_array_with_several_columns_names_each(store):
    columns = choose_columns(
        store, node_features=["degrees", "max_pathlens_past"], graph_features=["abundances"]
    )
    assert columns.node_features == ["degrees[0]", "degrees[1]", "max_pathlens_past"]
    assert columns.graph_features == ["abundances[0]", "abundances[1]", "abundances[2]"]


def test_one_name_may_stand_without_a_list(store):
    columns = choose_columns(store, node_features="max_pathlens_past", graph_features="dimension")
    assert columns.node_features == ["max_pathlens_past"]
    assert columns.graph_features == ["dimension"]


def test_an_empty_list_means_none(store):
    columns = choose_columns(store, node_features=[], target=[])
    assert (columns.node, columns.target) == ((), ())


def test_an_unknown_name_is_an_error_with_the_nearest_one(store):
    with pytest.raises(
        DataError, match=r"no array 'max_pathlen_past'; did you mean 'max_pathlens_past'\?"
    ):
        choose_columns(store, node_features=["max_pathlen_past"])


def test_without_usual_node_features_the_arrays_are_listed(write_stacked, causal_sets):
    changes = {"max_pathlens_future": None, "max_pathlens_past": None}
    store = open_store(write_stacked(causal_sets, changes=changes))
    with pytest.raises(DataError, match=r"no node features.*name them with 'node_features'"):
        choose_columns(store)


def test_without_a_usual_target_the_arrays_are_listed(write_stacked, causal_sets):
    store = open_store(
        write_stacked(causal_sets, changes={"cset_type": None, "manifold_like": None})
    )
    with pytest.raises(DataError, match=r"there is no target.*'target'.*\(\[\] for none\)"):
        choose_columns(store)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"node_features": ["dimension"]}, r"expected shape \(7, 12\) or \(7, 12, k\), got \(7,\)"),
        ({"graph_features": ["degrees"]}, r"expected shape \(7,\) or \(7, k\), got \(7, 12, 2\)"),
        ({"size": "dimension"}, "sizes have to be integers, not float32"),
        ({"target": "names"}, "expected numbers, got text; store a number for each"),
        ({"class_names": ["a"], "target": "dimension"}, "class names need one integer target"),
        ({"adjacency": "degrees"}, r"expected shape \(samples, n, n\), got \(7, 12, 2\)"),
    ],
)
def test_an_array_that_does_not_fit_is_named(store, arguments, message):
    with pytest.raises(DataError, match=message):
        choose_columns(store, **arguments)


def test_an_array_with_other_samples_than_the_adjacency_is_named(write_stacked, causal_sets):
    store = open_store(write_stacked(causal_sets, changes={"height": np.zeros(6, "f4")}))
    with pytest.raises(DataError, match="'adjacency_matrix' has 7 samples, 'height' has 6"):
        choose_columns(store, graph_features=["height"])


def test_class_names_of_the_store_are_those_of_cset_type(write_stacked, causal_sets):
    attributes = {"class_names": ["a", "b", "c"]}
    store = open_store(write_stacked(causal_sets, attributes=attributes))
    assert choose_columns(store).class_names == ("a", "b", "c")
    assert choose_columns(store, target="manifold_like").class_names is None
    assert choose_columns(store, class_names=["x", "y", "z"]).class_names == ("x", "y", "z")


def test_class_names_of_an_array_are_its_own(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    array = zarr.open_group(path, mode="r+")["manifold_like"]
    array.attrs["class_names"] = ["random", "manifold"]
    columns = choose_columns(open_store(path), target="manifold_like")
    assert columns.class_names == ("random", "manifold")


def test_class_names_are_never_guessed(store):
    assert choose_columns(store).class_names is None
