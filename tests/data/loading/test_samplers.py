"""Samplers: which graphs an epoch draws."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Sampler

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.data.loading.samplers import ByClass, build_sampler
from qgpipe.errors import ConfigError

KEY = "training.sampler"


def test_every_class_is_drawn_as_often() -> None:
    classes = np.repeat([0, 2, 5], [9000, 900, 100])
    drawn = ByClass(classes).draw(seed=1, epoch=3)
    assert len(drawn) == 10_000
    shares = [(classes[drawn] == kind).mean() for kind in (0, 2, 5)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)  # four standard deviations
    _, of_each = np.unique(drawn[classes[drawn] == 5], return_counts=True)
    assert len(of_each) == 100  # 33 times each on average
    assert of_each.min() > 10 and of_each.max() < 70


def test_an_epoch_is_drawn_the_same_each_time_and_another_is_not() -> None:
    sampler = ByClass(np.arange(50) % 3)
    first = sampler.draw(1, 1).tolist()
    assert sampler.draw(1, 1).tolist() == first
    assert sampler.draw(1, 2).tolist() != first
    assert sampler.draw(2, 1).tolist() != first


class Backwards(Sampler):
    def __init__(self, data_source: PackedDataset, extra: int = 0) -> None:
        self.indices = [*range(len(data_source) - 1, -1, -1), *[0] * extra]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


@pytest.fixture(scope="module")
def dataset(
    make_graphs: Callable, write_dataset_of: Callable, tmp_path_factory: pytest.TempPathFactory
) -> PackedDataset:
    """Six of eight graphs."""
    path = write_dataset_of(
        tmp_path_factory.mktemp("data"), [make_graphs([3, 4, 5, 6, 3, 4, 5, 6])]
    )
    return PackedDataset(path)[[1, 2, 3, 5, 6, 7]]


def test_a_sampler_of_torch_gets_the_training_set(dataset: PackedDataset) -> None:
    loader = GraphLoader(dataset, 4, sampler=build_sampler(Backwards, dataset, KEY))
    assert [b.sample_position.tolist() for b in loader] == [[7, 6, 5, 3], [2, 1]]
    again = [b.sample_position.tolist() for b in loader.iterate(0, start_batch=1)]
    assert again == [[2, 1]]


def test_a_random_one_is_a_function_of_seed_and_epoch(dataset: PackedDataset) -> None:
    weights = {"weights": [0.0, 0.0, 1.0, 1.0, 0.0, 1.0], "num_samples": 6}
    spec = {"type": "torch.utils.data.WeightedRandomSampler", "kwargs": weights}
    sampler = build_sampler(spec, dataset, KEY)
    assert sampler is not None
    state = torch.get_rng_state()
    drawn = [sampler.draw(7, epoch).tolist() for epoch in (1, 1, 2, 3, 4)]
    assert torch.equal(torch.get_rng_state(), state)
    assert drawn[0] == drawn[1]
    assert len({tuple(one) for one in drawn}) > 1
    assert {index for one in drawn for index in one} == {2, 3, 5}


def test_more_indices_than_graphs_are_refused(dataset: PackedDataset) -> None:
    sampler = build_sampler({"type": Backwards, "kwargs": {"extra": 1}}, dataset, KEY)
    assert sampler is not None
    with pytest.raises(ConfigError, match="sampler: it gives 7 indices from 0 to 5 for 6 graphs"):
        sampler.draw(1, 1)


def test_graphs_without_classes_cannot_be_drawn_by_class(
    make_graphs: Callable, write_dataset_of: Callable, tmp_path: Path
) -> None:
    graphs = make_graphs([3, 4, 5])
    for graph in graphs:
        graph.y = torch.rand(())
    dataset = PackedDataset(write_dataset_of(tmp_path, [graphs]))
    with pytest.raises(ConfigError, match="the graphs have no classes to draw equally often"):
        build_sampler("weighted", dataset, KEY)
