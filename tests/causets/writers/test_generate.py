from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.features import compute
from qgpipe.causets.order import transitive_reduction
from qgpipe.causets.orders import Orders
from qgpipe.causets.writers.generate import generate_store
from qgpipe.causets.writers.samples import ABUNDANCES, GRAPH_ARRAYS, NODE_ARRAYS, SampleSource
from qgpipe.errors import ConfigError, DataError

LAYOUTS = ["stacked", "groups"]


def curved_for_one_size(rng: np.random.Generator, n: int, size: int) -> CausalSet:
    curvature = np.zeros(n) if n == size else None
    return CausalSet(np.zeros((n, n), bool), curvature=curvature)


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def matrices(config: dict, store: str = "a") -> list[np.ndarray]:
    source = SampleSource(config, store)
    return [source.causal_set(i).relations for i in range(config["num_samples"])]


def test_zarr_reads_the_stacked_layout_transposed_and_padded(section, tmp_path):
    config = section()
    generate_store(config, "a", tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert group["adjacency_matrix"].shape == (9, 12, 12)
    for i, relations in enumerate(matrices(config)):
        n = len(relations)
        assert group["cset_size"][i] == n
        adjacency, links = group["adjacency_matrix"][i], group["link_matrix"][i]
        np.testing.assert_array_equal(adjacency.T[:n, :n], relations)
        np.testing.assert_array_equal(links.T[:n, :n], transitive_reduction(relations))
        assert not adjacency[n:].any()
        assert not adjacency[:, n:].any()
        orders = Orders.of(relations)
        for name in NODE_ARRAYS:
            np.testing.assert_array_equal(group[name][i, :n], compute(name, orders)[0])
            assert not group[name][i, n:].any()
        for name in GRAPH_ARRAYS:
            assert group[name][i] == compute(name, orders)
        np.testing.assert_array_equal(group[ABUNDANCES][i], compute(ABUNDANCES, orders)[0])


def test_zarr_reads_the_grouped_layout_transposed(section, tmp_path):
    config = section(layout="groups")
    generate_store(config, "a", tmp_path / "a.zarr")
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert sorted(root) == [f"cset_{i}" for i in range(1, 10)]
    for i, relations in enumerate(matrices(config)):
        group = root[f"cset_{i + 1}"]
        np.testing.assert_array_equal(group["adj"][...].T, relations)
        np.testing.assert_array_equal(group["linkmat"][...].T, transitive_reduction(relations))
        assert group["adj"].dtype == np.uint8
        assert group["manifold_like"][...].tolist() == [i % 3 == 0]
        assert group["cset_type"][...].tolist() == [i % 3]
        orders = Orders.of(relations)
        for name in NODE_ARRAYS:
            np.testing.assert_array_equal(group[name][...], compute(name, orders)[0])
        for name in GRAPH_ARRAYS:
            np.testing.assert_array_equal(group[name][...], compute(name, orders)[0])
        assert group["interval_abundances"].shape == (10,)


def test_both_layouts_hold_the_same_causal_sets(section, tmp_path):
    for layout in LAYOUTS:
        generate_store(section(layout=layout), "a", tmp_path / layout)
    stacked = zarr.open_group(tmp_path / "stacked", mode="r")
    groups = zarr.open_group(tmp_path / "groups", mode="r")
    for i, n in enumerate(stacked["cset_size"][...]):
        np.testing.assert_array_equal(
            stacked["adjacency_matrix"][i, :n, :n], groups[f"cset_{i + 1}/adj"][...]
        )


def test_tensorstore_reads_the_same_as_zarr(section, tmp_path):
    generate_store(section(), "a", tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    for name in group:
        path = str(tmp_path / "a.zarr" / name)
        spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": path}}
        values = tensorstore.open(spec).result().read().result()
        np.testing.assert_array_equal(values, group[name][...])


def test_classes_take_turns_and_their_names_are_kept(section, tmp_path):
    config = section(classes=["kr", {"type": "minkowski", "name": "flat"}], num_samples=5)
    generate_store(config, "a", tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert group.attrs["class_names"] == ["kr", "flat"]
    assert group.attrs["generate"] == config
    assert group["cset_type"][...].tolist() == [0, 1, 0, 1, 0]
    assert group["manifold_like"][...].tolist() == [False, True, False, True, False]
    assert group["num_samples"][...].tolist() == [5]


def test_sizes_cover_their_range_ends_included(section):
    sizes = {len(m) for m in matrices(section(num_samples=60, size=[3, 5], classes=["kr"]))}
    assert sizes == {3, 4, 5}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("num_samples", "size"), [(150, [80, 200]), (18, [400, 600])])
def test_one_and_three_workers_write_the_same_bytes(layout, num_samples, size, section, tmp_path):
    config = section(layout=layout, num_samples=num_samples, size=size)
    for workers in (1, 3):
        generate_store(config, "a", tmp_path / str(workers), workers)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "3")


def test_a_sample_does_not_depend_on_how_many_there_are(section):
    few, many = matrices(section(num_samples=4)), matrices(section(num_samples=9))
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a, b)


