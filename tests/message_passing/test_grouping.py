import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qgpipe.data.graphs.packed import offsets
from qgpipe.message_passing import grouping
from qgpipe.message_passing.grouping import Grouping


def group(sizes: list[int]) -> Grouping:
    array = np.array(sizes, np.int64)
    return Grouping(array, torch.from_numpy(offsets(array)))


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(0, 200), min_size=1, max_size=40))
def test_every_node_has_a_place_of_its_own(sizes: list[int]) -> None:
    groups = group(sizes)
    places = sum(graphs * size for _, graphs, size in groups.extents)
    assert len(groups.filler) == len(groups.taken) == places
    assert len(set(groups.slot.tolist())) == len(groups.slot) == sum(sizes)
    assert groups.filler[groups.slot].tolist() == list(range(sum(sizes)))
    assert groups.taken.sum() == sum(sizes)
    assert groups.taken[groups.slot].all()


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=40))
def test_a_place_that_is_left_over_is_filled_from_the_same_graph(sizes: list[int]) -> None:
    groups = group(sizes)
    graph = torch.repeat_interleave(torch.tensor(sizes))
    for start, graphs, size in groups.extents:
        part = graph[groups.filler[start : start + graphs * size]].view(graphs, size)
        assert (part == part[:, :1]).all()


def test_graphs_of_one_size_are_one_group() -> None:
    assert group([64] * 32).extents == [(0, 32, 64)]


def test_small_and_large_graphs_are_not_padded_to_the_same_size() -> None:
    assert group([512, 64] * 8).extents == [(0, 8, 64), (8 * 64, 8, 512)]


def test_sizes_are_rounded_up_to_whole_bytes_of_bits() -> None:
    assert group([9]).extents == [(0, 1, 16)]


def test_where_groups_cost_much_there_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(grouping.GROUP_COST, "cpu", 10**9)
    assert group([512, 64] * 8).extents == [(0, 16, 512)]
