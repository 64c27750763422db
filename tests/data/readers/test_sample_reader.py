from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import zarr
from torch_geometric.data import Data
from torch_geometric.utils import dense_to_sparse

from qgpipe.data.graphs.batch import to_data
from qgpipe.data.graphs.select import select
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.readers import sample_reader
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.data.readers.sample_reader import with_packed, with_reader
from qgpipe.errors import DataError


def reader(store, idx, float_dtype, int_dtype, validate):
    g = zarr.open_group(store.root)
    cset_size = int(g["cset_size"][idx])
    adj = np.transpose(g["adjacency_matrix"][idx, :, :])[:cset_size, :cset_size]
    edge_index, edge_weight = dense_to_sparse(torch.tensor(adj, dtype=torch.float32))
    x = torch.tensor(g["max_pathlens_future"][idx, :][:cset_size], dtype=float_dtype).unsqueeze(1)
    y = torch.tensor(int(g["manifold_like"][idx]), dtype=torch.long)
    return Data(x=x, edge_index=edge_index, edge_attr=edge_weight, y=y)


def group_reader(store, idx, float_dtype, int_dtype, validate):
    group = store[f"cset_{idx + 1}"]
    edge_index, _ = dense_to_sparse(torch.tensor(group["adj"][:].T))
    x = torch.tensor(group["max_pathlens_future"][:], dtype=float_dtype).unsqueeze(1)
    return Data(x=x, edge_index=edge_index, y=torch.tensor(group["cset_type"][:], dtype=int_dtype))


def small(store, idx, *_):
    """A graph of one edge, straight from the arrays."""
    n = int(store["cset_size"][idx])
    return Data(x=torch.full((n, 1), float(idx)), edge_index=torch.tensor([[0], [1]]))


def source(**changes):
    defaults = {
        "pre_filter": None,
        "pre_transform": None,
        "validate_data": True,
        "validate_order": False,
        "float_type": "torch.float32",
        "int_type": "!pyobject torch.int64",
    }
    return {**defaults, **changes}


@pytest.fixture
def path(write_stacked, causal_sets):
    return write_stacked(causal_sets)


@pytest.fixture
def ranges_of_two(monkeypatch):
    monkeypatch.setattr(sample_reader, "RANGE", 2)


def read(path, function, start=0, stop=7, processes=1, **changes):
    bad = BadSamples(open_store(path))
    return with_reader(function, source(**changes), bad).read(start, stop, processes)


def graphs(packed):
    return [to_data(select(packed, np.array([i]))) for i in range(packed.num_graphs)]


def test_the_reader_of_the_manual_gives_its_graphs(path, causal_sets):
    packed, filtered = read(path, reader)
    assert (packed.num_graphs, filtered) == (7, 0)
    for i, graph in enumerate(graphs(packed)):
        source_, target = np.nonzero(causal_sets.relations[i])
        assert graph.edge_index.tolist() == [source_.tolist(), target.tolist()]
        assert graph.edge_attr.tolist() == [1.0] * len(source_)
        assert graph.x[:, 0].tolist() == causal_sets.future[i].tolist()
        assert graph.y == int(causal_sets.manifold_like[i])


def test_a_reader_of_groups_counts_from_zero(write_groups, causal_sets):
    packed, _ = read(write_groups(causal_sets), group_reader, 2, 5)
    assert packed.sample_index.tolist() == [2, 3, 4]
    np.testing.assert_array_equal(packed.attributes["y"].values, causal_sets.types[2:5])
    np.testing.assert_array_equal(packed.sizes, causal_sets.sizes[2:5])


def test_types_and_validate_are_handed_over(path):
    seen = []

    def note(store, idx, float_dtype, int_dtype, validate):
        seen.append((float_dtype, int_dtype, validate))
        return small(store, idx)

    read(path, note, 0, 1, float_type=torch.float64, validate_data=False)
    assert seen == [(torch.float64, torch.int64, False)]


def test_the_filter_sees_what_the_reader_returned(path, causal_sets):
    packed, filtered = read(
        path,
        lambda store, idx, *_: {"n": int(store["cset_size"][idx])},
        pre_filter=lambda sample: sample["n"] > 5,
        pre_transform=lambda sample: Data(
            x=torch.ones(sample["n"], 1), edge_index=torch.empty(2, 0, dtype=torch.long)
        ),
    )
    assert packed.sample_index.tolist() == [1, 3, 4, 6]
    assert packed.sizes.tolist() == [12, 8, 11, 9]
    assert filtered == 3


def test_everything_may_be_filtered_out(path):
    packed, filtered = read(path, small, pre_filter=lambda graph: False)
    assert (packed.num_graphs, filtered) == (0, 7)


@pytest.mark.usefixtures("ranges_of_two")
def test_processes_change_nothing_and_may_run_local_functions(path, write_stacked, make_sets):
    def keep(graph):
        return graph.num_nodes != 3

    path = write_stacked(make_sets([5, 12, 3, 8, 11, 4, 9]), name="fine.zarr", chunks=(1, 12, 12))
    one, filtered = read(path, reader, pre_filter=keep)
    two, filtered_by_two = read(path, reader, processes=2, pre_filter=keep)
    assert filtered == filtered_by_two == 1
    np.testing.assert_array_equal(one.sample_index, two.sample_index)
    assert [g.to_dict().keys() for g in graphs(one)] == [g.to_dict().keys() for g in graphs(two)]
    for mine, theirs in zip(graphs(one), graphs(two), strict=True):
        for name, value in mine.to_dict().items():
            assert torch.equal(value, theirs[name])


