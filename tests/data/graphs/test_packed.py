import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.data.graphs.packed import (
    Attribute,
    BitAdjacency,
    ConstantEdges,
    EdgePairs,
    Packed,
    offsets,
    ranges,
)


@pytest.fixture
def two_graphs() -> Packed:
    """A path 0→1→2 and a lone node, with one edge attribute that is not stored."""
    return Packed(
        sample_index=np.array([4, 7]),
        node_ptr=np.array([0, 3, 4]),
        edges=EdgePairs(np.array([[0, 1], [1, 2]], np.uint16), np.array([0, 2, 2])),
        attributes={"x": Attribute(np.zeros((4, 2)), "node")},
        constants={"edge_attr": ConstantEdges(1, "float32", (3,))},
    )


def test_offsets_are_the_running_sum_with_a_leading_zero() -> None:
    assert offsets(np.array([3, 0, 2])).tolist() == [0, 3, 3, 5]


def test_offsets_of_nothing_is_a_single_zero() -> None:
    assert offsets(np.array([], np.int64)).tolist() == [0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6))))
def test_ranges_equal_the_ranges_one_by_one(spans: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in spans], np.int64)
    lengths = np.array([length for _, length in spans], np.int64)
    expected = [i for start, length in spans for i in range(start, start + length)]
    assert ranges(starts, lengths).tolist() == expected


def test_counts_follow_from_the_offsets(two_graphs: Packed) -> None:
    assert two_graphs.num_graphs == 2
    assert two_graphs.sizes.tolist() == [3, 1]
    assert two_graphs.num_edges.tolist() == [2, 0]


def test_bits_know_the_offsets_of_their_edges() -> None:
    bits = BitAdjacency(np.zeros(16, np.uint8), np.array([0, 8, 16]), np.array([2, 5]))
    packed = Packed(np.arange(2), np.array([0, 3, 6]), bits)
    assert packed.edge_ptr.tolist() == [0, 2, 7]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("node", [0, 3, 4]), ("edge", [0, 2, 2]), ("graph", [0, 1, 2]), ("ragged", [0, 5, 6])],
)
def test_the_rows_of_an_attribute_follow_its_kind(
    two_graphs: Packed, kind: str, expected: list[int]
) -> None:
    ptr = np.array([0, 5, 6]) if kind == "ragged" else None
    attribute = Attribute(np.zeros(6), kind, ptr)  # type: ignore[arg-type]
    assert two_graphs.ptr_of(attribute).tolist() == expected


def test_a_constant_edge_attribute_is_spelt_out_on_request(two_graphs: Packed) -> None:
    attribute = two_graphs.attribute("edge_attr")
    assert attribute.kind == "edge"
    assert attribute.values.dtype == np.float32
    assert np.array_equal(attribute.values, np.ones((2, 3)))


@pytest.mark.parametrize(
    "module",
    ["graphs.packed", "graphs.adjacency", "graphs.select", "storage.part_file", "splits.split"],
)
def test_preprocessing_and_splitting_import_no_torch(module: str) -> None:
    code = f"import sys, qgpipe.data.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
