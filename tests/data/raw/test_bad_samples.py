"""What becomes of samples that cannot be used, whichever reader finds them."""

from __future__ import annotations

import os
import shutil
import tempfile

import numpy as np
import pytest
import torch
import zarr
from torch_geometric.data import Data

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.readers import sample_reader
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.data.readers.sample_reader import with_packed, with_reader
from qgpipe.errors import ConfigError, DataError, ReadingError


def read(path, skip=True, threads=1, order=False, **names):
    """What the built-in reader makes of the good samples, and the reasons against the bad."""
    store = open_store(path)
    bad = BadSamples(store, skip)
    reader = CausalSetReader(**names)
    packed = reader.read(
        store, 0, store.num_samples, threads=threads, validate_order=order, bad=bad
    )
    return packed, bad.reasons


def source(**changes):
    defaults = {
        "pre_filter": None,
        "pre_transform": None,
        "validate_data": True,
        "validate_order": False,
        "float_type": "torch.float32",
        "int_type": "torch.int64",
    }
    return {**defaults, **changes}


def read_singly(path, function, processes=1, skip=True, **changes):
    store = open_store(path)
    bad = BadSamples(store, skip)
    reader = with_reader(function, source(**changes), bad)
    packed, filtered = reader.read(0, store.num_samples, processes)
    return packed, filtered, bad.reasons


def set_entry(path, array, place, value):
    zarr.open_group(path, mode="r+")[array][place] = value


def damage(chunk):
    chunk.write_bytes(b"nonsense")


