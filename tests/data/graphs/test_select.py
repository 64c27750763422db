from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch_geometric.data import Data

from qgpipe.data.graphs.adjacency import as_bit_rows, as_pairs
from qgpipe.data.graphs.edge_formats import as_neighbor_lists
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import BitAdjacency, EdgePairs, Edges, Packed
from qgpipe.data.graphs.select import concatenate, select


def assert_same(found: Packed, expected: Packed) -> None:
    assert type(found.edges) is type(expected.edges)
    assert found.constants == expected.constants
    assert found.explicit_num_nodes == expected.explicit_num_nodes
    np.testing.assert_equal(asdict(found), asdict(expected))


def forms(packed: Packed) -> list[object]:
    """What may differ between parts: a ragged attribute may happen to have one row a graph."""
    return [type(packed.edges), *((n, a.kind) for n, a in sorted(packed.attributes.items()))]


def chains(*sizes: int) -> list[Data]:
    """Chains 0→1→…, each with one value ``y`` and edge weights one."""
    return [
        Data(
            x=torch.full((n, 1), float(n)),
            edge_index=torch.stack([torch.arange(n - 1), torch.arange(1, n)]),
            edge_attr=torch.ones(n - 1),
            y=torch.tensor([n]),
        )
        for n in sizes
    ]


@given(
    seed=st.integers(0, 1000),
    positions=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    duplicate=st.booleans(),
)
def test_selected_graphs_are_as_if_they_had_been_packed_alone(
    make_graphs: Callable[..., list[Data]], seed: int, positions: list[int], duplicate: bool
) -> None:
    graphs = make_graphs([9, 2, 7, 16, 3, 8], seed, density=0.9, duplicate=duplicate)
    packed, expected = pack(graphs), pack([graphs[i] for i in positions], positions)
    assume(forms(packed) == forms(expected))
    assert_same(select(packed, np.array(positions)), expected)


@given(seed=st.integers(0, 1000), cut=st.integers(1, 5), duplicate=st.booleans())
def test_joined_graphs_are_as_if_they_had_been_packed_together(
    make_graphs: Callable[..., list[Data]], seed: int, cut: int, duplicate: bool
) -> None:
    graphs = make_graphs([9, 12, 7, 16, 13, 8], seed, density=0.9, duplicate=duplicate)
    parts = [pack(graphs[:cut]), pack(graphs[cut:], range(cut, 6))]
    assume(forms(parts[0]) == forms(parts[1]) == forms(pack(graphs)))
    assert_same(concatenate(parts), pack(graphs))


@pytest.mark.parametrize("convert", [as_neighbor_lists, as_bit_rows])
def test_edges_in_forms_for_batches_are_joined_and_selected_as_bits_are(
    convert: Callable[..., Edges],
) -> None:
    packed = pack(chains(4, 9, 5))
    converted = Packed(packed.sample_index, packed.node_ptr, convert(packed.edges, packed.sizes, 9))
    both = concatenate([converted, converted])
    chosen = select(both, np.array([5, 1, 0]))
    edges = as_pairs(chosen.edges, chosen.sizes)
    assert edges.edge_ptr.tolist() == [0, 4, 12, 15]
    assert edges.edge_index[1].tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3]


def test_nothing_can_be_selected() -> None:
    empty = select(pack(chains(4, 9)), np.array([], np.int64))
    assert empty.num_graphs == 0
    assert empty.attributes["x"].values.shape == (0, 1)


def test_a_single_part_is_returned_as_it_is() -> None:
    packed = pack(chains(3))
    assert concatenate([packed]) is packed


def test_an_attribute_whose_kinds_differ_becomes_ragged() -> None:
    lone, longer = chains(1), chains(3)
    joined = concatenate([pack(lone), pack(longer)])
    assert joined.attributes["x"].kind == "ragged"
    assert joined.attributes["x"].ptr is not None
    assert joined.attributes["x"].ptr.tolist() == [0, 1, 4]


def test_a_constant_that_another_part_does_not_share_is_spelt_out() -> None:
    ones, others = chains(3), chains(4)
    others[0].edge_attr = torch.tensor([2.0, 3.0, 4.0])
    joined = concatenate([pack(ones), pack(others)])
    assert joined.constants == {}
    assert joined.attributes["edge_attr"].values.tolist() == [1, 1, 2, 3, 4]
    assert joined.attributes["edge_attr"].kind == "edge"


def test_constants_that_agree_stay_constant() -> None:
    joined = concatenate([pack(chains(3)), pack(chains(4))])
    assert list(joined.constants) == ["edge_attr"]


def test_bits_and_pairs_are_joined_as_pairs() -> None:
    dense = pack([Data(edge_index=torch.ones(9, 9).nonzero().T, num_nodes=9)])
    sparse = pack([Data(edge_index=torch.tensor([[3], [5]]), num_nodes=40)])
    assert isinstance(dense.edges, BitAdjacency)
    joined = concatenate([dense, sparse])
    assert isinstance(joined.edges, EdgePairs)
    assert joined.edges.edge_ptr.tolist() == [0, 81, 82]
    assert joined.edges.edge_index[:, -1].tolist() == [3, 5]


@pytest.mark.parametrize("first", ["bits", "lists"])
def test_every_form_of_edges_is_selected_in_the_order_asked_for(first: str) -> None:
    packed = pack(chains(10, 6, 12))
    if first == "lists":
        packed.edges = as_neighbor_lists(packed.edges, packed.sizes, 12)
    chosen = select(packed, np.array([2, 0, 2]))
    assert chosen.num_edges.tolist() == [11, 9, 11]
    assert chosen.sample_index.tolist() == [2, 0, 2]