def test_other_seeds_and_other_stores_hold_other_causal_sets(section):
    base = matrices(section(size=[12, 12]))
    for other in (matrices(section(size=[12, 12], seed=8)), matrices(section(size=[12, 12]), "b")):
        assert all(not np.array_equal(a, b) for a, b in zip(base, other, strict=True))


def test_blocks_of_samples_share_no_chunk(section, tmp_path):
    config = section(num_samples=400, size=[100, 200], classes=["kr"])
    generate_store(config, "a", tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    in_matrices, in_nodes = group["link_matrix"].chunks[0], group["in_degree"].chunks[0]
    assert in_matrices == 2**20 // 200**2
    assert in_nodes % in_matrices == 0
    assert len({array.chunks[0] for _, array in group.arrays()} - {in_matrices, 1}) <= 1


def test_large_matrices_are_cut_and_their_empty_half_is_left_out(section, tmp_path):
    config = section(num_samples=1, size=[1100, 1100], classes=["minkowski"])
    generate_store(config, "a", tmp_path / "a.zarr")
    folder = tmp_path / "a.zarr" / "adjacency_matrix"
    assert {p.name for p in folder.iterdir() if p.name[0] != "."} == {"0.0.0", "0.1.0", "0.1.1"}
    adjacency = zarr.open_array(folder, mode="r")[0]
    np.testing.assert_array_equal(adjacency.T, matrices(config)[0])


def test_chunks_of_values_that_are_all_zero_are_absent(section, tmp_path):
    config = section(classes=["kr"])
    generate_store(config, "a", tmp_path / "a.zarr")
    for name in ("cset_type", "manifold_like"):
        names = [p.name for p in (tmp_path / "a.zarr" / name).iterdir()]
        assert sorted(names) == [".zarray", ".zattrs"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_curvature_is_stored_if_every_class_has_one(layout, section, tmp_path):
    for name, classes in {
        "with": ["polynomial", "minkowski"],
        "without": ["polynomial", "kr"],
    }.items():
        generate_store(section(layout=layout, classes=classes), "a", tmp_path / name)
    first = "" if layout == "stacked" else "cset_1/"
    stored = zarr.open_array(tmp_path / f"with/{first}curvature", mode="r")[...]
    curvature = SampleSource(section(), "a").causal_set(0).curvature
    np.testing.assert_array_equal(np.ravel(stored)[: len(curvature)], np.float32(curvature))
    assert not (tmp_path / f"without/{first}curvature").exists()


def test_a_class_that_is_curved_only_at_first_is_an_error(section, tmp_path):
    first, *others = (len(m) for m in matrices(section(classes=["kr"])))
    assert set(others) - {first}
    curved = {"type": curved_for_one_size, "kwargs": {"size": first}}
    with pytest.raises(ConfigError, match=r"classes\[0\]: 'curved_for_one_size' gave a curvature"):
        generate_store(section(classes=[curved]), "a", tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("function", "violation"),
    [
        ("path", "it is not transitive: 0 ≺ 1 ≺ 2, but not 0 ≺ 2"),
        ("backward", "element 1 precedes element 0, which has the smaller label"),
    ],
)
def test_relations_that_are_no_partial_order_are_an_error(
    function, violation, section, tmp_path, user_folder
):
    (user_folder / "no_orders.py").write_text(
        "import numpy as np\n"
        "def path(rng, n): return np.eye(n, k=1, dtype=bool)\n"
        "def backward(rng, n): return np.eye(n, k=-1, dtype=bool)\n"
    )
    config = section(classes=["kr", f"no_orders.{function}"])
    with pytest.raises(
        ConfigError,
        match=rf"^generate\.classes\[1\]: '{function}' returned no partial order .*{violation}",
    ):
        generate_store(config, "a", tmp_path / "a.zarr")
    assert list(tmp_path.glob("*.zarr")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_leaves_nothing_behind(workers, section, tmp_path, user_folder):
    (user_folder / "orders_that_fail.py").write_text(
        "import numpy as np\n"
        "def mostly(rng, n):\n"
        "    if n > 100: raise RuntimeError('too large')\n"
        "    return np.zeros((n, n), bool)\n"
    )
    config = section(classes=["orders_that_fail.mostly"], num_samples=300, size=[60, 120])
    with pytest.raises(ConfigError, match=r"^generate.classes\[0\]: 'mostly' failed .*too large"):
        generate_store(config, "a", tmp_path / "out" / "a.zarr", workers)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failure_keeps_the_store_that_was_there(section, tmp_path):
    generate_store(section(), "a", tmp_path / "a.zarr")
    before = files_of(tmp_path)
    with pytest.raises(ConfigError):
        generate_store(
            section(classes=[{"type": "minkowski", "kwargs": {"dimension": 9}}]),
            "a",
            tmp_path / "a.zarr",
        )
    assert files_of(tmp_path) == before


def test_a_store_is_replaced_whole(section, tmp_path):
    generate_store(section(), "a", tmp_path / "a.zarr")
    generate_store(section(layout="groups"), "a", tmp_path / "a.zarr")
    assert "adjacency_matrix" not in zarr.open_group(tmp_path / "a.zarr", mode="r")


def test_sizes_the_wrong_way_round_are_an_error(section, tmp_path):
    with pytest.raises(
        ConfigError, match=r"^generate\.size: the smallest size, 9, is above the largest, 4"
    ):
        generate_store(section(size=[9, 4]), "a", tmp_path / "a.zarr")


def test_causal_sets_of_a_single_element_can_be_stored(section, tmp_path):
    generate_store(section(num_samples=3, size=[1, 1]), "a", tmp_path / "a.zarr")
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["cset_size"][...].tolist() == [1, 1, 1]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("lost", [".zattrs", ".zgroup", None])
def test_a_store_of_ours_is_replaced(section, tmp_path, layout, lost):
    config = section(num_samples=5, layout=layout)
    generate_store(config, "a", tmp_path / "a.zarr")
    before = files_of(tmp_path / "a.zarr")
    if lost:
        (tmp_path / "a.zarr" / lost).unlink()
    generate_store(config, "a", tmp_path / "a.zarr")
    assert files_of(tmp_path / "a.zarr") == before


@pytest.mark.parametrize("what", ["notes", "zarr 2", "zarr 3", "groups", "file"])
def test_what_is_not_of_ours_is_not_replaced(section, tmp_path, what):
    config, store = section(num_samples=5), tmp_path / "a.zarr"
    if what == "file":
        store.write_text("mine")
    elif what == "notes":
        generate_store(config, "a", store)
        (store / "notes.txt").write_text("mine")
    else:
        group = zarr.open_group(store, mode="w", zarr_format=3 if what == "zarr 3" else 2)
        group = group.create_group("cset_1") if what == "groups" else group
        group.create_array("adj", data=np.ones((3, 3)))
    (store / ".zattrs").unlink(missing_ok=True) if what != "file" else None
    before = files_of(tmp_path)
    with pytest.raises(DataError, match=r"a\.zarr is there"):
        generate_store(config, "a", store)
    assert files_of(tmp_path) == before
