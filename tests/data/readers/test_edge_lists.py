"""Relations as lists of edges and sparse matrices, against the same causal sets as matrices."""

import numpy as np
import pytest
import scipy.sparse
import zarr

from qgpipe.data.graphs.packed import BitAdjacency
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.readers import edge_lists
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import ConfigError, DataError


def read(path, start=0, stop=None, threads=1, bad=None, **kwargs):
    store = open_store(path)
    stop = store.num_samples if stop is None else stop
    return CausalSetReader(**kwargs).read(store, start, stop, threads=threads, bad=bad)


def assert_same(found, expected):
    """Byte-equal, as parts are."""
    assert type(found.edges) is type(expected.edges)
    names = ("bits", "ptr") if isinstance(expected.edges, BitAdjacency) else ("edge_index",)
    for name in names:
        ours, theirs = getattr(found.edges, name), getattr(expected.edges, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.num_edges, expected.num_edges)
    np.testing.assert_array_equal(found.node_ptr, expected.node_ptr)
    assert found.attributes.keys() == expected.attributes.keys()
    for name, attribute in expected.attributes.items():
        np.testing.assert_array_equal(found.attributes[name].values, attribute.values)


def edges_of(relations, seed=0):
    """Earlier and later elements [2, E], in no order."""
    pairs = np.argwhere(relations).T
    return pairs[:, np.random.default_rng(seed).permutation(pairs.shape[1])]


def as_edge_index(relations):
    return {"edge_index": edges_of(relations).astype("i4")}


def from_one(relations):
    return {"edge_index": edges_of(relations) + 1}


def as_julia_writes(relations):
    return {"edge_index": edges_of(relations).T.copy() + 1}


def two_arrays(relations):
    source, target = edges_of(relations)
    return {"source": source, "edges/target": target.astype("u2")}


def csr(relations):
    matrix = scipy.sparse.csr_array(relations)
    return {"indptr": matrix.indptr, "indices": matrix.indices, "data": matrix.data}


def in_a_group(relations):
    return {f"adj/{name}": values for name, values in csr(relations).items()}


def with_zeros(relations):
    matrix = scipy.sparse.csr_array(np.ones_like(relations, "f4"))
    matrix.data[:] = relations.ravel()
    return {"a/indptr": matrix.indptr, "a/indices": matrix.indices, "a/data": matrix.data}


def julias_sparse_matrix(relations):
    matrix = scipy.sparse.csc_array(relations)
    return {"colptr": matrix.indptr + 1, "rowval": matrix.indices + 1}


@pytest.fixture
def write_edges(write_groups):
    """A store of groups as ``write_groups`` makes, with ``arrays(relations)`` for the matrices."""

    def write(sets, arrays, sizes=False, features=True, **options):
        path = write_groups(sets, name="edges.zarr", **options)
        root = zarr.open_group(path, mode="r+")
        for i, relations in enumerate(sets.relations):
            group = root[f"cset_{i + 1}"]
            del group["adj"]
            written = arrays(relations)
            if sizes:
                written["num_elements"] = np.array([len(relations)])
            for name, values in written.items():
                group.create_array(name, data=values, chunks=[max(1, n) for n in values.shape])
            if not features:
                del group["max_pathlens_future"], group["max_pathlens_past"]
        return path

    return write


FORMS = [
    (as_edge_index, {}),
    (as_edge_index, {"adjacency": "edge_index"}),
    (from_one, {"index_base": 1}),
    (as_julia_writes, {"index_base": 1}),
    (two_arrays, {"adjacency": ["source", "edges/target"]}),
    (csr, {}),
    (in_a_group, {}),
    (with_zeros, {"adjacency": "a"}),
    (julias_sparse_matrix, {"adjacency": ["rowval", "colptr"], "index_base": 1}),
]


@pytest.mark.parametrize(("arrays", "kwargs"), FORMS)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_groups_give_the_graphs_of_matrices(
    write_edges, write_groups, causal_sets, arrays, kwargs, zarr_format
):
    path = write_edges(causal_sets, arrays, zarr_format=zarr_format)
    expected = write_groups(causal_sets)
    assert_same(read(path, **kwargs), read(expected))
    assert_same(read(path, 2, 5, **kwargs), read(expected, 2, 5))


