"""A model beside its ablations, against counts and means by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from qgpipe.baselines.statistics import difference_of_means
from qgpipe.explanation.ablations import comparison, judge


def classes(right, ids=None):
    """A table of two classes in which the answers of graphs are ``right`` or not."""
    target = np.arange(len(right)) % 2
    said = np.where(right, target, 1 - target)
    names = [f"a/{k}" for k in range(len(right))] if ids is None else ids
    return pd.DataFrame(
        {"id": names, "target": target, "output_0": 1.0 - said, "output_1": said * 1.0}
    )


def values(errors):
    target = np.linspace(-1, 1, len(errors))
    ids = [f"a/{k}" for k in range(len(errors))]
    return pd.DataFrame({"id": ids, "target": target, "output_0": target + errors})


def test_accuracies_and_mcnemars_test():
    model, other = np.ones(40, bool), np.ones(40, bool)
    model[:2], other[1:12] = False, False
    tables = {"model": classes(model), "no_edges": classes(other), "reversed_edges": classes(model)}
    [entry] = comparison(tables, "kind")
    assert (entry["name"], entry["measure"], entry["test"]) == (
        "kind",
        "accuracy",
        "McNemar, exact",
    )
    assert entry["model"]["value"] == pytest.approx(38 / 40)
    worse, same = entry["ablations"]["no_edges"], entry["ablations"]["reversed_edges"]
    assert worse["value"] == pytest.approx(29 / 40)
    assert worse["difference"] == pytest.approx((1 - 10) / 40)
    assert worse["p"] == pytest.approx(binomtest(1, 11).pvalue)
    assert worse["difference_low"] < worse["difference"] < worse["difference_high"] < 0
    assert worse["low"] < worse["value"] < worse["high"]
    assert worse["is"] == "worse"
    assert (same["difference"], same["p"], same["is"]) == (0, 1, "not different")


def test_errors_of_values_and_the_paired_bootstrap():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 60))
    [entry] = comparison({"model": values(first), "no_edges": values(3 * second)}, None)
    assert (entry["name"], entry["measure"]) == ("target 0", "mean absolute error")
    assert entry["model"]["value"] == pytest.approx(np.abs(first).mean(), rel=1e-5)
    found = entry["ablations"]["no_edges"]
    expected = difference_of_means(np.abs(3 * second), np.abs(first))
    assert found["difference"] == pytest.approx(expected.value, rel=1e-4)
    assert found["difference_low"] == pytest.approx(expected.low, rel=1e-4)
    assert found["is"] == "worse"


def test_an_ablation_that_is_better_is_called_so():
    model, other = np.zeros(40, bool), np.ones(40, bool)
    [entry] = comparison({"model": classes(model), "no_edges": classes(other)}, None)
    assert entry["ablations"]["no_edges"]["is"] == "better"
    errors = np.full(40, 0.5)
    [entry] = comparison({"model": values(errors), "no_edges": values(errors / 2)}, None)
    assert entry["ablations"]["no_edges"]["is"] == "better"


def test_graphs_are_matched_by_their_ids():
    right = np.array([True, False, True, True])
    ids = ["a/0", "a/1", "a/2", "a/3"]
    shuffled = classes(right, ids).iloc[[2, 0, 3, 1]]
    more = pd.concat([shuffled, classes(np.array([True]), ["b/9"])], ignore_index=True)
    [judged] = judge({"model": classes(right, ids), "no_edges": more}, None)
    assert judged.scores["no_edges"].tolist() == right.tolist()


def test_elements_count_as_a_mean_over_their_graph():
    table = pd.DataFrame(
        {
            "id": ["a/0"] * 4 + ["a/1"] * 2,
            "element": [0, 1, 2, 3, 0, 1],
            "target": [0, 1, 0, 1, 0, 1],
            "output_0": [1.0, 0, 0, 0, 1, 1],
            "output_1": [0.0, 1, 1, 1, 0, 0],
        }
    )
    [judged] = judge({"model": table}, "kind")
    assert judged.scores["model"].tolist() == [0.75, 0.5]
    [entry] = comparison({"model": table, "no_edges": table}, "kind")
    assert (entry["test"], entry["num_graphs"]) == ("paired bootstrap", 2)


def test_each_head_and_each_column_is_a_target():
    target = np.linspace(0, 1, 20)
    table = pd.DataFrame(
        {
            "id": [f"a/{k}" for k in range(20)],
            "target_0": np.arange(20) % 2,
            "target_1": target,
            "task0_output_0": 1.0 - np.arange(20) % 2,
            "task0_output_1": np.arange(20) % 2 * 1.0,
            "task1_output_0": target + 0.25,
        }
    )
    found = judge({"model": table}, ["kind", "size"])
    assert [(one.name, one.kind) for one in found] == [
        ("kind", "classification"), ("size", "regression")
    ]  # fmt: skip
    assert found[0].scores["model"].all()
    assert found[1].scores["model"] == pytest.approx(0.25)


def test_graphs_without_a_target_are_left_out():
    table = classes(np.ones(6, bool))
    table.loc[[1, 4], "target"] = -100
    [judged] = judge({"model": table}, None)
    assert judged.scores["model"].tolist() == [True] * 4
    assert comparison({"model": table.drop(columns="target")}, None) == []
