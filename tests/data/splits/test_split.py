import json
from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit
from torch_geometric.data import Data

from qgpipe.config.resolve import resolve_config
from qgpipe.data.splits.sizes import split_sizes
from qgpipe.data.splits.split import make_split
from qgpipe.data.splits.split_file import write_split
from qgpipe.errors import ConfigError

Write = Callable[..., Path]
STAGES = ("train", "validation", "test")

percentages = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda p: sum(p) < 100)


def fractions_of(train: int, validation: int) -> list[float]:
    return [train / 100, validation / 100, (100 - train - validation) / 100]


@pytest.mark.parametrize(
    ("count", "fractions", "expected"),
    [
        (10, [0.8, 0.1, 0.1], [8, 1, 1]),
        (11, [0.8, 0.1, 0.1], [9, 1, 1]),
        (100, [0.55, 0.29, 0.16], [55, 29, 16]),
        (1000, [0.7, 0.2, 0.1], [700, 200, 100]),
        (3, [1 / 3, 1 / 3, 1 / 3], [1, 1, 1]),
        (3, [0.333333, 0.333333, 0.333334], [1, 1, 1]),
        (7, [0.9, 0.1], [7, 0]),
        (25, [0.9, 0.1], [23, 2]),
        (0, [0.8, 0.1, 0.1], [0, 0, 0]),
    ],
)
def test_sizes_are_ceil_floor_and_the_rest(
    count: int, fractions: list[float], expected: list[int]
) -> None:
    assert split_sizes(count, fractions) == expected


@given(st.integers(0, 10**7), percentages)
def test_sizes_equal_exact_arithmetic(count: int, shares: tuple[int, int]) -> None:
    train = ceil(Fraction(shares[0], 100) * count)
    validation = min(floor(Fraction(shares[1], 100) * count), count - train)
    found = split_sizes(count, fractions_of(*shares))
    assert found == [train, validation, count - train - validation]


def test_fractions_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.split: the shares \[0.8, 0.1\] sum to 0.9; they"):
        split_sizes(10, [0.8, 0.1])


def test_fractions_may_be_rounded_to_six_digits() -> None:
    assert sum(split_sizes(9, [0.3333333, 0.3333333, 0.3333333])) == 9


