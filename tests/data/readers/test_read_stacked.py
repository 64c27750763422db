from __future__ import annotations

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import LZ4, Zlib

from qgpipe.data.graphs.packed import BitAdjacency, EdgePairs
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import ConfigError, DataError


def read(path, start=0, stop=None, threads=1, validate=True, types=("float32", "int64"), **names):
    store = open_store(path)
    stop = store.num_samples if stop is None else stop
    return CausalSetReader(**names).read(store, start, stop, *types, validate, threads)


def assert_relations(packed, sets, adjacency, first=0):
    for i in range(packed.num_graphs):
        np.testing.assert_array_equal(adjacency(packed, i), sets.relations[first + i])


def assert_same(one, other):
    for name in ("sample_index", "node_ptr"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert type(one.edges) is type(other.edges)
    for name, values in vars(one.edges).items():
        np.testing.assert_array_equal(values, getattr(other.edges, name))
    assert one.attributes.keys() == other.attributes.keys()
    for name, attribute in one.attributes.items():
        np.testing.assert_array_equal(attribute.values, other.attributes[name].values)
        assert attribute.values.dtype == other.attributes[name].values.dtype


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f4", "f8"])
def test_edges_point_from_past_to_future(write_stacked, causal_sets, adjacency, zarr_format, dtype):
    packed = read(write_stacked(causal_sets, zarr_format=zarr_format, dtype=dtype))
    np.testing.assert_array_equal(packed.sizes, causal_sets.sizes)
    assert_relations(packed, causal_sets, adjacency)


def test_what_lies_beyond_the_size_is_ignored(write_stacked, causal_sets, adjacency):
    stored = causal_sets.stored_adjacency()
    for matrix, n in zip(stored, causal_sets.sizes, strict=True):
        matrix[n:] = 7
        matrix[:, n:] = np.nan
    packed = read(write_stacked(causal_sets, changes={"adjacency_matrix": stored}))
    assert_relations(packed, causal_sets, adjacency)


def test_without_sizes_every_set_fills_its_matrix(write_stacked, make_sets, adjacency):
    sets = make_sets([6, 6, 6])
    packed = read(write_stacked(sets, changes={"cset_size": None}))
    assert packed.sizes.tolist() == [6, 6, 6]
    assert_relations(packed, sets, adjacency)


def test_a_part_may_begin_and_end_within_chunks(write_stacked, causal_sets, adjacency):
    packed = read(write_stacked(causal_sets, chunks=(4, 5, 5)), 1, 6)
    assert packed.sample_index.tolist() == [1, 2, 3, 4, 5]
    assert_relations(packed, causal_sets, adjacency, first=1)
    np.testing.assert_array_equal(packed.attributes["y"].values, causal_sets.types[1:6])


def test_an_empty_part_has_its_attributes(write_stacked, causal_sets):
    packed = read(write_stacked(causal_sets), 4, 4)
    assert packed.num_graphs == 0
    assert packed.attributes["x"].values.shape == (0, 2)
    assert packed.attributes["y"].values.shape == (0,)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=9),
    chunks=st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40)),
    start=st.integers(0, 8),
    seed=st.integers(0, 99),
)
def test_any_sizes_and_chunks_give_the_relations_back(
    tmp_path_factory, make_sets, adjacency, sizes, chunks, start, seed
):
    sets = make_sets(sizes, seed)
    path = tmp_path_factory.mktemp("stores") / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    shape = (len(sizes), max(sizes), max(sizes))
    matrix = group.create_array(
        "adj", shape=shape, chunks=tuple(map(min, chunks, shape)), dtype="u1", fill_value=0
    )
    matrix[...] = sets.stored_adjacency("u1")
    group.create_array("cset_size", data=sets.sizes)
    first = min(start, len(sizes) - 1)
    packed = read(path, first, node_features=[], target=[])
    assert_relations(packed, sets, adjacency, first)


def test_node_features_are_the_columns_of_x(write_stacked, causal_sets):
    packed = read(write_stacked(causal_sets))
    x = packed.attributes["x"]
    assert (x.kind, x.values.dtype) == ("node", np.float32)
    expected = np.stack(
        [np.concatenate(causal_sets.future), np.concatenate(causal_sets.past)], axis=1
    )
    np.testing.assert_array_equal(x.values, expected)


def test_an_array_with_several_values_a_node_gives_several_columns(write_stacked, causal_sets):
    wide = np.random.default_rng(0).random((7, 12, 3))
    path = write_stacked(causal_sets, changes={"wide": wide})
    packed = read(path, node_features=["max_pathlens_past", "wide"])
    assert packed.attributes["x"].values.shape == (52, 4)
    np.testing.assert_array_equal(packed.attributes["x"].values[5, 1:], wide[1, 0].astype("f4"))


def test_nan_path_lengths_are_read_as_zero(write_stacked, causal_sets):
    causal_sets.past[1][3] = np.nan
    packed = read(write_stacked(causal_sets))
    assert packed.attributes["x"].values[5 + 3].tolist() == [causal_sets.future[1][3], 0]


