"""Classes that are counted from 1, or with gaps."""

import json

import numpy as np
import pytest

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.data.storage.manifest import read_dataset, write_dataset
from qgpipe.data.storage.part_file import write_part
from qgpipe.errors import ConfigError, DataError

STORED = np.array([9, 1, 2, 9, 1, 1, 2])
CLASSES = [1, 2, 9]
NUMBERS = [2, 0, 1, 2, 0, 0, 1]


@pytest.fixture(params=["stacked", "groups"])
def path(request, causal_sets, write_stacked, write_groups):
    causal_sets.types = STORED
    return (write_stacked if request.param == "stacked" else write_groups)(causal_sets)


def read(path, **kwargs):
    store = open_store(path)
    return CausalSetReader(**kwargs).read(store, 0, store.num_samples)


def names(path, **kwargs):
    return CausalSetReader(**kwargs).describe(open_store(path))["class_names"]


def test_values_become_class_numbers_in_the_given_order(path):
    assert read(path, classes=CLASSES).attributes["y"].values.tolist() == NUMBERS
    backwards = read(path, classes=CLASSES[::-1]).attributes["y"].values
    assert backwards.tolist() == [2 - number for number in NUMBERS]
    assert read(path).attributes["y"].values.tolist() == STORED.tolist()


def test_what_is_kept_stays_as_it_is_stored(path):
    kept = read(path, classes=CLASSES, keep=["cset_type"]).attributes["cset_type"].values
    assert kept.tolist() == STORED.tolist()


def test_classes_are_named_after_their_values_unless_they_have_names(path):
    assert names(path, classes=CLASSES) == ["1", "2", "9"]
    assert names(path, classes=CLASSES, class_names=["a", "b", "c"]) == ["a", "b", "c"]


def test_names_by_stored_value_are_kept(causal_sets, write_stacked):
    causal_sets.types = STORED
    path = write_stacked(causal_sets, attributes={"class_names": [f"n{i}" for i in range(10)]})
    assert names(path, classes=CLASSES) == ["n1", "n2", "n9"]


def test_too_few_names_are_refused(path):
    with pytest.raises(DataError, match="2 class names for the 3 classes"):
        read(path, classes=CLASSES, class_names=["a", "b"])


def test_a_value_that_is_not_listed_is_a_bad_sample(path):
    with pytest.raises(DataError, match=r"sample 0.*the value 9 is none of 'classes' \[1, 2\]"):
        read(path, classes=[1, 2])
    store = open_store(path)
    bad = BadSamples(store, skip=True)
    packed = CausalSetReader(classes=[1, 2]).read(store, 0, 7, bad=bad)
    assert sorted(bad.reasons) == [0, 3]
    assert packed.attributes["y"].values.tolist() == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("given", [[1, 1], [1], "12", [1, "a"], [0.5, 1]])
def test_classes_have_to_be_different_integers(given):
    with pytest.raises(ConfigError, match=r"kwargs\.classes: expected different integers"):
        CausalSetReader(classes=given)


def test_classes_need_one_integer_target(path):
    with pytest.raises(DataError, match="'classes' needs one integer target"):
        read(path, classes=CLASSES, target=[])


def test_the_list_of_parts_says_what_was_what(path, tmp_path):
    store = open_store(path)
    reader = CausalSetReader(classes=CLASSES)
    span = {"store": "s", "start": 0, "stop": 7, "num_filtered": 0, "num_skipped": 0, "skipped": []}
    part = tmp_path / "s-000000000.safetensors"
    write_part(part, reader.read(store, 0, 7), {**span, **reader.describe(store)})
    listed = {"name": "s", "path": "s", "layout": "stacked", "num_samples": 7, "role": "all"}
    write_dataset([part], [listed], tmp_path / "dataset.json")
    assert read_dataset(tmp_path / "dataset.json")["classes"] == CLASSES
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["class_counts"] == {"0": 3, "1": 2, "2": 2}
