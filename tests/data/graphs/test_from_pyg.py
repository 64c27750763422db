import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData

from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import BitAdjacency, ConstantEdges, EdgePairs
from qgpipe.errors import DataError

EDGES = torch.tensor([[0, 0, 1], [1, 2, 2]])


def graph(**attributes: object) -> Data:
    """A chain of three, with its transitive relation."""
    return Data(edge_index=EDGES, **{"num_nodes": 3, **attributes})


def test_sorted_unique_dense_edges_become_bits() -> None:
    packed = pack([graph()])
    assert isinstance(packed.edges, BitAdjacency)
    assert packed.edges.bits.tolist() == [0b110, 0b100, 0, 0, 0, 0, 0, 0]


def test_sparse_edges_become_pairs() -> None:
    packed = pack([Data(edge_index=torch.tensor([[7], [90]]), num_nodes=100)])
    assert isinstance(packed.edges, EdgePairs)
    assert packed.edges.edge_index.dtype == np.uint16
    assert packed.edges.edge_index.tolist() == [[7], [90]]


@pytest.mark.parametrize(
    "edges", [[[1, 0, 0], [2, 1, 2]], [[0, 0, 0, 1], [1, 1, 2, 2]]], ids=["unsorted", "duplicate"]
)
def test_edges_that_bits_cannot_hold_keep_their_order_as_pairs(edges: list[list[int]]) -> None:
    packed = pack([Data(edge_index=torch.tensor(edges), num_nodes=3)])
    assert isinstance(packed.edges, EdgePairs)
    assert packed.edges.edge_index.tolist() == edges


def test_an_edge_index_of_pyg_is_taken_as_plain_numbers() -> None:
    packed = pack([Data(edge_index=EdgeIndex(EDGES, sparse_size=(3, 3)), num_nodes=3)])
    assert packed.num_edges.tolist() == [3]


def test_a_graph_without_edges_is_packed() -> None:
    packed = pack([Data(x=torch.ones(2, 1), edge_index=torch.empty(2, 0, dtype=torch.long))])
    assert packed.num_edges.tolist() == [0]
    assert packed.sizes.tolist() == [2]


def test_no_graphs_at_all_are_packed() -> None:
    packed = pack([])
    assert packed.num_graphs == 0
    assert packed.node_ptr.tolist() == [0]


def test_edge_attributes_of_one_are_declared_instead_of_stored() -> None:
    packed = pack([graph(edge_attr=torch.ones(3), num_nodes=4)] * 2)
    assert packed.constants == {"edge_attr": ConstantEdges(1, "float32", ())}
    assert "edge_attr" not in packed.attributes


def test_other_edge_attributes_are_stored() -> None:
    packed = pack([graph(edge_attr=torch.tensor([1.0, 1.0, 2.0]))])
    assert packed.attributes["edge_attr"].values.tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("x", torch.zeros(3, 2), "node"),
        ("weight", torch.zeros(4), "edge"),
        ("y", torch.tensor(1), "graph"),
        ("graph_features", torch.zeros(1, 5), "graph"),
        ("marks", torch.zeros(7, 2), "ragged"),
    ],
)
def test_rows_are_recognised_by_their_number(name: str, value: Tensor, kind: str) -> None:
    edges = torch.tensor([[0, 0, 1, 2], [1, 2, 2, 0]])
    packed = pack([Data(edge_index=edges, num_nodes=3, **{name: value})])
    assert packed.attributes[name].kind == kind


def test_nodes_and_edges_of_the_same_number_count_as_nodes() -> None:
    assert pack([graph(weight=torch.zeros(3))]).attributes["weight"].kind == "node"


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.float16, torch.float64])
def test_types_are_kept(dtype: torch.dtype) -> None:
    packed = pack([graph(x=torch.zeros(3, 1, dtype=dtype))])
    assert torch.from_numpy(packed.attributes["x"].values).dtype == dtype


@pytest.mark.parametrize(
    ("values", "dtype"), [((1, 2), "i8"), ((1, 2.5), "f4"), ((True, False), "?")]
)
def test_numbers_become_the_tensors_that_pyg_makes_of_them(
    values: tuple[float, float], dtype: str
) -> None:
    packed = pack([graph(size=values[0]), graph(size=values[1])])
    assert packed.attributes["size"].values.dtype == np.dtype(dtype)
    assert packed.attributes["size"].values.tolist() == list(values)