@pytest.mark.parametrize("arrays", [as_edge_index, csr])
def test_features_are_computed_from_edges(write_edges, write_groups, make_sets, arrays):
    sets = make_sets([5, 70, 3, 20, 130])
    for i, relations in enumerate(sets.relations):
        closed = relations
        for _ in range(8):
            closed = closed | (closed.astype(int) @ closed > 0)
        sets.relations[i] = closed
    kwargs = {"node_features": ["in_degree", "height_rank"], "graph_features": ["link_fraction"]}
    path = write_edges(sets, arrays, sizes=True, features=False)
    assert_same(read(path, threads=2, **kwargs), read(write_groups(sets), **kwargs))


def test_few_edges_become_the_same_pairs(write_edges, write_groups, make_sets):
    sets = make_sets([150, 200], density=0.01)
    expected = read(write_groups(sets))
    assert not isinstance(expected.edges, BitAdjacency)
    assert_same(read(write_edges(sets, as_edge_index)), expected)


def test_the_number_of_elements_is_that_of_the_size(write_edges, causal_sets):
    """Elements without relations are in no list."""
    packed = read(
        write_edges(causal_sets, lambda r: {"edge_index": np.zeros((2, 0), "i8")}, sizes=True),
        node_features=[],
    )
    np.testing.assert_array_equal(packed.sizes, causal_sets.sizes)
    assert packed.num_edges.sum() == 0


def joined(sets, ptr="offsets", base=0, preallocated=0):
    """The changes that make a stacked store one of joined edges."""
    edges = [edges_of(relations) for relations in sets.relations]
    counts = np.array([e.shape[1] for e in edges])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rest = np.zeros((2, preallocated), np.int64)
    return {
        "adjacency_matrix": None,
        "edge_index": np.concatenate([*edges, rest], axis=1) + base,
        **({"edge_ptr": offsets + base} if ptr == "offsets" else {"num_edges": counts}),
    }


@pytest.mark.parametrize("ptr", ["offsets", "counts"])
@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_joined_edges_give_the_graphs_of_matrices(
    write_stacked, causal_sets, ptr, base, threads, monkeypatch
):
    expected = write_stacked(causal_sets)
    path = write_stacked(causal_sets, "edges.zarr", changes=joined(causal_sets, ptr, base, 5))
    monkeypatch.setattr(edge_lists, "BLOCK_BYTES", 2 * 64**2)
    for start, stop in ((0, 7), (2, 5), (6, 7), (3, 3)):
        found = read(path, start, stop, threads, index_base=base)
        assert_same(found, read(expected, start, stop))


def test_joined_edges_in_the_order_of_julia_or_in_two_arrays(write_stacked, causal_sets):
    expected = read(write_stacked(causal_sets))
    changes = joined(causal_sets)
    edges = changes.pop("edge_index")
    path = write_stacked(causal_sets, "a.zarr", changes={**changes, "edge_index": edges.T.copy()})
    assert_same(read(path), expected)
    changes |= {"earlier": edges[0], "later": edges[1], "start": changes.pop("edge_ptr")}
    path = write_stacked(causal_sets, "b.zarr", changes=changes)
    assert_same(read(path, adjacency=["earlier", "later"], edge_ptr="start"), expected)


def test_a_damaged_chunk_of_joined_edges_leaves_its_samples_out(write_stacked, causal_sets):
    changes = joined(causal_sets)
    path = write_stacked(causal_sets, changes=changes, chunks=(2, 10))
    (path / "edge_index" / "0.2").write_bytes(b"damaged")
    bad = BadSamples(open_store(path), skip=True)
    packed = read(path, bad=bad)
    ptr = changes["edge_ptr"]
    hit = [i for i in range(7) if ptr[i] < 30 and ptr[i + 1] > 20]
    assert sorted(bad.reasons) == hit and 0 < len(hit) < 7
    good = np.setdiff1d(np.arange(7), hit)
    np.testing.assert_array_equal(packed.sample_index, good)
    np.testing.assert_array_equal(packed.num_edges, np.diff(ptr)[good])
    with pytest.raises(DataError, match=f"sample {hit[0]}, array 'edge_index': cannot be read"):
        read(path)


def test_an_index_that_is_no_element_names_the_base(write_edges, write_stacked, causal_sets):
    with pytest.raises(DataError) as error:
        read(write_edges(causal_sets, from_one))
    assert "edges.zarr, sample 0 (cset_1), array 'edge_index': the edge from" in str(error.value)
    assert "the 5 are counted from 0 to 4; set 'index_base' of the reader's kwargs to 1" in str(
        error.value
    )
    path = write_stacked(causal_sets, changes=joined(causal_sets))
    with pytest.raises(DataError, match="counted from 1 to 12; leave out 'index_base'"):
        read(path, 1, 2, index_base=1)