def test_integer_and_boolean_targets_are_one_integer_a_graph(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    for name, values in (
        ("cset_type", causal_sets.types),
        ("manifold_like", causal_sets.manifold_like),
    ):
        y = read(path, target=name).attributes["y"]
        assert (y.kind, y.scalar, y.values.dtype) == ("graph", True, np.int64)
        np.testing.assert_array_equal(y.values, values)


def test_real_targets_are_one_real_number_a_graph(write_stacked, causal_sets):
    dimension = np.linspace(2, 4, 7)
    path = write_stacked(causal_sets, changes={"dimension": dimension})
    y = read(path, target="dimension").attributes["y"]
    assert (y.scalar, y.values.dtype) == (True, np.float32)
    np.testing.assert_array_equal(y.values, dimension.astype("f4"))


def test_several_targets_are_a_row_a_graph(write_stacked, causal_sets):
    path = write_stacked(causal_sets, changes={"dimension": np.linspace(2, 4, 7)})
    integers = read(path, target=["cset_type", "manifold_like"]).attributes["y"]
    assert (integers.scalar, integers.values.dtype, integers.values.shape) == (
        False,
        np.int64,
        (7, 2),
    )
    mixed = read(path, target=["cset_type", "dimension"]).attributes["y"]
    assert mixed.values.dtype == np.float32
    np.testing.assert_array_equal(mixed.values[:, 0], causal_sets.types)


def test_graph_features_are_a_row_a_graph(write_stacked, causal_sets):
    changes = {"dimension": np.linspace(2, 4, 7), "abundances": np.arange(14.0).reshape(7, 2)}
    packed = read(
        write_stacked(causal_sets, changes=changes), graph_features=["abundances", "dimension"]
    )
    features = packed.attributes["graph_features"]
    assert (features.kind, features.scalar, features.values.dtype) == ("graph", False, np.float32)
    assert features.values[3].tolist() == [6, 7, 3]


def test_types_are_as_asked_for(write_stacked, causal_sets):
    torch = pytest.importorskip("torch")
    path = write_stacked(causal_sets)
    packed = read(path, types=("!pyobject torch.float64", torch.int32))
    assert packed.attributes["x"].values.dtype == np.float64
    assert packed.attributes["y"].values.dtype == np.int32


def test_a_type_that_no_file_holds_is_refused(write_stacked, causal_sets):
    with pytest.raises(ConfigError, match=r"data\.float_type.*'torch\.bfloat16' is no type"):
        read(write_stacked(causal_sets), types=("torch.bfloat16", "int64"))


def test_without_node_features_the_number_of_nodes_is_explicit(write_stacked, causal_sets):
    packed = read(write_stacked(causal_sets), node_features=[], target=[])
    assert packed.explicit_num_nodes
    assert packed.attributes == {}


def test_the_smaller_form_of_edges_is_taken(write_stacked, make_sets):
    dense, sparse = make_sets([40] * 3, density=0.5), make_sets([40] * 3, density=0.02)
    assert isinstance(read(write_stacked(dense)).edges, BitAdjacency)
    assert isinstance(read(write_stacked(sparse)).edges, EdgePairs)


@pytest.mark.parametrize("fill_value", [0, None])
def test_a_missing_chunk_holds_the_fill_value(write_stacked, causal_sets, adjacency, fill_value):
    path = write_stacked(causal_sets, fill_value=fill_value)
    for file in (path / "adjacency_matrix").glob("1.*"):
        file.unlink()
    (path / "max_pathlens_past" / "1.0").unlink()
    packed = read(path)
    for i in range(7):
        expected = causal_sets.relations[i] & (i // 3 != 1)
        np.testing.assert_array_equal(adjacency(packed, i), expected)
    assert not packed.attributes["x"].values[20:25, 1].any()


def test_sharded_compressed_and_column_major_arrays_are_read(tmp_path, make_sets, adjacency):
    sets = make_sets([9] * 8)
    layouts = {
        "sharded": (3, {"chunks": (2, 3, 3), "shards": (4, 9, 9)}),
        "zlib": (2, {"chunks": (3, 4, 4), "compressors": Zlib(1), "order": "F"}),
        "slash": (2, {"chunks": (3, 4, 4), "chunk_key_encoding": {"name": "v2", "separator": "/"}}),
    }
    for name, (zarr_format, options) in layouts.items():
        group = zarr.open_group(tmp_path / name, mode="w", zarr_format=zarr_format)
        array = group.create_array("adj", shape=(8, 9, 9), dtype="u1", **options)
        array[...] = sets.stored_adjacency("u1")
        packed = read(tmp_path / name, node_features=[], target=[])
        assert_relations(packed, sets, adjacency)


def test_the_number_of_threads_changes_nothing(write_stacked, make_sets):
    sets = make_sets(list(range(1, 41)))
    path = write_stacked(sets, chunks=(3, 7, 7))
    one = read(path, threads=1)
    assert_same(one, read(path, threads=2))
    assert_same(one, read(path, threads=5))


def test_each_chunk_is_decoded_once(write_stacked, make_sets):
    path = write_stacked(make_sets([100] * 8), chunks=(3, 40, 40))

    def opened():
        name = "/tensorstore/kvstore/file/open_read"
        (metric,) = tensorstore.experimental_collect_matching_metrics(name)
        return metric["values"][0]["value"]

    before = opened()
    packed = read(path, threads=2, node_features=[], target=[])
    metadata, sizes, adjacency = 2, 3, 3 * 3 * 3
    assert packed.num_graphs == 8
    assert opened() - before == metadata + sizes + adjacency


def damage(path, array, sample, place, value):
    zarr.open_group(path, mode="r+")[array][(sample, *place)] = value


@pytest.mark.parametrize("value", [2, 0.5, -1, np.nan])
def test_a_relation_that_is_neither_zero_nor_one_is_named(write_stacked, causal_sets, value):
    path = write_stacked(causal_sets)
    damage(path, "adjacency_matrix", 4, (10, 6), value)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == (
        f"{path}, sample 4, array 'adjacency_matrix': a relation is 0 or 1, but the entry [10, 6] "
        f"is {value:g}; fix the store, or set data.on_bad_sample to skip"
    )
    assert read(path, validate=False).num_graphs == 7


def test_an_element_that_precedes_itself_is_named(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    damage(path, "adjacency_matrix", 3, (2, 2), 1)
    with pytest.raises(DataError, match=r"sample 3, .*no partial order: element 2 precedes itself"):
        read(path)
    assert read(path, validate=False).num_graphs == 7


def test_elements_that_precede_each_other_are_named(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    damage(path, "adjacency_matrix", 1, ([4, 9], [9, 4]), [1, 1])
    with pytest.raises(DataError, match=r"sample 1, .*elements 4 and 9 precede each other"):
        read(path)


@pytest.mark.parametrize("size", [0, -2, 13])
def test_a_size_that_does_not_fit_is_named(write_stacked, causal_sets, size):
    path = write_stacked(causal_sets)
    damage(path, "cset_size", 5, (), size)
    with pytest.raises(
        DataError, match=rf"sample 5, array 'cset_size': a size of {size} does not fit .* 12 x 12"
    ):
        read(path, validate=False)


def test_a_node_feature_that_is_not_finite_is_named(write_stacked, causal_sets):
    curvature = np.zeros((7, 12), "f4")
    curvature[6, 8], curvature[0, 5:] = np.inf, np.nan
    path = write_stacked(causal_sets, changes={"curvature": curvature})
    with pytest.raises(DataError, match="sample 6, array 'curvature': the value inf is not finite"):
        read(path, node_features="curvature")
    assert np.isinf(
        read(path, node_features="curvature", validate=False).attributes["x"].values[51]
    )


def test_an_infinite_path_length_is_named(write_stacked, causal_sets):
    causal_sets.past[3][1], causal_sets.past[2][0] = np.inf, np.nan
    path = write_stacked(causal_sets)
    with pytest.raises(DataError, match="sample 3, array 'max_pathlens_past': the value inf is"):
        read(path)


def test_a_target_that_is_not_finite_is_named(write_stacked, causal_sets):
    dimension = np.full(7, 2.0)
    dimension[2] = np.nan
    path = write_stacked(causal_sets, changes={"dimension": dimension})
    with pytest.raises(DataError, match="sample 2, array 'dimension': the value nan is not finite"):
        read(path, target="dimension")


def test_a_class_without_a_name_is_an_error(write_stacked, causal_sets):
    causal_sets.types[3] = 2
    path = write_stacked(causal_sets, attributes={"class_names": ["a", "b"]})
    with pytest.raises(DataError, match="array 'cset_type': class 2 has no name; there are 2"):
        read(path)


@pytest.mark.parametrize("bytes_kept", [0, 7, 40])
def test_a_damaged_chunk_names_its_file_and_samples(write_stacked, causal_sets, bytes_kept):
    path = write_stacked(causal_sets)
    chunk = path / "adjacency_matrix" / "1.1.0"
    chunk.write_bytes(chunk.read_bytes()[:bytes_kept])
    with pytest.raises(DataError) as error:
        read(path)
    message = str(error.value)
    # Sample 3 has elements enough to reach into the chunk, as the first one in it.
    assert f"{path}, sample 3, array 'adjacency_matrix': cannot be read: " in message
    assert str(chunk) in message
    assert "the file is damaged: fix the store, or set data.on_bad" in message
    assert "tensorstore_spec" not in message


def test_a_damaged_chunk_of_features_names_its_file(write_stacked, causal_sets):
    path = write_stacked(causal_sets, zarr_format=3)
    chunk = path / "max_pathlens_past" / "c" / "2" / "1"
    chunk.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"array 'max_pathlens_past': cannot be read: .*c/2/1"):
        read(path)


def test_a_codec_that_cannot_be_decoded_is_named(write_stacked, causal_sets):
    path = write_stacked(causal_sets, compressors=LZ4())
    with pytest.raises(
        DataError, match=r'cannot be read: .*"lz4" is not registered; write the array again, compr'
    ):
        read(path)
