import random
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Subset
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import DataError
from qgpipe.message_passing.edge_format import EdgeFormat

SIZES = [9, 17, 6, 12, 8, 3, 5, 4, 11, 7, 2]


@pytest.fixture(scope="module")
def graphs(make_graphs: Callable[..., list[Data]]) -> list[Data]:
    return make_graphs(SIZES, density=0.8)


@pytest.fixture(scope="module")
def dataset(
    graphs: list[Data],
    write_dataset_of: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> PackedDataset:
    """Eleven graphs in two parts."""
    path = write_dataset_of(tmp_path_factory.mktemp("data"), [graphs[:4], graphs[4:]])
    return PackedDataset(path)


def positions(loader: GraphLoader, epoch: int = 0, start_batch: int = 0) -> list[list[int]]:
    return [batch.sample_position.tolist() for batch in loader.iterate(epoch, start_batch)]


def add_noise(data: Data) -> Data:
    data.noise = torch.rand(1) + np.random.rand() + random.random()  # noqa: NPY002
    return data


def fail_on_five(data: Data) -> Data:
    if data.num_nodes == 5:
        raise RuntimeError("five")
    return data


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_equal_those_of_pygs_loader(
    dataset: PackedDataset,
    graphs: list[Data],
    num_workers: int,
    assert_same_batch: Callable[[Batch, Batch], None],
) -> None:
    ours = list(GraphLoader(dataset, 4, num_workers=num_workers))
    theirs = list(DataLoader(graphs, 4))
    assert len(ours) == len(theirs) == 3
    for found, expected in zip(ours, theirs, strict=True):
        assert_same_batch(found, expected)


@given(seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000), batch_size=st.integers(1, 12))
def test_the_order_is_a_permutation_that_seed_and_epoch_decide(
    dataset: PackedDataset, seed: int, epoch: int, batch_size: int
) -> None:
    loader = GraphLoader(dataset, batch_size, shuffle=True, seed=seed)
    order = loader.order(epoch)
    assert sorted(order.tolist()) == list(range(11))
    again = GraphLoader(dataset, 3, shuffle=True, seed=seed)
    again.set_epoch(epoch + 1)
    assert again.order(epoch).tolist() == order.tolist()


def test_epochs_and_seeds_have_orders_of_their_own(dataset: PackedDataset) -> None:
    orders = [
        GraphLoader(dataset, 1, shuffle=True, seed=seed).order(epoch).tolist()
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len({tuple(order) for order in orders}) == 4


@given(seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000))
def test_batches_of_like_size_hold_every_graph_once(
    dataset: PackedDataset, seed: int, epoch: int
) -> None:
    loader = GraphLoader(dataset, 3, shuffle=True, seed=seed, bucket_by_size=True)
    order = loader.order(epoch)
    assert sorted(order.tolist()) == list(range(11))
    again = GraphLoader(dataset, 3, shuffle=True, seed=seed, bucket_by_size=True)
    assert again.order(epoch).tolist() == order.tolist()
    sizes = np.array(SIZES)[order]
    batches = sorted(sizes[start : start + 3].tolist() for start in (0, 3, 6))
    # The nine graphs of full batches are one stretch, and so sorted over all of it.
    assert [size for batch in batches for size in batch] == sorted(sizes[:9].tolist())


def test_with_batches_of_like_size_any_graph_can_be_in_the_last(dataset: PackedDataset) -> None:
    loader = GraphLoader(dataset, 3, shuffle=True, bucket_by_size=True)
    last = {position for epoch in range(40) for position in loader.order(epoch)[9:].tolist()}
    assert last == set(range(11))


def test_without_shuffling_sizes_do_not_matter(dataset: PackedDataset) -> None:
    assert GraphLoader(dataset, 3, bucket_by_size=True).order(1).tolist() == list(range(11))


def test_without_shuffling_the_order_is_that_of_the_view(dataset: PackedDataset) -> None:
    loader = GraphLoader(dataset[[7, 2, 9]], 2)
    assert loader.order(5).tolist() == [7, 2, 9]
    assert positions(loader, epoch=5) == [[7, 2], [9]]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_batches_follow_the_order(dataset: PackedDataset, num_workers: int) -> None:
    loader = GraphLoader(dataset, 3, shuffle=True, num_workers=num_workers, prefetch_factor=1)
    order = loader.order(2).tolist()
    assert positions(loader, 2) == [order[0:3], order[3:6], order[6:9], order[9:]]


def test_set_epoch_chooses_what_iterating_follows(dataset: PackedDataset) -> None:
    loader = GraphLoader(dataset, 4, shuffle=True)
    loader.set_epoch(3)
    found = [batch.sample_position.tolist() for batch in loader]
    assert found == positions(loader, 3) != positions(loader, 0)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("transform", [None, add_noise])
def test_an_epoch_can_be_entered_at_any_batch(
    dataset: PackedDataset, num_workers: int, transform: Callable[[Data], Data] | None
) -> None:
    view = dataset[:]
    view.transform = transform
    loader = GraphLoader(view, 4, shuffle=True, num_workers=num_workers)
    whole = positions(loader, 1)
    assert positions(loader, 1, start_batch=2) == whole[2:]
    assert positions(loader, 1, start_batch=3) == []