def test_only_samples_with_a_wrong_index_are_left_out(write_stacked, causal_sets):
    changes = joined(causal_sets)
    changes["edge_index"][1, changes["edge_ptr"][3]] = -1
    path = write_stacked(causal_sets, changes=changes)
    bad = BadSamples(open_store(path), skip=True)
    packed = read(path, bad=bad)
    assert list(bad.reasons) == [3]
    expected = np.delete(np.diff(changes["edge_ptr"]), 3)
    np.testing.assert_array_equal(packed.num_edges, expected)


def change(path, name, values):
    group = zarr.open_group(path, mode="r+")["cset_2"]
    del group[name]
    group.create_array(name, data=values, chunks=values.shape)


@pytest.mark.parametrize(
    ("arrays", "name", "values", "message"),
    [
        (as_edge_index, "edge_index", np.zeros((3, 4), "i8"), "expected shape \\(2, E\\), got"),
        (as_edge_index, "edge_index", np.zeros((2, 4)), "have to be integers, not float64"),
        (as_edge_index, "edge_index", np.array([[0], [0]]), "element 0 precedes itself"),
        (as_edge_index, "edge_index", np.array([[0, 3], [3, 0]]), "0 and 3 precede each other"),
        (csr, "indptr", np.array([0, 4, 2]), "it does not cut the"),
        (csr, "data", np.zeros(3), "'data' has no number for each entry"),
    ],
)
def test_wrong_edges_are_bad_samples(write_edges, causal_sets, arrays, name, values, message):
    path = write_edges(causal_sets, arrays)
    change(path, name, values)
    with pytest.raises(DataError, match=rf"sample 1 \(cset_2\).*{message}"):
        read(path)
    bad = BadSamples(open_store(path), skip=True)
    assert read(path, bad=bad).sample_index.tolist() == [0, 2, 3, 4, 5, 6]


def test_offsets_that_do_not_fit_are_bad_samples(write_stacked, causal_sets):
    changes = joined(causal_sets)
    changes["edge_ptr"][-1] += 1
    path = write_stacked(causal_sets, changes=changes)
    with pytest.raises(DataError, match="sample 6, array 'edge_ptr': its edges are those from"):
        read(path)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"node_features": []}, "does not say how many elements.*with 'size'"),
        ({"adjacency": ["edge_index", "cset_type"]}, "expected shape"),
        ({"adjacency": "edge_idx"}, "there is no array .edge_idx.; did you mean .edge_index."),
    ],
)
def test_what_is_missing_is_said_from_the_metadata(write_edges, causal_sets, kwargs, message):
    path = write_edges(causal_sets, as_edge_index)
    with pytest.raises(DataError, match=message):
        CausalSetReader(**kwargs).columns(open_store(path))


def test_joined_edges_need_their_offsets(write_stacked, causal_sets):
    path = write_stacked(causal_sets, changes={**joined(causal_sets), "edge_ptr": None})
    with pytest.raises(DataError, match=r"nothing says which edges.*with 'edge_ptr'"):
        read(path)
    path = write_stacked(causal_sets, changes={**joined(causal_sets), "edge_ptr": np.arange(4)})
    with pytest.raises(DataError, match="expected 8 offsets or 7 numbers of edges"):
        read(path)


@pytest.mark.parametrize("kwargs", [{"index_base": 2}, {"adjacency": ["a", "b", "c"]}])
def test_wrong_arguments_name_their_key(kwargs):
    with pytest.raises(ConfigError, match=f"data.reader.kwargs.{next(iter(kwargs))}"):
        CausalSetReader(**kwargs)


def test_matrices_are_read_where_there_are_both(write_stacked, causal_sets):
    changes = {**joined(causal_sets), "adjacency_matrix": causal_sets.stored_adjacency()}
    changes["edge_index"] = np.zeros((2, 3), "i8")
    path = write_stacked(causal_sets, "both.zarr", changes=changes)
    assert_same(read(path), read(write_stacked(causal_sets)))


def test_the_edges_of_a_sample_count_in_what_it_takes(write_stacked, causal_sets):
    """The memory of a job is planned by it."""
    changes = joined(causal_sets)
    of_edges = changes["edge_index"].nbytes // 7
    with_edges = open_store(write_stacked(causal_sets, changes=changes)).sample_bytes()
    without = {**changes, "edge_index": None}
    others = open_store(write_stacked(causal_sets, "c.zarr", changes=without)).sample_bytes()
    assert abs(with_edges - others - of_edges) < 16
