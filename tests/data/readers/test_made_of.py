"""What generated causal sets were made of, as the built-in reader gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qgpipe.causets.writers.generate import generate_store
from qgpipe.causets.writers.samples import SampleSource
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import DataError


@pytest.fixture(params=["stacked", "groups"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable:
    """Reads generated causal sets of the given classes; also gives these."""

    def make(classes: list, **names):
        section = {"seed": 3, "layout": request.param, "stores": ["a"], "num_samples": 12}
        section |= {"size": [5, 9], "classes": classes}
        generate_store(section, "a", tmp_path / "a.zarr")
        reader = CausalSetReader(node_features="in_degree", **names)
        source = SampleSource(section, "a")
        sets = [source.causal_set(i) for i in range(12)]
        return reader.read(open_store(tmp_path / "a.zarr"), 0, 12).attributes, sets

    return make


SPACETIMES = [{"type": "polynomial", "kwargs": {"positive": True}}, "de_sitter"]


def test_curvature_of_elements_is_a_target(made):
    attributes, sets = made(SPACETIMES, target="scaled_curvature")
    expected = np.concatenate([one.of_elements["scaled_curvature"] for one in sets])
    np.testing.assert_array_equal(attributes["y"].values, np.float32(expected))
    assert attributes["y"].kind == "node"


def test_coordinates_are_a_target_of_several_columns(made):
    attributes, sets = made(["polynomial", "destroyed"], target="coordinates")
    expected = np.concatenate([one.of_elements["coordinates"] for one in sets])
    np.testing.assert_array_equal(attributes["y"].values, np.float32(expected))


def test_whether_an_element_was_inserted_is_a_class(made):
    attributes, sets = made(["merged", "joined"], target="inserted")
    expected = np.concatenate([one.of_elements["inserted"] for one in sets])
    assert attributes["y"].values.dtype == np.int64
    np.testing.assert_array_equal(attributes["y"].values, expected)


def test_numbers_of_causal_sets_are_targets_features_and_kept(made):
    attributes, sets = made(
        ["complex_topology", {"type": "complex_topology", "name": "b", "kwargs": {"genus": 2}}],
        target="genus",
        graph_features=["factor_decay", "mean_scaled_curvature"],
        keep=["cuts", "vertical_cuts"],
    )
    assert attributes["y"].values.tolist() == [one.made_of["genus"] for one in sets]
    expected = [[one.made_of["factor_decay"], one.made_of["mean_scaled_curvature"]] for one in sets]
    np.testing.assert_allclose(attributes["graph_features"].values, expected, rtol=1e-6)
    assert attributes["cuts"].values.shape == (12, 40)
    assert np.isnan(attributes["cuts"].values).any()  # not all have ten slits


def test_a_target_that_some_do_not_have_is_an_error(made):
    with pytest.raises(DataError, match="array 'flip_share': the value nan is not finite"):
        made(["destroyed", "kr"], target="flip_share")


def test_what_is_only_kept_may_be_unknown(made):
    attributes, _ = made(["destroyed", "kr"], target="cset_type", keep="flip_share")
    unknown = np.isnan(attributes["flip_share"].values)
    assert unknown.tolist() == [False, True] * 6


class Own(CausalSetReader):
    """A reader of a user's, whose methods have to be called."""


def test_a_reader_of_ones_own_stays_one_whatever_it_keeps():
    reader = Own(keep="genus")
    assert reader.keeping() is reader
    more = reader.keeping("cuts", "dimension")
    assert type(more) is Own
    assert more.names["keep"] == ["genus", "cuts", "dimension"]
    assert reader.names["keep"] == ["genus"]