def test_gradients_are_left_behind() -> None:
    packed = pack([graph(x=torch.ones(3, 1, requires_grad=True))])
    assert packed.attributes["x"].values.tolist() == [[1], [1], [1]]


def test_rules_of_a_users_own_data_class_are_kept() -> None:
    class Pair(Data):
        def __cat_dim__(self, key: str, value: object, *args: object) -> object:
            return None if key == "table" else super().__cat_dim__(key, value, *args)

        def __inc__(self, key: str, value: object, *args: object) -> object:
            return self.num_nodes if key == "roots" else super().__inc__(key, value, *args)

    packed = pack([Pair(edge_index=EDGES, x=torch.ones(3, 1), table=EDGES, roots=EDGES[0])] * 2)
    assert packed.attributes["table"].scalar
    assert packed.attributes["table"].values.shape == (2, 2, 3)
    assert packed.attributes["roots"].increment


def test_the_samples_are_remembered() -> None:
    assert pack([graph(), graph()], [5, 9]).sample_index.tolist() == [5, 9]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (graph(), "attribute 'x' is missing"),
        (graph(x=torch.zeros(3, 2), z=1), "attribute 'z' is not in sample 5"),
        (graph(x=torch.zeros(3, 3)), r"attribute 'x' shape \(3,\) instead of \(2,\)"),
        (graph(x=torch.zeros(3)), "attribute 'x' is torch.float32 with 1 dimensions"),
        (graph(x=torch.zeros(3, 2).double()), "attribute 'x' is torch.float64"),
        (graph(x=1.5), "attribute 'x' cannot pack float"),
        (HeteroData(), "expected a PyG Data, got HeteroData"),
        (Batch.from_data_list([graph()]), "expected a PyG Data, got DataBatch"),
        (None, "expected a PyG Data, got NoneType"),
        (Data(x=torch.zeros(3, 2)), "attribute 'edge_index' is missing"),
    ],
)
def test_a_graph_that_disagrees_with_the_first_is_named(second: Data, message: str) -> None:
    with pytest.raises(DataError, match=f"^a.zarr, sample 8: {message}"):
        pack([graph(x=torch.zeros(3, 2)), second], [5, 8], "a.zarr")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "cannot pack str; use dense tensors or numbers"),
        ([1, 2], "cannot pack list"),
        (np.zeros(3), "cannot pack ndarray"),
        (torch.eye(3).to_sparse(), "cannot pack a torch.sparse_coo tensor"),
        (torch.zeros(3, dtype=torch.bfloat16), "cannot pack torch.bfloat16; use another dtype"),
        (torch.zeros(3, dtype=torch.complex64), "cannot pack torch.complex64"),
    ],
)
def test_what_cannot_be_packed_is_named(value: object, message: str) -> None:
    with pytest.raises(DataError, match=f"sample 0: attribute 'z' {message}"):
        pack([graph(z=value)])


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (torch.tensor([[0], [3]]), "names node 3 of a graph of 3 nodes"),
        (torch.tensor([[0], [-1]]), "names node -1 of a graph of 3 nodes"),
        (torch.tensor([[0.0], [1.0]]), "expected integers, got torch.float32"),
        (torch.tensor([0, 1]), r"expected a tensor of shape \(2, number of edges\)"),
    ],
)
def test_edges_that_are_no_pairs_of_nodes_are_refused(edges: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=f"sample 0: attribute 'edge_index' {message}"):
        pack([Data(edge_index=edges, num_nodes=3)])


@pytest.mark.parametrize("name", ["batch", "ptr", "sample_position"])
def test_names_that_batches_use_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}' is a name that batches use themselves; rename"):
        pack([graph(**{name: torch.zeros(3)})])


def test_an_increment_that_is_not_the_number_of_nodes_is_refused() -> None:
    with pytest.raises(DataError, match="'batches' is joined with an increment of 8, which can"):
        pack([graph(batches=torch.tensor([7]))])


def test_a_number_among_tensors_is_refused() -> None:
    with pytest.raises(DataError, match="sample 1: attribute 'z' expected a number, got Tensor"):
        pack([graph(z=1), graph(z=torch.tensor(1))])