@given(
    count=st.integers(60, 300),
    shares=percentages.filter(lambda p: min(*p, 100 - sum(p)) >= 4),
    seed=st.integers(0, 2**32),
    classes=st.integers(1, 5),
    method=st.sampled_from(["random", "stratified"]),
    shuffle=st.booleans(),
    subset=st.sampled_from([None, 0.5, 1.0]),
)
def test_a_split_is_exact_and_disjoint(
    count: int,
    shares: tuple[int, int],
    seed: int,
    classes: int,
    method: str,
    shuffle: bool,
    subset: float | None,
) -> None:
    labels = np.random.default_rng(count).integers(0, classes, count)
    fractions = fractions_of(*shares)
    split = make_split(count, fractions, seed, method, labels, shuffle, subset)
    used = count if subset is None else ceil(subset * count)
    assert [len(split[stage]) for stage in STAGES] == split_sizes(used, fractions)
    together = np.concatenate([split[stage] for stage in STAGES])
    assert len(set(together.tolist())) == used
    assert together.min() >= 0
    assert together.max() < count


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=6).filter(lambda c: sum(c) >= 30),
    seed=st.integers(0, 1000),
)
def test_a_stratified_split_is_within_one_of_every_classs_share(
    counts: list[int], seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    split = make_split(len(labels), [0.6, 0.2, 0.2], seed, "stratified", labels)
    found = np.bincount(labels[split["train"]], minlength=len(counts))
    exact = np.array(counts) * len(split["train"]) / len(labels)
    assert (np.abs(found - exact) < 1).all()
    rest = np.array(counts) - found
    found = np.bincount(labels[split["validation"]], minlength=len(counts))
    assert (np.abs(found - rest * len(split["validation"]) / rest.sum()) < 1).all()


def test_a_stratified_split_has_the_class_counts_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    split = make_split(100, [0.8, 0.1, 0.1], 0, "stratified", labels)
    train, _ = next(StratifiedShuffleSplit(1, train_size=80).split(labels, labels))
    assert np.bincount(labels[split["train"]]).tolist() == np.bincount(labels[train]).tolist()
    assert np.bincount(labels[split["test"]]).tolist() == [5, 3, 2]


def test_the_seed_decides_the_split() -> None:
    first, again, other = (make_split(100, [0.8, 0.1, 0.1], seed) for seed in (4, 4, 5))
    assert all(np.array_equal(first[stage], again[stage]) for stage in STAGES)
    assert not np.array_equal(first["test"], other["test"])


def test_shuffling_before_gives_another_split() -> None:
    plain = make_split(100, [0.8, 0.1, 0.1], 4)
    shuffled = make_split(100, [0.8, 0.1, 0.1], 4, shuffle=True)
    assert not np.array_equal(plain["test"], shuffled["test"])


def test_training_positions_are_mixed_and_the_others_ascend() -> None:
    split = make_split(200, [0.8, 0.1, 0.1], 0)
    assert (np.diff(split["train"]) < 0).any()
    assert (np.diff(split["validation"]) > 0).all()
    assert (np.diff(split["test"]) > 0).all()


def test_a_subset_is_a_share_of_the_graphs() -> None:
    split = make_split(101, [0.8, 0.1, 0.1], 0, subset=0.3)
    assert sum(map(len, split.values())) == 31


def test_two_fractions_leave_out_the_test_set() -> None:
    assert {k: len(v) for k, v in make_split(10, [0.7, 0.3], 0).items()} == {
        "train": 7,
        "validation": 3,
    }


def test_an_empty_part_is_a_config_error_with_the_counts() -> None:
    message = r"data.split: \[0.8, 0.1, 0.1\] of 5 graphs leaves a part empty \(4 train, 0 val"
    with pytest.raises(ConfigError, match=message):
        make_split(5, [0.8, 0.1, 0.1], 0)


@pytest.mark.parametrize("labels", [None, np.zeros(50)])
def test_stratified_without_integer_targets_is_a_config_error(labels: np.ndarray | None) -> None:
    with pytest.raises(ConfigError, match=r"data.split_method: stratified needs integer targets"):
        make_split(50, [0.8, 0.1, 0.1], 0, "stratified", labels)


def config(**changes: Any) -> dict[str, Any]:
    """A resolved configuration; ``data_…`` changes a key of ``data``, others a whole section."""
    raw: dict[str, Any] = {
        "data": {"files": ["a.zarr"]},
        "model": {"encoder_type": "torch.nn.Identity", "downstream_tasks": ["torch.nn.Identity"]},
        "training": {"seed": 3, "num_epochs": 1, "batch_size": 4},
        "validation": {},
        "criterion": "mymodule.loss",
    }
    for key, value in changes.items():
        section, _, name = key.partition("_")
        if name:
            raw[section][name] = value
        else:
            raw[section] = {**raw.get(section, {}), **value}
    return resolve_config(raw)


def split_of(config: dict[str, Any], dataset: Path) -> dict[str, Any]:
    write_split(config, dataset, dataset.parent / "split.json")
    return json.loads((dataset.parent / "split.json").read_text())


def test_a_seed_of_its_own_decides_the_split(stores, write_dataset_of, tmp_path) -> None:
    dataset = write_dataset_of(tmp_path, stores)
    by_training = split_of(config(), dataset)
    own = [split_of(config(data_seed=3, training={"seed": seed}), dataset) for seed in (1, 2)]
    assert own == [by_training, by_training]
    assert split_of(config(data_seed=4), dataset)["train"] != by_training["train"]


@pytest.fixture
def stores(make_graphs: Callable[..., list[Data]]) -> list[list[Data]]:
    """Stores of 20, 10 and 8 graphs."""
    return [make_graphs([2 + i % 5 for i in range(count)], count) for count in (20, 10, 8)]


def test_the_file_says_how_the_split_came_about(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    split = split_of(config(), write_dataset_of(tmp_path, stores[:2]))
    assert {k: split[k] for k in ("format", "method", "seed", "fractions", "num_graphs")} == {
        "format": 1,
        "method": "random",
        "seed": 3,
        "fractions": [0.8, 0.1, 0.1],
        "num_graphs": 30,
    }
    expected = make_split(30, [0.8, 0.1, 0.1], 3)
    assert [split[stage] for stage in STAGES] == [expected[stage].tolist() for stage in STAGES]


def test_the_file_counts_the_classes(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    split = split_of(config(data_split_method="stratified"), write_dataset_of(tmp_path, stores))
    targets = np.array([int(graph.y) for graphs in stores for graph in graphs])
    for stage in STAGES:
        values, counts = np.unique(targets[split[stage]], return_counts=True)
        expected = dict(zip(map(str, values), counts.tolist(), strict=True))
        assert split["class_counts"][stage] == expected


def test_real_targets_have_no_class_counts(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    for graph in stores[0]:
        graph.y = torch.tensor(0.5)
    assert split_of(config(), write_dataset_of(tmp_path, stores[:1]))["class_counts"] is None


def test_a_test_set_of_its_own_is_not_split(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    dataset = write_dataset_of(tmp_path, stores, ["all", "test", "all"])
    settings = config(data_split=[0.75, 0.25], testing={"data": {"files": ["t.zarr"]}})
    split = split_of(settings, dataset)
    assert split["test"] == list(range(20, 30))
    assert sorted(split["train"] + split["validation"]) == [*range(20), *range(30, 38)]
    assert len(split["train"]) == 21


def test_data_in_every_stage_needs_no_splitting(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    dataset = write_dataset_of(tmp_path, stores, ["validation", "train", "test"])
    own = {"data": {"files": ["s.zarr"]}}
    split = split_of(config(data={"files": []}, training=own, validation=own, testing=own), dataset)
    assert split["train"] == list(range(20, 30))
    assert split["validation"] == list(range(20))
    assert split["test"] == list(range(30, 38))
    assert (split["method"], split["fractions"]) == ("given", None)


def test_a_stage_draws_its_own_subset(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    dataset = write_dataset_of(tmp_path, stores, ["all", "test", "all"])
    source = {"data": {"files": ["t.zarr"], "subset": 0.45}}
    split = split_of(config(data_split=[0.75, 0.25], testing=source), dataset)
    assert len(split["test"]) == 5
    assert set(split["test"]) <= set(range(20, 30))
    assert len(split["train"] + split["validation"]) == 28


def test_parts_without_graphs_are_passed_over(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    dataset = write_dataset_of(tmp_path, [[], stores[0], []])
    split = split_of(config(), dataset)
    assert sorted(split["train"] + split["validation"] + split["test"]) == list(range(20))
    assert split["class_counts"] is not None


def test_a_stage_without_graphs_is_a_config_error(
    stores: list[list[Data]], write_dataset_of: Write, tmp_path: Path
) -> None:
    dataset = write_dataset_of(tmp_path, [stores[0], []], ["all", "test"])
    settings = config(data_split=[0.75, 0.25], testing={"data": {"files": ["t.zarr"]}})
    with pytest.raises(ConfigError, match=r"has no graphs for test \(15 train, 5 validation, 0 t"):
        write_split(settings, dataset, tmp_path / "split.json")
    assert not (tmp_path / "split.json").exists()