@pytest.mark.parametrize(("drop_last", "lengths"), [(False, [4, 4, 3]), (True, [4, 4])])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_last_batch_that_is_not_full_can_be_left_out(
    dataset: PackedDataset, drop_last: bool, lengths: list[int], num_workers: int
) -> None:
    loader = GraphLoader(dataset, 4, drop_last=drop_last, num_workers=num_workers)
    assert [batch.num_graphs for batch in loader] == lengths
    assert len(loader) == len(lengths)


def test_a_subset_of_a_subset_is_the_view_it_stands_for(dataset: PackedDataset) -> None:
    loader = GraphLoader(Subset(Subset(dataset, [8, 5, 2, 1]), [3, 1]), 2)
    assert isinstance(loader.dataset, PackedDataset)
    assert positions(loader) == [[1, 5]]


def test_an_error_in_a_thread_is_raised_where_batches_are_used(
    dataset: PackedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(order: np.ndarray, edge_format: EdgeFormat) -> list[Batch]:
        if 7 in order:
            raise RuntimeError("seven")
        return PackedDataset.batches(view, order, edge_format)

    view = dataset[:]
    monkeypatch.setattr(view, "batches", batches)
    loading = GraphLoader(view, 2, num_workers=2).iterate(0)
    assert [next(loading).num_graphs for _ in range(3)] == [2, 2, 2]
    with pytest.raises(RuntimeError, match="seven"):
        next(loading)


def test_threads_end_when_iteration_is_given_up(dataset: PackedDataset) -> None:
    before = threading.active_count()
    batches = GraphLoader(dataset, 1, num_workers=3).iterate(0)
    next(batches)
    assert threading.active_count() > before
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_threads_prepare_only_so_many_batches_ahead(
    dataset: PackedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assembled: list[int] = []

    def batches(order: np.ndarray, edge_format: EdgeFormat) -> list[Batch]:
        assembled.append(len(order))
        return PackedDataset.batches(view, order, edge_format)

    view = dataset[:]
    monkeypatch.setattr(view, "batches", batches)
    loading = GraphLoader(view, 1, num_workers=1, prefetch_factor=2).iterate(0)
    next(loading)
    loading.close()  # type: ignore[attr-defined]
    assert 1 <= len(assembled) <= 3


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_transform_is_applied_to_each_graph(
    dataset: PackedDataset, graphs: list[Data], num_workers: int
) -> None:
    view = dataset[:]
    view.transform = add_noise
    loader = GraphLoader(view, 4, num_workers=num_workers)
    for batch, expected in zip(loader, DataLoader(graphs, 4), strict=True):
        assert batch.noise.shape == (batch.num_graphs,)
        assert torch.equal(batch.x, expected.x)
        assert torch.equal(batch.edge_index, expected.edge_index)
        assert batch.num_graphs == expected.num_graphs


def test_random_transforms_depend_on_seed_epoch_and_graph_alone(dataset: PackedDataset) -> None:
    view = dataset[:]
    view.transform = add_noise

    def noise(batch_size: int, num_workers: int, epoch: int, start: int = 0) -> list[float]:
        loader = GraphLoader(view, batch_size, num_workers=num_workers, seed=3)
        return torch.cat([b.noise for b in loader.iterate(epoch, start)]).tolist()

    assert noise(4, 0, 1) == noise(3, 2, 1)
    assert noise(4, 0, 1)[8:] == noise(4, 0, 1, start=2)
    assert noise(4, 0, 1) != noise(4, 0, 2)


def test_loading_leaves_the_state_of_random_generators_alone(dataset: PackedDataset) -> None:
    view = dataset[:]
    view.transform = add_noise

    def draw() -> tuple[float, float, float]:
        return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002

    def seed() -> None:
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)

    seed()
    expected = draw()
    for num_workers in (0, 1):
        seed()
        list(GraphLoader(view, 4, shuffle=True, num_workers=num_workers))
        list(GraphLoader(dataset, 4, shuffle=True, num_workers=num_workers))
        assert draw() == expected


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_a_transform_is_raised_where_batches_are_used(
    dataset: PackedDataset, num_workers: int
) -> None:
    view = dataset[:]
    view.transform = fail_on_five
    with pytest.raises(DataError, match=r"^sample s1/2: data\.transform failed: .*: five \("):
        list(GraphLoader(view, 4, num_workers=num_workers))


def test_persistent_workers_go_on_with_the_next_epoch(dataset: PackedDataset) -> None:
    view = dataset[:]
    view.transform = add_noise
    loader = GraphLoader(view, 4, shuffle=True, num_workers=1, persistent_workers=True)
    plain = GraphLoader(dataset, 4, shuffle=True)
    for epoch in (0, 1):
        assert positions(loader, epoch) == positions(plain, epoch)
    next(loader.iterate(2))
    assert positions(loader, 3, start_batch=1) == positions(plain, 3, start_batch=1)


def test_pinning_is_left_out_without_a_gpu(
    dataset: PackedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    batch = next(iter(GraphLoader(dataset, 4, pin_memory=True)))
    assert not batch.x.is_pinned()


@pytest.mark.gpu
@pytest.mark.parametrize("transform", [None, add_noise])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_are_pinned_for_a_gpu(
    dataset: PackedDataset, num_workers: int, transform: Callable[[Data], Data] | None
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    view = dataset[:]
    view.transform = transform
    batch = next(iter(GraphLoader(view, 4, num_workers=num_workers, pin_memory=True)))
    assert batch.x.is_pinned()
    assert batch.edge_index.is_pinned()


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 2, "num_workers": -1}])
def test_impossible_numbers_are_refused(dataset: PackedDataset, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="there are no"):
        GraphLoader(dataset, **options)
