from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qgpipe.data.graphs.packed import Attribute
from qgpipe.data.storage.part_file import open_part, read_part_info, write_part
from qgpipe.errors import DataError
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.sensitivity import sensitivities

VALUES = np.array([0.1, 0.2, 0.2, 0.1, np.nan, np.nan, 1.0, 2.0, 3.0, 3.0], "f4")


@pytest.fixture
def sensitive(results: Callable[..., RunResults], tmp_path: Path) -> Callable[..., RunResults]:
    """A run whose graphs have the attribute ``made_of``."""

    def make(values: np.ndarray = VALUES, by: str = "made_of", **changes) -> RunResults:
        run = results(**changes)
        file = tmp_path / "a.safetensors"
        packed, info = open_part(file, mapped=False), read_part_info(file)
        packed.attributes["made_of"] = Attribute(values, "graph")
        write_part(file, packed, {key: info[key] for key in KEPT})
        return RunResults(run.run_folder, run.dataset_json, run.split_json, [by])

    return make


KEPT = ("store", "start", "stop", "num_filtered", "num_skipped", "skipped", "node_features",
        "graph_features", "class_names", "target")  # fmt: skip


def test_recall_is_of_each_class_by_the_values_that_its_sets_have(sensitive):
    (found,) = sensitivities(sensitive())
    assert (found.target, found.by, found.score) == ("cset_type", "made_of", "recall")
    assert [curve.name for curve in found.curves] == ["polynomial", "merged"]
    first, last = found.curves
    # Class 0: 0.1 is answered rightly once of two, 0.2 twice of two.
    np.testing.assert_allclose(first.value, [0.1, 0.2], rtol=1e-6)
    assert first.count.tolist() == [2, 2]
    assert first.score.tolist() == [0.5, 1.0]
    assert last.smallest.tolist() == last.largest.tolist() == [1, 2, 3]
    assert last.score.tolist() == [0, 0, 1]
    assert np.all((first.low >= 0) & (first.low <= first.score) & (first.high <= 1 + 1e-12))


def test_integers_that_are_not_known_are_left_out(sensitive):
    values = np.array([-1, -1, -1, -1, 2, 2, 0, 0, 0, 1])
    (found,) = sensitivities(sensitive(values))
    assert [curve.name for curve in found.curves] == ["destroyed", "merged"]
    assert found.curves[1].value.tolist() == [0, 1]


def test_many_values_are_put_into_bins_of_about_equal_size(sensitive):
    rows = 400
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, rows)
    predictions = {
        "id": [f"a/{k}" for k in range(rows)],
        "target": target,
        "output_0": 1.0 * (target == 0),
        "output_1": 1.0 * (target == 1),
        "output_2": np.zeros(rows),
        "predicted": target,
    }
    (found,) = sensitivities(sensitive(rng.random(rows), predictions=predictions))
    for curve in found.curves:
        assert 7 <= len(curve.count) <= 8
        assert curve.count.min() >= 20
        assert np.all(curve.largest[:-1] < curve.smallest[1:])
        assert np.all((curve.smallest <= curve.value) & (curve.value <= curve.largest))
        assert curve.score.tolist() == [1] * len(curve.count)
    assert sum(curve.count.sum() for curve in found.curves) == rows


def test_the_error_of_a_value_has_one_curve(sensitive):
    values = np.array([0.0, 1.0] * 5)
    target = np.linspace(0, 1, 10)
    predictions = {"id": [f"a/{k}" for k in range(10)], "target": target,
                   "output_0": target + np.where(values == 1, 0.5, 0.25)}  # fmt: skip
    metrics = {"task": "regression", "class_names": None, "confusion_matrix": None}
    run = sensitive(values, predictions=predictions, metrics=metrics)
    (found,) = sensitivities(run)
    assert found.score == "mean absolute error"
    (curve,) = found.curves
    np.testing.assert_allclose(curve.score, [0.25, 0.5])


def test_an_attribute_that_graphs_do_not_have_is_an_error(sensitive):
    with pytest.raises(DataError, match="have no 'flips' of one number each; make it again"):
        sensitivities(sensitive(by="flips"))


def test_no_attribute_gives_no_curves(results):
    assert sensitivities(results()) == []
