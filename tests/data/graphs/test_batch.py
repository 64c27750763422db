import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.batch import to_batch, to_data
from qgpipe.data.graphs.edge_formats import in_edge_format
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.graphs.select import select

MakeGraphs = Callable[..., list[Data]]
Check = Callable[[Batch, Batch], None]


def batch_of(packed: Packed) -> Batch:
    return to_batch(packed, np.arange(packed.num_graphs))


class Paired(Data):
    """Stacks its tables, joins its columns along axis 1, and counts its roots by nodes."""

    def __cat_dim__(self, key: str, value: Any, *args: Any) -> Any:
        rules = {"table": None, "columns": 1}
        return rules[key] if key in rules else super().__cat_dim__(key, value, *args)

    def __inc__(self, key: str, value: Any, *args: Any) -> Any:
        rules = {"roots": self.num_nodes, "plain_index": 0}
        return rules[key] if key in rules else super().__inc__(key, value, *args)


def paired_graphs() -> list[Paired]:
    return [
        Paired(
            x=torch.rand(n, 2),
            edge_index=torch.tensor([[0], [1]]),
            table=torch.rand(2, 3),
            columns=torch.rand(2, n),
            roots=torch.arange(n),
            plain_index=torch.arange(2),
            batches=torch.tensor([-1]),
        )
        for n in (3, 5, 2)
    ]


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=7),
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    duplicate=st.booleans(),
    in_memory=st.booleans(),
)
def test_a_batch_equals_that_of_pyg_in_every_field(
    make_graphs: MakeGraphs,
    assert_same_batch: Check,
    sizes: list[int],
    seed: int,
    density: float,
    duplicate: bool,
    in_memory: bool,
) -> None:
    graphs = make_graphs(sizes, seed, density, duplicate)
    packed = in_edge_format(pack(graphs), "edges", 300) if in_memory else pack(graphs)
    assert_same_batch(batch_of(packed), Batch.from_data_list(graphs))


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    seed=st.integers(0, 10_000),
    duplicate=st.booleans(),
)
def test_graphs_taken_out_one_by_one_are_batched_by_pyg_as_the_originals(
    make_graphs: MakeGraphs,
    assert_same_batch: Check,
    sizes: list[int],
    seed: int,
    duplicate: bool,
) -> None:
    graphs = make_graphs(sizes, seed, duplicate=duplicate)
    packed = pack(graphs)
    singles = [to_data(select(packed, np.array([i]))) for i in range(len(sizes))]
    assert_same_batch(Batch.from_data_list(singles), Batch.from_data_list(graphs))


def test_a_batch_can_be_taken_apart_again(make_graphs: MakeGraphs) -> None:
    graphs = make_graphs([4, 1, 7])
    theirs = Batch.from_data_list(graphs).to_data_list()
    for found, expected in zip(batch_of(pack(graphs)).to_data_list(), theirs, strict=True):
        for name in expected.keys():  # noqa: SIM118  PyG's data are no mappings
            assert torch.equal(torch.as_tensor(found[name]), torch.as_tensor(expected[name]))


def test_graphs_of_nodes_that_nothing_counts_keep_their_number(assert_same_batch: Check) -> None:
    graphs = [Data(edge_index=torch.tensor([[0], [1]]), num_nodes=n) for n in (2, 5)]
    ours = batch_of(pack(graphs))
    assert_same_batch(ours, Batch.from_data_list(graphs))
    assert ours.num_nodes == 7
    assert [data.num_nodes for data in ours.to_data_list()] == [2, 5]
    assert to_data(select(pack(graphs), np.array([1]))).num_nodes == 5


def test_graphs_without_nodes_are_batched(assert_same_batch: Check) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    graphs = [Data(x=torch.rand(n, 1), edge_index=none) for n in (0, 2, 0)]
    assert_same_batch(batch_of(pack(graphs)), Batch.from_data_list(graphs))


def test_indices_of_other_types_keep_them(assert_same_batch: Check) -> None:
    edges = torch.tensor([[0], [1]])
    graphs = [
        Data(x=torch.rand(3, 1), edge_index=edges, small_index=torch.tensor([1, 2]).to(dtype))
        for dtype in (torch.int32, torch.int32)
    ]
    assert_same_batch(batch_of(pack(graphs)), Batch.from_data_list(graphs))


def test_rules_of_a_users_own_data_class_are_followed(assert_same_batch: Check) -> None:
    graphs = paired_graphs()
    packed = pack(graphs)
    assert_same_batch(batch_of(packed), Batch.from_data_list(graphs))
    singles = [to_data(select(packed, np.array([i]))) for i in range(3)]
    assert_same_batch(Batch.from_data_list(singles), Batch.from_data_list(graphs))


def test_a_graph_with_rules_of_its_own_survives_pickling() -> None:
    data = to_data(select(pack(paired_graphs()), np.array([1])))
    again = pickle.loads(pickle.dumps(data))
    assert again.__cat_dim__("table", again.table) is None
    assert again.__inc__("roots", again.roots) == 5


def test_usual_attributes_give_plain_pyg_classes(make_graphs: MakeGraphs) -> None:
    packed = pack(make_graphs([3, 4]))
    assert type(to_data(select(packed, np.array([0])))) is Data
    assert type(batch_of(packed)) is type(Batch.from_data_list(make_graphs([3, 4])))


def test_positions_are_kept_beside_the_graphs(make_graphs: MakeGraphs) -> None:
    positions = np.array([8, 3])
    batch = to_batch(pack(make_graphs([3, 4])), positions)
    assert batch.sample_position.tolist() == [8, 3]
    batch.sample_position += 1
    assert positions.tolist() == [8, 3]


def test_batches_do_not_share_their_attributes(make_graphs: MakeGraphs) -> None:
    packed = pack(make_graphs([3, 4]))
    first = batch_of(packed)
    first.note = "mine"
    assert "note" not in batch_of(packed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_constant_edge_attributes_come_back_with_type_and_shape(dtype: torch.dtype) -> None:
    edges = torch.tensor([[0, 0, 1, 1], [1, 2, 0, 2]])
    graphs = [Data(x=torch.rand(3, 1), edge_index=edges, edge_attr=torch.ones(4, 2, dtype=dtype))]
    packed = pack(graphs)
    assert list(packed.constants) == ["edge_attr"]
    for found in (batch_of(packed), to_data(packed)):
        assert torch.equal(found.edge_attr, graphs[0].edge_attr)
        assert found.edge_attr.dtype == dtype
