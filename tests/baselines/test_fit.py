import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qgpipe.baselines.answers import read_answers
from qgpipe.baselines.features import INVARIANTS
from qgpipe.baselines.fit import fit_baselines
from qgpipe.baselines.invariants import invariants
from qgpipe.causets import observables
from qgpipe.causets.features import compute
from qgpipe.causets.graph_observables import GRAPH_OBSERVABLES
from qgpipe.causets.orders import Orders
from qgpipe.data.graphs.packed import Attribute

from .conftest import DIMENSIONS, NUM_GRAPHS, SPLIT, pack

TEST = np.array(SPLIT["test"])
TRAIN = np.array(SPLIT["train"])


@pytest.fixture
def fitted(write_data, resolved, tmp_path):
    """A function of graphs and names: what the baselines answer."""

    def fit(graphs, split=SPLIT, section=None, **names):
        data = write_data(graphs, split, **names)
        fit_baselines(resolved(**(section or {})), *data, tmp_path / "answers", 2)
        return read_answers(tmp_path / "answers")

    return fit


def accuracy(one, method):
    return (one.outputs[method].argmax(axis=1) == one.target).mean()


def test_classes_of_dimensions_are_told_apart(causets, fitted):
    names = {"target": "cset_type", "class_names": ["flat_2d", "flat_3d"]}
    found = fitted(pack(causets, y=DIMENSIONS - 2), **names)
    (one,) = found.targets
    assert (one.name, one.num_classes) == ("cset_type", 2)
    assert found.ids == [f"a/{i}" for i in TEST]
    assert (one.target == DIMENSIONS[TEST] - 2).all()
    assert (found.num_train, found.fitted_to) == (80, 80)
    for method in ("myrheim_meyer", "linear", "boosting"):
        assert one.outputs[method].shape == (30, 2)
        assert one.outputs[method].sum(axis=1) == pytest.approx(1)
        assert accuracy(one, method) > 0.9
    counts = np.bincount(DIMENSIONS[TRAIN] - 2) + 1
    assert one.outputs["constant"] == pytest.approx(np.tile(counts / counts.sum(), (30, 1)))


def test_the_dimension_of_myrheim_and_meyer_is_not_fitted(causets, fitted):
    (one,) = fitted(pack(causets, y=DIMENSIONS.astype(np.float32)), target="dimension").targets
    expected = [compute("myrheim_meyer_dimension", Orders.of(causets[i]))[0, 0] for i in TEST]
    assert one.num_classes is None
    assert one.outputs["myrheim_meyer"] == pytest.approx(expected)
    assert one.outputs["constant"] == pytest.approx([DIMENSIONS[TRAIN].mean()] * 30)
    assert np.abs(one.outputs["linear"] - one.target).mean() < 0.3
    assert set(one.left_out) >= {"two_order"}


def test_a_class_may_be_the_dimension_itself(causets, fitted):
    (one,) = fitted(pack(causets, y=DIMENSIONS), target="dimension").targets
    assert one.num_classes == 4
    assert accuracy(one, "myrheim_meyer") > 0.9


def test_the_linear_model_is_that_of_scikit_learn(causets, fitted):
    graphs = pack(causets, y=DIMENSIONS - 2)
    (one,) = fitted(graphs).targets
    features = invariants(graphs, INVARIANTS)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(features[TRAIN], DIMENSIONS[TRAIN] - 2)
    assert one.outputs["linear"] == pytest.approx(model.predict_proba(features[TEST]), abs=1e-5)


def test_the_same_comes_out_again(causets, write_data, resolved, tmp_path):
    data = write_data(pack(causets, y=DIMENSIONS))
    for name, threads in (("a", 1), ("b", 2)):
        fit_baselines(resolved(), *data, tmp_path / name, threads)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_of_many_graphs_some_are_drawn(causets, fitted):
    graphs = pack(causets, y=DIMENSIONS - 2)
    found = fitted(graphs, section={"max_graphs": 20})
    assert (found.num_train, found.fitted_to) == (80, 20)
    places = [int(name.removeprefix("a/")) for name in found.ids]
    assert len({*places}) == 20
    assert {*places} <= {*TEST}
    assert (found.targets[0].target == DIMENSIONS[places] - 2).all()
    counts = np.bincount(DIMENSIONS[TRAIN] - 2) + 1
    assert found.targets[0].outputs["constant"][0] == pytest.approx(counts / counts.sum())


def test_only_the_methods_and_features_that_are_asked_for_are_used(causets, fitted):
    section = {"methods": ["linear"], "features": ["link_fraction", "in_degree"]}
    found = fitted(pack(causets, y=DIMENSIONS - 2), section=section)
    assert found.features == ["link_fraction", "in_degree_mean", "in_degree_deviation"]
    assert list(found.targets[0].outputs) == ["linear"]


def test_links_are_read_as_what_they_are(causets, fitted):
    links = [Orders.of(c).links[0] for c in causets]
    of_links, of_relations = (
        fitted(pack(some, y=DIMENSIONS - 2)).targets[0] for some in (links, causets)
    )
    assert of_links.left_out == of_relations.left_out
    for method, outputs in of_links.outputs.items():
        np.testing.assert_array_equal(outputs, of_relations.outputs[method])


def undirected(causets):
    return [c | c.T for c in causets]


