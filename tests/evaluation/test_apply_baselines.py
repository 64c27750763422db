"""Baselines on further sets: compared with scikit-learn on the same features."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qgpipe.baselines.features import INVARIANTS
from qgpipe.baselines.fit import fit_baselines
from qgpipe.baselines.invariants import invariants
from qgpipe.causets.writers.generate import generate_store
from qgpipe.config.resolve import resolve_config
from qgpipe.data.preprocessing.part import preprocess_part
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import open_part
from qgpipe.evaluation.apply_baselines import apply_baselines
from qgpipe.system.files import write_json

CLASSES = ["merged", "polynomial", "kr"]
ANTICHAIN = {"type": "percolation", "name": "antichain", "kwargs": {"probability": 0.0}}
METHODS = ["constant", "myrheim_meyer", "linear", "two_order"]  # boosting takes longest
NUM_TRAIN, NUM_TEST, NUM_SET = 60, 9, 24


def generated(path, num_samples, seed, classes, **more):
    section = {"seed": seed, "num_samples": num_samples, "size": [20, 30], "classes": classes}
    generate_store({**section, "layout": "stacked", "stores": ["a"], **more}, "a", path)
    return path


@pytest.fixture
def applied(tmp_path, minimal):
    """A function of a target and a set: the file of its scores, and packed graphs of both.

    ``reader`` is laid over the reader of the training set for the set.
    """

    def apply(target, *, classes=CLASSES, name="set", reader=None, baseline=None):
        def configured(**kwargs):
            kwargs = {"node_features": [], "target": target, **kwargs}
            typed = {"type": "!pyobject qgpipe.CausalSetReader", "kwargs": kwargs}
            store = generated(tmp_path / f"{name}.zarr", NUM_SET, 7, classes)
            return resolve_config(
                minimal
                | {
                    "data": {"files": ["a.zarr"], "reader": typed, "chunksize": 10},
                    "evaluate": {"sets": {name: {"file": str(store)}}},
                    "baseline": baseline or {"methods": METHODS},
                }
            )

        config, n = configured(), NUM_TRAIN + NUM_TEST
        store, part = generated(tmp_path / "a.zarr", n, 1, CLASSES), tmp_path / "a.safetensors"
        preprocess_part(config, store, "a", 0, n, part)
        facts = {"name": "a", "path": str(store), "layout": "stacked", "role": "all"}
        write_dataset([part], [{**facts, "num_samples": n}], tmp_path / "dataset.json")
        sets = {"train": [*range(NUM_TRAIN)], "validation": [], "test": [*range(NUM_TRAIN, n)]}
        write_json(tmp_path / "split.json", {"format": 1, "num_graphs": n, **sets})
        data = (tmp_path / "dataset.json", tmp_path / "split.json")
        fit_baselines(config, *data, tmp_path / "answers", 1, tmp_path / "training_set")
        output = tmp_path / "scores.json"
        own = configured(**(reader or {}))
        apply_baselines(own, tmp_path / "training_set", name, output, 2)
        preprocess_part(own, tmp_path / f"{name}.zarr", name, 0, NUM_SET, tmp_path / "b")
        return json.loads(output.read_text()), open_part(part), open_part(tmp_path / "b")

    return apply


def values_of(graphs):
    return graphs.attributes["y"].values.reshape(-1)


def features_of(graphs):
    return invariants(graphs, INVARIANTS)


def test_classes_are_scored_as_scikit_learn_scores_them(applied):
    """The set is read in three chunks, and numbers its classes in another order."""
    content, train, of_set = applied("cset_type", classes=CLASSES[::-1])
    assert (content["num_graphs"], content["num_train"], content["fitted_to"]) == (24, 60, 60)
    (target,) = content["targets"]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(features_of(train)[:NUM_TRAIN], values_of(train)[:NUM_TRAIN])
    shares = model.predict_proba(features_of(of_set))
    truth = 2 - values_of(of_set)
    scores = target["baselines"]["linear"]
    assert scores["accuracy"] == accuracy_score(truth, shares.argmax(axis=1))
    assert scores["nll"] == pytest.approx(log_loss(truth, shares), rel=1e-4)
    assert scores["confidence"] == pytest.approx(shares.max(axis=1).mean(), abs=1e-5)
    assert list(scores["predicted"]) == CLASSES
    low, high = scores["accuracy_interval"]
    assert low < scores["accuracy"] <= high
    assert target["baselines"]["constant"]["num_known"] == NUM_SET
    assert target["left_out"] == {"myrheim_meyer": "the target is not a dimension"}


def test_a_class_that_the_training_set_has_not_counts_among_the_answers_alone(applied):
    content, *_ = applied("cset_type", classes=["merged", "percolation"])
    scores = content["targets"][0]["baselines"]["linear"]
    assert scores["num_known"] == NUM_SET // 2
    assert sum(scores["predicted"].values()) == pytest.approx(1)


def test_values_are_scored_as_scikit_learn_scores_them(applied):
    content, train, of_set = applied("ordering_fraction")
    (target,) = content["targets"]
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
    model.fit(features_of(train)[:NUM_TRAIN], values_of(train)[:NUM_TRAIN])
    found, truth = model.predict(features_of(of_set)), values_of(of_set)
    scores = target["baselines"]["linear"]
    assert scores["mae"] == pytest.approx(mean_absolute_error(truth, found), rel=1e-2)
    assert scores["r2"] == pytest.approx(r2_score(truth, found), abs=1e-3)
    usual = values_of(train)[:NUM_TRAIN].mean()
    assert target["baselines"]["constant"]["mae"] == pytest.approx(np.abs(truth - usual).mean())


def test_numbers_that_are_classes_are_also_scored_as_values(applied):
    content, train, of_set = applied("cset_size")
    truth = values_of(of_set)
    counts = np.bincount(values_of(train)[:NUM_TRAIN], minlength=values_of(train).max() + 1) + 1
    mean = (counts / counts.sum()) @ np.arange(len(counts))
    scores = content["targets"][0]["baselines"]["constant"]
    assert scores["as_value"]["mae"] == pytest.approx(np.abs(truth - mean).mean())


def test_without_relations_the_constant_is_left(applied):
    content, *_ = applied("cset_type", classes=[ANTICHAIN])
    (target,) = content["targets"]
    assert list(target["baselines"]) == ["constant"]
    assert target["left_out"]["linear+two_order"] == "the graphs have no edges: no invariants"


def test_with_other_features_methods_that_take_them_are_left_out(applied):
    content, *_ = applied("cset_type", reader={"graph_features": ["link_fraction"]})
    (target,) = content["targets"]
    why = "the graph features are not those of the training set"
    found = {name for name, reason in target["left_out"].items() if reason == why}
    assert found == {"linear", "linear+two_order"}
    assert {*target["baselines"]} == {"constant", "two_order"}


def test_without_a_target_there_are_answers_of_classes_alone(applied):
    content, *_ = applied("cset_type", reader={"target": []})
    scores = content["targets"][0]["baselines"]["linear"]
    assert (scores["num_known"], scores["accuracy"]) == (0, None)
    values, *_ = applied("ordering_fraction", reader={"target": []})
    assert values["targets"][0]["baselines"]["linear"] == {"kind": "other", "num_known": 0}


def test_what_the_training_set_cannot_be_asked_is_left_out(applied):
    content, *_ = applied([])
    assert content["targets"] == []
    assert content["left_out"]["linear"] == "the data has no target"


def test_only_the_methods_that_are_asked_for_are_applied(applied):
    content, *_ = applied("cset_type", baseline={"methods": ["constant"], "max_graphs": 20})
    assert list(content["targets"][0]["baselines"]) == ["constant"]
    assert (content["num_train"], content["fitted_to"]) == (60, 20)
