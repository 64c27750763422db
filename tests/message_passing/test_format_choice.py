from typing import Any

import pytest
from torch import nn
from torch_geometric.nn import GATConv, SAGEConv

from qgpipe.errors import ConfigError
from qgpipe.message_passing.format_choice import DENSE_ELSEWHERE, DENSE_ON_CPU, Density, choose

LINKS = Density(graphs=10, edges=3_000, pairs=10 * 256**2, largest=256)
SMALL = Density(graphs=10, edges=10 * 45, pairs=10 * 10**2, largest=10)
CHAINS = Density(graphs=10, edges=10 * 256 * 255 // 2, pairs=10 * 256**2, largest=256)
SPRINKLED = Density(graphs=10, edges=10 * 256**2 // 4, pairs=10 * 256**2, largest=256)
LARGE = Density(graphs=10, edges=10 * 2048**2 // 4, pairs=10 * 2048**2, largest=2048)


def test_the_share_of_edges_is_that_of_all_pairs() -> None:
    assert Density(graphs=2, edges=8, pairs=32, largest=4).share == 0.25
    assert str(Density(2, 8, 32, 4)) == "4 edges a graph, 25.0 % of all pairs of nodes"
    assert Density(0, 0, 0, 0).share == 0


@pytest.mark.parametrize(
    ("density", "device", "edge_format"),
    [
        (SMALL, "cpu", "edges"),
        (LINKS, "cpu", "csr"),
        (CHAINS, "cpu", "dense"),
        (LARGE, "cpu", "dense"),
        (SPRINKLED, "cpu", "csr"),
        (LINKS, "cuda", "csr"),
        (CHAINS, "cuda", "dense"),
    ],
)
def test_the_form_follows_from_size_and_density(
    density: Density, device: str, edge_format: str
) -> None:
    choice = choose("auto", SAGEConv(2, 3), True, density, device)
    assert choice.edge_format == edge_format
    assert choice.reason == f"{density}, on {device}"


def test_a_gpu_takes_dense_products_earlier() -> None:
    assert DENSE_ELSEWHERE < DENSE_ON_CPU


@pytest.mark.parametrize("edge_format", ["edges", "csr", "dense"])
def test_a_configured_form_is_taken(edge_format: str) -> None:
    choice = choose(edge_format, nn.ModuleList([SAGEConv(2, 3)]), True, LINKS, "cpu")
    assert (choice.edge_format, choice.reason) == (edge_format, "as configured")


def test_what_must_be_the_same_to_the_bit_is_not_multiplied_by_cusparse() -> None:
    def edge_format(requested: Any, density: Density, device: str) -> str:
        return choose(
            requested, SAGEConv(2, 3), True, density, device, deterministic=True
        ).edge_format

    assert edge_format("auto", LINKS, "cuda") == "edges"
    assert edge_format("auto", CHAINS, "cuda") == "dense"
    assert edge_format("auto", SMALL, "cuda") == "edges"
    assert edge_format("edges", LINKS, "cuda") == "edges"
    assert edge_format("csr", LINKS, "cpu") == "csr"
    with pytest.raises(ConfigError, match=r"training\.message_passing: sparse products on a GPU"):
        edge_format("csr", LINKS, "cuda")


@pytest.mark.parametrize("requested", ["auto", "dense"])
def test_a_model_that_cannot_use_another_form_gets_edge_index(requested: str) -> None:
    choice = choose(requested, GATConv(2, 3), True, CHAINS, "cpu")
    assert choice.edge_format == "edges"
    assert choice.reason == "no layer is one of SAGEConv, GraphConv, GINConv, GCNConv"
    assert choose(requested, SAGEConv(2, 3), False, CHAINS, "cpu").edge_format == "edges"