def with_shortcuts(causets):
    """Neither all relations nor the links alone."""
    kept = []
    for c in causets:
        links = Orders.of(c).links[0]
        i, j = np.argwhere(c & ~links)[0]
        links[i, j] = True
        kept.append(links)
    return kept


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (undirected, "edges run in circles, or in both directions: no invariants"),
        (with_shortcuts, "edges are neither all relations nor the links alone: no invariants"),
        (lambda causets: [np.zeros_like(c) for c in causets], "the graphs have no edges"),
    ],
)
def test_graphs_that_are_no_causal_sets_get_a_constant_answer(causets, fitted, change, why):
    found = fitted(pack(change(causets), y=DIMENSIONS.astype(float)), target="dimension")
    (one,) = found.targets
    assert list(one.outputs) == ["constant"]
    assert found.features == []
    assert {m: why in one.left_out[m] for m in ("myrheim_meyer", "linear", "boosting")} == {
        "myrheim_meyer": True, "linear": True, "boosting": True,
    }  # fmt: skip


def test_graph_features_of_their_own_are_used_without_invariants(causets, fitted):
    own = (DIMENSIONS[:, None] + np.random.default_rng(0).normal(0, 0.1, (NUM_GRAPHS, 1))).astype(
        np.float32
    )
    own[0] = np.nan
    graphs = pack(undirected(causets), y=DIMENSIONS - 2, graph_features=own)
    found = fitted(graphs, graph_features=["height"])
    assert found.features == ["graph feature height"]
    assert accuracy(found.targets[0], "linear") == 1
    assert accuracy(found.targets[0], "boosting") == 1


def test_each_of_several_targets_has_its_baselines(causets, fitted):
    y = np.stack([DIMENSIONS, [len(c) for c in causets]], axis=1).astype(np.float32)
    found = fitted(pack(causets, y=y), target=["dimension", "size"])
    assert [one.name for one in found.targets] == ["dimension", "size"]
    assert "myrheim_meyer" in found.targets[0].outputs
    assert found.targets[1].left_out["myrheim_meyer"] == "the target is not a dimension"


def test_targets_of_elements_have_none(causets, fitted):
    values = Attribute(np.zeros(sum(map(len, causets)), np.float32), "node")
    found = fitted(pack(causets, y=values))
    assert found.targets == []
    assert found.left_out["linear"] == "the data has no target of whole graphs"
    without = fitted(pack(causets))
    assert without.left_out["constant"] == "the data has no target"


@pytest.mark.parametrize("empty", ["train", "test"])
def test_without_graphs_there_are_none(causets, fitted, empty):
    found = fitted(pack(causets, y=DIMENSIONS), split={**SPLIT, empty: []})
    assert found.targets == []
    assert found.left_out["linear"] == "the training or the test set is empty"


def test_a_single_class_is_no_task(causets, fitted):
    (one,) = fitted(pack(causets, y=np.zeros(NUM_GRAPHS, np.int64))).targets
    assert one.left_out["linear"] == "the training set has only one class"
    assert one.outputs["constant"].shape == (30, 1)


def test_graphs_without_a_target_are_not_fitted_to(causets, fitted):
    y = DIMENSIONS - 2
    y[::2] = -100
    values = DIMENSIONS.astype(np.float32)
    values[::2] = np.nan
    (of_classes,), (of_values,) = (fitted(pack(causets, y=some)).targets for some in (y, values))
    assert of_classes.num_classes == 2
    assert of_classes.outputs["linear"][1::2].argmax(axis=1).tolist() == y[TEST][1::2].tolist()
    assert np.isfinite(of_values.outputs["boosting"]).all()


def test_many_whole_numbers_are_values(causets, fitted):
    (one,) = fitted(pack(causets, y=np.arange(NUM_GRAPHS) * 7)).targets
    assert one.num_classes is None


@pytest.fixture
def two_order(monkeypatch):
    """A test of whether a causal set is a 2-order, as an observable: here, by its dimension."""
    find = observables.find
    known = observables.Observable("two_order", "two_order", "graph")
    for module in ("qgpipe.causets.observables", "qgpipe.causets.features"):
        monkeypatch.setattr(f"{module}.find", lambda n: known if n == "two_order" else find(n))
    monkeypatch.setitem(
        GRAPH_OBSERVABLES,
        "two_order",
        lambda orders: (compute("myrheim_meyer_dimension", orders)[:, 0] < 2.5).astype(float),
    )


@pytest.mark.usefixtures("two_order")
def test_the_two_order_test_is_a_baseline_and_a_feature(causets, fitted):
    (one,) = fitted(pack(causets, y=DIMENSIONS - 2)).targets
    assert {"two_order", "linear+two_order", "boosting+two_order"} <= one.outputs.keys()
    assert accuracy(one, "two_order") > 0.9
    assert len(np.unique(one.outputs["two_order"], axis=0)) == 2


@pytest.mark.usefixtures("two_order")
def test_the_two_order_test_alone_has_to_tell_classes_apart(causets, fitted):
    y = np.random.default_rng(3).permutation(DIMENSIONS - 2)
    (one,) = fitted(pack(causets, y=y)).targets
    assert "not told apart" in one.left_out["two_order"]
    assert "linear+two_order" in one.outputs
    (values,) = fitted(pack(causets, y=y.astype(float))).targets
    assert values.left_out["boosting+two_order"] == "the target is not a class"