def noisy(store, idx, *_):
    """A graph with random features."""
    draws = [random.random(), np.random.random(), torch.rand(()).item()]  # noqa: NPY002
    return Data(x=torch.tensor([draws]), edge_index=torch.empty(2, 0, dtype=torch.long))


def add_noise(graph):
    graph.noise = torch.randn(1, 2)
    return graph


@pytest.mark.usefixtures("ranges_of_two")
def test_random_numbers_depend_on_the_sample_alone(write_stacked, make_sets):
    path = write_stacked(make_sets([5, 12, 3, 8, 11, 4, 9]), chunks=(1, 12, 12))
    whole, _ = read(path, noisy, pre_transform=add_noise)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    two, _ = read(path, noisy, processes=2, pre_transform=add_noise)
    part, _ = read(path, noisy, 3, 7, pre_transform=add_noise)
    for name in ("x", "noise"):
        values = whole.attributes[name].values
        assert len(np.unique(values)) == values.size
        np.testing.assert_array_equal(two.attributes[name].values, values)
        np.testing.assert_array_equal(part.attributes[name].values, values[3:])
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


def test_samples_of_another_store_draw_other_numbers(write_stacked, causal_sets):
    one, other = (
        read(write_stacked(causal_sets, name=name), noisy)[0] for name in ("a.zarr", "b.zarr")
    )
    assert not np.isin(one.attributes["x"].values, other.attributes["x"].values).any()


@pytest.mark.usefixtures("ranges_of_two")
def test_edges_take_the_smaller_form_over_all_ranges(write_stacked, make_sets):
    dense = make_sets([40] * 6, density=0.6)
    dense.relations[0][:], dense.relations[1][:] = False, False
    path = write_stacked(dense, chunks=(1, 40, 40))
    packed, _ = read(path, reader, 0, 6)
    expected = CausalSetReader().read(open_store(path), 0, 6).edges
    assert type(packed.edges) is type(expected)
    np.testing.assert_array_equal(packed.edges.bits, expected.bits)


def fail(*_):
    raise ZeroDivisionError("n is zero")


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("data.reader", {"function": fail}),
        ("data.pre_filter", {"pre_filter": fail}),
        ("data.pre_transform", {"pre_transform": fail}),
    ],
)
def test_a_function_that_fails_is_named_with_the_sample(path, key, changes):
    with pytest.raises(DataError) as error:
        read(path, changes.pop("function", small), 3, 7, **changes)
    line = fail.__code__.co_firstlineno + 1
    assert str(error.value) == (
        f"{path}, sample 3: {key} failed: ZeroDivisionError: n is zero "
        f"(test_sample_reader.py, line {line}); the log has the traceback"
    )
    assert isinstance(error.value.__cause__, ZeroDivisionError)


@pytest.mark.usefixtures("ranges_of_two")
def test_a_failure_in_another_process_is_named_and_keeps_its_traceback(write_stacked, causal_sets):
    path = write_stacked(causal_sets, chunks=(1, 12, 12))

    def fails_at_five(store, idx, *_):
        return fail() if idx == 5 else small(store, idx)

    with pytest.raises(DataError, match=r"sample 5: data\.reader failed: ZeroDivision") as error:
        read(path, fails_at_five, processes=2)
    assert "in fails_at_five" in str(error.value.__cause__)


def test_what_is_no_graph_is_refused(path):
    with pytest.raises(
        DataError, match=r"sample 0: expected a torch_geometric Data, got dict; .*pre_transform"
    ):
        read(path, lambda *_: {})


def test_node_features_that_are_not_finite_are_named(path):
    def with_nan(store, idx, *_):
        graph = small(store, idx)
        if idx == 4:
            graph.x[9] = torch.nan
        return graph

    with pytest.raises(DataError, match="sample 4: x of node 9 is not finite"):
        read(path, with_nan)
    assert read(path, with_nan, validate_data=False)[0].num_graphs == 7


def test_the_built_in_reader_can_be_filtered_and_transformed(path, causal_sets):
    store = open_store(path)
    packed = CausalSetReader().read(store, 1, 7)

    def add_degree(graph):
        degree = torch.bincount(graph.edge_index[0], minlength=graph.num_nodes)
        graph.x = torch.cat([graph.x, degree[:, None]], dim=1)
        return graph

    functions = source(pre_filter=lambda graph: graph.num_nodes > 8, pre_transform=add_degree)
    result, filtered = with_packed(packed, functions, BadSamples(store)).read(1, 7, 1)
    assert result.sample_index.tolist() == [1, 4, 6]
    assert filtered == 3
    np.testing.assert_array_equal(
        result.attributes["x"].values[:12, 2], causal_sets.relations[1].sum(1)
    )


@pytest.mark.usefixtures("ranges_of_two")
def test_the_built_in_reader_can_be_filtered_in_several_processes(write_stacked, causal_sets):
    store = open_store(write_stacked(causal_sets, chunks=(1, 12, 12)))
    packed = CausalSetReader().read(store, 0, 7)
    functions = source(pre_filter=lambda graph: graph.num_nodes > 8)
    one = with_packed(packed, functions, BadSamples(store)).read(0, 7, 1)
    two = with_packed(packed, functions, BadSamples(store)).read(0, 7, 3)
    assert one[1] == two[1] == 4
    np.testing.assert_array_equal(one[0].edges.bits, two[0].edges.bits)