def test_the_first_bad_sample_is_an_error_unless_they_are_skipped(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    set_entry(path, "cset_size", 5, -3)
    set_entry(path, "adjacency_matrix", (2, 1, 1), 1)
    with pytest.raises(DataError, match="sample 5, array 'cset_size': a size of -3 does not fit"):
        read(path, skip=False)
    assert read(path)[0].num_graphs == 5


def test_whatever_is_wrong_with_stacked_samples_is_listed(write_stacked, causal_sets):
    curvature = np.zeros((7, 12), "f4")
    curvature[4, 8] = np.nan
    names = {"attributes": {"class_names": ["a", "b", "c"]}, "changes": {"curvature": curvature}}
    path = write_stacked(causal_sets, **names)
    set_entry(path, "cset_size", 0, 99)
    set_entry(path, "adjacency_matrix", (1, 7, 3), 0.5)
    set_entry(path, "adjacency_matrix", (2, 1, 1), 1)
    set_entry(path, "cset_type", 6, 3)
    packed, reasons = read(path, node_features="curvature")
    assert reasons == {
        0: "array 'cset_size': a size of 99 does not fit an adjacency of 12 x 12",
        1: "array 'adjacency_matrix': a relation is 0 or 1, but the entry [7, 3] is 0.5",
        2: "array 'adjacency_matrix': this is no partial order: element 1 precedes itself",
        4: "array 'curvature': the value nan is not finite",
        6: "array 'cset_type': class 3 has no name; there are 3 names",
    }
    assert packed.sample_index.tolist() == [3, 5]


@pytest.mark.parametrize("dtype", ["u1", "i1", "f4"])
@pytest.mark.parametrize("threads", [1, 3])
def test_good_samples_are_as_without_the_bad(write_stacked, make_sets, adjacency, dtype, threads):
    sets = make_sets(list(range(4, 24)))
    path = write_stacked(sets, dtype=dtype)
    for sample in (3, 4, 11, 19):
        set_entry(path, "adjacency_matrix", (sample, 2, 1), 7 if dtype == "u1" else -1)
    set_entry(path, "cset_size", 7, 0)
    packed, reasons = read(path, threads=threads)
    assert sorted(reasons) == [3, 4, 7, 11, 19]
    good = [i for i in range(20) if i not in reasons]
    assert packed.sample_index.tolist() == good
    assert packed.sizes.tolist() == [i + 4 for i in good]
    for place, i in enumerate(good):
        np.testing.assert_array_equal(adjacency(packed, place), sets.relations[i])
    future = np.concatenate([sets.future[i] for i in good])
    np.testing.assert_array_equal(packed.attributes["x"].values[:, 0], future)


def test_a_damaged_chunk_spoils_only_the_samples_that_reach_it(write_stacked, causal_sets):
    path = write_stacked(causal_sets, chunks=(4, 5, 5))
    damage(path / "adjacency_matrix" / "0.1.1")
    packed, reasons = read(path, threads=2)
    assert sorted(reasons) == [1, 3]  # of 12 and 8 elements; 0 and 2 have 5 and 3
    assert "cannot be read: " in reasons[1]
    assert "adjacency_matrix/0.1.1" in reasons[1]
    assert packed.sample_index.tolist() == [0, 2, 4, 5, 6]


def test_a_damaged_chunk_of_features_spoils_the_samples_in_it(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    damage(path / "max_pathlens_past" / "1.0")
    packed, reasons = read(path)
    assert sorted(reasons) == [3, 4, 5]
    assert reasons[3].startswith("array 'max_pathlens_past': cannot be read: ")
    past = np.concatenate([causal_sets.past[i] for i in (0, 1, 2, 6)])
    np.testing.assert_array_equal(packed.attributes["x"].values[:, 1], past)


def test_all_samples_may_be_bad(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    zarr.open_group(path, mode="r+")["cset_size"][:] = 0
    packed, reasons = read(path)
    assert (packed.num_graphs, len(reasons)) == (0, 7)
    assert packed.attributes["x"].values.shape == (0, 2)


def test_an_array_that_cannot_be_opened_is_an_error_in_any_case(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    store = open_store(path)
    shutil.rmtree(path / "cset_type")
    with pytest.raises(DataError, match="array 'cset_type': cannot be read"):
        CausalSetReader().read(store, 0, 7, bad=BadSamples(store, skip=True))


def test_relations_that_are_not_transitive_are_found_on_request(write_stacked, make_sets):
    sets = make_sets([9] * 5)
    for i, relations in enumerate(sets.relations):
        relations[...] = np.triu(np.ones((9, 9), bool), 1)
        relations[2, 6] = i != 3
    path = write_stacked(sets)
    assert read(path)[1] == {}
    assert read(path, order=True)[1] == {
        3: "array 'adjacency_matrix': this is no partial order: element 2 precedes 3, which "
        "precedes 6, but 2 does not"
    }


@pytest.mark.parametrize("threads", [1, 2])
def test_whatever_is_wrong_with_groups_is_listed(write_groups, causal_sets, adjacency, threads):
    path = write_groups(causal_sets)
    shutil.rmtree(path / "cset_7" / "cset_type")
    damage(path / "cset_2" / "adj" / "0.0")
    damage(path / "cset_3" / "max_pathlens_past" / ".zarray")
    replace(path, "cset_4/adj", np.zeros((9, 8), "u1"))
    replace(path, "cset_5/max_pathlens_past", np.zeros(4, "f4"))
    set_entry(path, "cset_6/adj", (1, 1), 1)
    packed, reasons = read(path, threads=threads)
    assert sorted(reasons) == [1, 2, 3, 4, 5, 6]
    assert "cset_7/cset_type does not exist" in reasons[6]
    assert "cset_2/adj/0.0" in reasons[1]
    assert "cset_3/max_pathlens_past/.zarray: " in reasons[2]
    assert reasons[3] == "array 'adj': expected shape (n, n), got (9, 8)"
    assert reasons[4] == "array 'max_pathlens_past': expected shape (11,), got (4,)"
    assert reasons[5] == "array 'adj': this is no partial order: element 1 precedes itself"
    assert packed.sample_index.tolist() == [0]
    np.testing.assert_array_equal(adjacency(packed, 0), causal_sets.relations[0])
    np.testing.assert_array_equal(packed.attributes["x"].values[:, 1], causal_sets.past[0])


def replace(path, array, values):
    shutil.rmtree(path / array)
    zarr.open_group(path, mode="r+").create_array(array, data=values)


def small(store, idx, *_):
    n = int(store["cset_size"][idx])
    return Data(x=torch.full((n, 1), float(idx)), edge_index=torch.tensor([[0], [1]]))


def test_samples_on_which_a_reader_fails_are_listed(write_stacked, causal_sets, monkeypatch):
    monkeypatch.setattr(sample_reader, "RANGE", 2)
    path = write_stacked(causal_sets, chunks=(1, 12, 12))

    def picky(store, idx, *_):
        graph = small(store, idx)
        if idx == 2:
            raise RuntimeError("not this one")
        if idx == 4:
            graph.x[1] = torch.inf
        if idx == 5:
            graph.edge_index[0, 0] = 77
        return graph if idx != 6 else None

    for processes in (1, 3):
        packed, filtered, reasons = read_singly(path, picky, processes)
        assert packed.sample_index.tolist() == [0, 1, 3]
        assert filtered == 0
        assert sorted(reasons) == [2, 4, 5, 6]
        assert "data.reader failed: RuntimeError: not this one" in reasons[2]
        assert reasons[4] == "x of node 1 is not finite"
        assert "names node 77 of a graph of 4 nodes" in reasons[5]
        assert reasons[6] == "expected a torch_geometric Data, got NoneType"


@pytest.mark.parametrize("through_zarr", [True, False])
def test_a_damaged_chunk_spoils_the_samples_of_a_reader(write_stacked, causal_sets, through_zarr):
    def reader(store, idx, *_):
        group = zarr.open_group(store.root) if through_zarr else store
        n = int(group["cset_size"][idx])
        edges = np.stack(np.nonzero(group["adjacency_matrix"][idx].T[:n, :n]))
        return Data(x=torch.ones(n, 1), edge_index=torch.from_numpy(edges))

    path = write_stacked(causal_sets)
    damage(path / "adjacency_matrix" / "1.2.2")
    packed, _, reasons = read_singly(path, reader)
    assert sorted(reasons) == [3, 4, 5]
    assert packed.num_graphs == 4
    assert "cannot be read: Error decoding chunk" in reasons[3]
    with pytest.raises(DataError, match=r"sample 3, array 'adjacency_matrix': .*1\.2\.2"):
        read_singly(path, reader, skip=False)


def test_what_fails_in_filter_and_transform_is_listed(write_stacked, causal_sets):
    def fail_on(value):
        def function(graph):
            if graph.x[0] == value:
                raise ValueError(f"no {value}")
            return graph if value == 1 else True

        return function

    functions = {"pre_filter": fail_on(3), "pre_transform": fail_on(1)}
    packed, filtered, reasons = read_singly(write_stacked(causal_sets), small, **functions)
    assert (packed.num_graphs, filtered) == (5, 0)
    assert "data.pre_transform failed: ValueError: no 1" in reasons[1]
    assert "data.pre_filter failed: ValueError: no 3" in reasons[3]


def test_a_wrong_configuration_is_no_bad_sample(write_stacked, causal_sets):
    def mistaken(*_):
        raise ConfigError("wrong", key="data.reader")

    with pytest.raises(ConfigError, match=r"data\.reader: wrong"):
        read_singly(write_stacked(causal_sets), mistaken)


def test_edges_of_a_reader_are_no_partial_order(write_stacked, causal_sets):
    edges = [[[0], [1]], [[0, 1], [1, 0]], [[2], [2]], [[0, 1], [1, 2]], [[0, 1, 0], [1, 2, 2]]]

    def reader(store, idx, *_):
        edge_index = torch.tensor(edges[idx] if idx < 5 else [[0], [1]])
        return Data(x=torch.ones(3, 1), edge_index=edge_index)

    path = write_stacked(causal_sets)
    assert read_singly(path, reader)[2] == {}
    assert read_singly(path, reader, validate_order=True)[2] == {
        1: "this is no partial order: elements 0 and 1 precede each other",
        2: "this is no partial order: element 2 precedes itself",
        3: "this is no partial order: element 0 precedes 1, which precedes 2, but 0 does not",
    }


def test_samples_left_out_by_the_built_in_reader_do_not_reach_the_filter(
    write_stacked, causal_sets
):
    path = write_stacked(causal_sets)
    set_entry(path, "cset_size", 1, 0)
    set_entry(path, "cset_size", 4, 0)
    store = open_store(path)
    bad = BadSamples(store, skip=True)
    packed = CausalSetReader().read(store, 0, 7, bad=bad)
    seen = []

    def note(graph):
        seen.append(graph.num_nodes)
        return graph.num_nodes > 4

    result, filtered = with_packed(packed, source(pre_filter=note), bad).read(0, 7, 1)
    assert seen == [5, 3, 8, 4, 9]
    assert (result.sample_index.tolist(), filtered) == ([0, 3, 6], 2)
    assert sorted(bad.reasons) == [1, 4]


@pytest.fixture
def ordinary_user():
    """Whoever the tests run as, permissions count for them in this test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder(tmp_path):
    """A folder of the test to which everybody comes."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o755)
    return tmp_path


@pytest.mark.parametrize("layout", ["stacked", "groups"])
@pytest.mark.parametrize("skip", [True, False])
def test_what_may_not_be_read_is_no_bad_sample(request, open_folder, causal_sets, layout, skip):
    path = request.getfixturevalue(f"write_{layout}")(causal_sets)
    chunk = path / ("cset_type/0" if layout == "stacked" else "cset_3/cset_type/0")
    if not chunk.exists():
        (chunk,) = chunk.parent.glob("0*")
    chunk.chmod(0)
    request.getfixturevalue("ordinary_user")
    with pytest.raises((ReadingError, PermissionError)) as error:
        read(path, skip=skip)
    assert str(chunk) in str(error.value)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", "a"),
        OSError(5, "Input/output error", "a"),
        OSError(24, "Too many open files", "a"),
        MemoryError(),
        NameError("name 'nmpy' is not defined"),
        ImportError("no module named 'x'"),
        RuntimeError("CUDA out of memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_users_reader_that_could_not_read_skips_nothing(write_stacked, causal_sets, error):
    def reader(store, idx, *_):
        if idx == 2:
            raise error
        return Data(x=torch.ones(2, 1), edge_index=torch.zeros(2, 0, dtype=torch.long))

    with pytest.raises(ReadingError, match=r"sample 2: data\.reader failed: "):
        read_singly(write_stacked(causal_sets), reader)


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), KeyError("a"), IndexError("b"), FileNotFoundError(2, "No such file", "a")],
    ids=lambda error: type(error).__name__,
)
def test_what_a_users_reader_says_of_the_data_skips_the_sample(write_stacked, causal_sets, error):
    def reader(store, idx, *_):
        if idx == 2:
            raise RuntimeError("this sample is odd") from error
        return Data(x=torch.ones(2, 1), edge_index=torch.zeros(2, 0, dtype=torch.long))

    _, _, reasons = read_singly(write_stacked(causal_sets), reader)
    assert list(reasons) == [2]
