from __future__ import annotations

import hashlib

import numpy as np
import pytest
import zarr

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.registry import GENERATORS
from qgpipe.causets.writers.generate import generate_store
from qgpipe.causets.writers.samples import SampleSource
from qgpipe.errors import ConfigError

LAYOUTS = ["stacked", "groups"]


def noted(rng: np.random.Generator, n: int, of_elements: dict, made_of: dict) -> CausalSet:
    return CausalSet(np.zeros((n, n), bool), of_elements=of_elements, made_of=made_of)


def changing(rng: np.random.Generator, n: int, name: str) -> CausalSet:
    notes = {"weight": 0.5 if rng.random() < 0.5 else np.zeros(3)}
    return CausalSet(np.zeros((n, n), bool), made_of=notes if name == "shape" else {str(n): 1})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_sets_were_made_of_is_in_the_store(layout, section, tmp_path):
    three = {"type": "minkowski", "name": "flat3d", "kwargs": {"dimension": 3}}
    config = section(layout=layout, classes=["destroyed", three, "merged", "kr"])
    generate_store(config, "a", tmp_path / "a.zarr")
    root, source = zarr.open_group(tmp_path / "a.zarr", mode="r"), SampleSource(config, "a")
    for i in range(9):
        made = source.causal_set(i)
        n = len(made.relations)
        group = root if layout == "stacked" else root[f"cset_{i + 1}"]

        def stored(name: str, i=i, n=n, group=group) -> np.ndarray:
            values = group[name][i] if layout == "stacked" else group[name][...]
            return values[:n] if name == "coordinates" else np.ravel(values)

        if i % 4 == 0:
            assert stored("flip_share") == np.float32(made.made_of["flip_share"])
            np.testing.assert_array_equal(
                stored("coordinates")[:, :2], np.float32(made.of_elements["coordinates"])
            )
            assert np.isnan(stored("coordinates")[:, 2]).all()
            assert stored("insertion_size") == -1
        else:
            assert np.isnan(stored("flip_share"))
        assert stored("dimension") == [2, 3, 2, -1][i % 4]
        assert np.isnan(stored("coordinates")).all() == (i % 4 == 3)
        assert (stored("insertion_size") >= 1) == (i % 4 == 2)


@pytest.mark.parametrize("name", GENERATORS)
def test_what_a_class_keeps_is_the_same_for_any_size(name, section, tmp_path):
    kept = []
    for sizes in ([1, 1], [1, 9]):
        config = section(classes=[name], num_samples=60, size=sizes)
        generate_store(config, "a", tmp_path / "a.zarr")
        kept.append(set(zarr.open_group(tmp_path / "a.zarr", mode="r")))
    assert kept[0] == kept[1]


def test_arrays_that_no_class_has_are_absent(section, tmp_path):
    generate_store(section(classes=["kr"]), "a", tmp_path / "a.zarr")
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert {"layers", "layer", "connectivity"} < set(root)
    assert not {"coordinates", "flip_share", "genus", "dimension"} & set(root)


def test_integers_are_stored_as_integers_and_numbers_as_floats(section, tmp_path):
    generate_store(section(classes=["complex_topology"]), "a", tmp_path / "a.zarr")
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert {root[name].dtype.name for name in ("genus", "finite_cuts", "dimension")} == {"int64"}
    assert root["factor_decay"].dtype == root["cuts"].dtype == np.float32
    assert root["cuts"].shape == (9, 40)
    assert root["coordinates"].shape == (9, 12, 2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_classes_have_the_same_bytes_for_any_number_of_workers(layout, section, tmp_path):
    config = section(
        layout=layout, classes=list(GENERATORS), num_samples=5 * len(GENERATORS), size=[20, 60]
    )
    digests = []
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        generate_store(config, "a", folder, workers)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digests.append(
            [
                (path.relative_to(folder), hashlib.sha256(path.read_bytes()).hexdigest())
                for path in files
            ]
        )
    assert digests[0] == digests[1]


def test_a_function_of_the_user_keeps_what_it_likes(section, tmp_path):
    notes = {"of_elements": {}, "made_of": {"temperature": 0.5, "spins": [1, -1]}}
    config = section(classes=["kr", {"type": noted, "kwargs": notes}], num_samples=2)
    generate_store(config, "a", tmp_path / "a.zarr")
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    np.testing.assert_array_equal(root["temperature"][...], np.float32([np.nan, 0.5]))
    assert root["spins"][...].tolist() == [[-1, -1], [1, -1]]


@pytest.mark.parametrize("name", ["adjacency_matrix", "in_degree", "curvature", "cset_size"])
def test_a_name_of_another_array_is_refused(name, section):
    notes = {"of_elements": {}, "made_of": {name: 1}}
    source = SampleSource(section(classes=[{"type": noted, "kwargs": notes}]), "a")
    with pytest.raises(
        ConfigError, match=rf"classes\[0\]: 'noted' keeps '{name}', which is another"
    ):
        source.description()


@pytest.mark.parametrize("what", ["shape", "name"])
def test_what_a_class_keeps_may_not_change(what, section, tmp_path):
    config = section(classes=[{"type": changing, "kwargs": {"name": what}}], num_samples=20)
    with pytest.raises(ConfigError, match=r"classes\[0\]: 'changing' (keeps|did not keep) "):
        generate_store(config, "a", tmp_path / "a.zarr")
