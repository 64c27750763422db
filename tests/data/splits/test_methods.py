"""Splits by group and by hash, and folds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold
from torch_geometric.data import Data

from qgpipe.causets.writers.generate import generate_store
from qgpipe.config.resolve import resolve_config
from qgpipe.data.preprocessing.part import preprocess_part, write_dataset
from qgpipe.data.preprocessing.plan import plan_parts
from qgpipe.data.splits.methods import sample_keys, strata, uniform
from qgpipe.data.splits.sizes import STAGES
from qgpipe.data.splits.split import make_split
from qgpipe.data.splits.split_file import write_split
from qgpipe.data.storage.part_file import read_graph_attribute
from qgpipe.errors import ConfigError

SHARES = [0.6, 0.2, 0.2]
seeds = st.integers(0, 2**32)
group_sizes = st.lists(st.integers(1, 20), min_size=3, max_size=30)


def splitmix64(state: int) -> int:
    """One output, in exact integers (Steele, Lea and Flood 2014)."""
    word = 2**64 - 1
    z = (state + 0x9E3779B97F4A7C15) & word
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & word
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & word
    return z ^ (z >> 31)


def by_hash(keys: np.ndarray, seed: int = 1, **options: Any) -> dict[str, np.ndarray]:
    return make_split(len(keys), SHARES, seed, "hash", keys=keys, **options)


def by_group(groups: np.ndarray, seed: int = 1, **options: Any) -> dict[str, np.ndarray]:
    return make_split(len(groups), SHARES, seed, "group", groups=groups, **options)


def is_partition(split: dict[str, np.ndarray], count: int) -> bool:
    together = np.concatenate([split[stage] for stage in STAGES])
    return sorted(together.tolist()) == list(range(count))


def test_the_generator_behind_the_hash_gives_its_published_numbers() -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF


def test_a_key_is_splitmix64_of_the_name_and_the_place() -> None:
    start = int.from_bytes(bytes.fromhex("ca978112ca1bbdca"), "little")  # of sha256("a")
    expected = [splitmix64((start + i * 0x9E3779B97F4A7C15) % 2**64) for i in (0, 1, 5000)]
    assert sample_keys("a", np.array([0, 1, 5000])).tolist() == expected


def test_keys_give_the_same_numbers_for_ever() -> None:
    numbers = uniform(sample_keys("causets", np.arange(3)), 42, 0)
    expected = [0.9007622461433905, 0.669605068619431, 0.6384951966187172]
    assert numbers.tolist() == expected


@given(seeds)
def test_shares_by_hash_are_met_on_average(seed: int) -> None:
    split = by_hash(sample_keys("store", np.arange(2000)), seed)
    assert is_partition(split, 2000)
    for stage, share in zip(STAGES, SHARES, strict=True):
        deviation = (2000 * share * (1 - share)) ** 0.5
        assert abs(len(split[stage]) - 2000 * share) < 6 * deviation


@given(
    counts=st.lists(st.integers(40, 80), min_size=1, max_size=3),
    more=st.integers(0, 40),
    seed=seeds,
    options=st.sampled_from([{}, {"subset": 0.7}, {"folds": 3, "fold": 2}, {"shuffle": True}]),
)
def test_new_data_never_moves_a_sample_that_is_assigned_by_hash(
    counts: list[int], more: int, seed: int, options: dict[str, Any]
) -> None:
    stores = [sample_keys(f"store{i}", np.arange(count)) for i, count in enumerate(counts)]
    grown = [sample_keys("new", np.arange(50))]
    grown += [sample_keys(f"store{i}", np.arange(n + more)) for i, n in enumerate(counts)]
    before, after = np.concatenate(stores), np.concatenate(grown)
    old = by_hash(before, seed, **options)
    new = by_hash(after, seed, **options)
    for stage in STAGES:
        here = set(before[old[stage]].tolist())
        assert here == set(after[new[stage]].tolist()) & set(before.tolist())


def test_another_seed_or_another_store_gives_another_hash_split() -> None:
    first = by_hash(sample_keys("a", np.arange(200)), 1)
    for keys, seed in (
        (sample_keys("a", np.arange(200)), 2),
        (sample_keys("b", np.arange(200)), 1),
    ):
        assert not np.array_equal(first["test"], by_hash(keys, seed)["test"])


@given(group_sizes, seeds, st.booleans())
def test_groups_stay_whole_in_sets_of_nearly_their_shares(
    sizes: list[int], seed: int, shuffle: bool
) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    split = by_group(groups, seed, shuffle=shuffle)
    assert is_partition(split, len(groups))
    held = [set(groups[split[stage]].tolist()) for stage in STAGES]
    assert sum(map(len, held)) == len(set.union(*held)) == len(sizes)
    for stage, share in zip(STAGES, SHARES, strict=True):
        assert 0 < len(split[stage]) < share * len(groups) + max(sizes) + 1e-9


def test_equal_groups_are_shared_exactly() -> None:
    groups = np.repeat(np.arange(10), 7)
    assert [len(by_group(groups)[stage]) for stage in STAGES] == [42, 14, 14]


def test_the_seed_decides_which_groups_are_tested() -> None:
    groups = np.repeat(np.arange(10), 7)
    tested = {tuple(np.unique(groups[by_group(groups, seed)["test"]])) for seed in range(20)}
    assert len(tested) > 5


def test_fewer_groups_than_sets_are_a_config_error() -> None:
    with pytest.raises(
        ConfigError, match=r"data.split: 3 sets need as many groups, but .* gives 2"
    ):
        by_group(np.array([1, 2, 1, 2]))


@given(
    sizes=group_sizes,
    folds=st.integers(2, 6),
    seed=seeds,
    method=st.sampled_from(["random", "stratified", "group"]),
    two=st.booleans(),
)
def test_every_sample_is_in_exactly_one_test_fold(
    sizes: list[int], folds: int, seed: int, method: str, two: bool
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    assume(len(labels) >= 4 * folds and len(sizes) >= folds + 2)
    assume(method != "stratified" or min(sizes) >= folds)
    assume(method != "group" or folds > 2)  # of two, one may hold all groups but one
    shares = [0.75, 0.25] if two else SHARES
    known = {"groups": labels, "labels": labels, "folds": folds}
    splits = [
        make_split(len(labels), shares, seed, method, fold=fold, **known)
        for fold in range(1, folds + 1)
    ]
    tested = np.concatenate([split["test"] for split in splits])
    assert sorted(tested.tolist()) == list(range(len(labels)))
    for split in splits:
        assert is_partition(split, len(labels))
        if method == "group":
            assert not set(labels[split["test"]]) & set(labels[split["train"]])
            assert not set(labels[split["validation"]]) & set(labels[split["train"]])
        else:
            assert abs(len(split["test"]) - len(labels) / folds) < 1
            assert len(split["train"]) == np.ceil(0.75 * (len(labels) - len(split["test"])))


@given(
    counts=st.lists(st.integers(5, 40), min_size=2, max_size=5),
    folds=st.integers(2, 5),
    seed=seeds,
)
def test_stratified_folds_have_the_class_counts_of_scikit_learn(
    counts: list[int], folds: int, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)

    def table(tests: list[np.ndarray]) -> list[list[int]]:
        """Sorted: which fold gets the odd one is arbitrary."""
        by_fold = [np.bincount(labels[test], minlength=len(counts)) for test in tests]
        return np.sort(by_fold, axis=0).tolist()

    ours = [
        make_split(len(labels), SHARES, seed, "stratified", labels, folds=folds, fold=k)["test"]
        for k in range(1, folds + 1)
    ]
    theirs = [test for _, test in StratifiedKFold(folds).split(labels, labels)]
    assert table(ours) == table(theirs)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("stratified", "data.folds: 4 stratified folds, but class 1 has 3 graphs; use 3 folds"),
        ("group", "data.folds: 4 folds need as many groups, but data.group_by gives 2; use fewer"),
    ],
)
def test_more_folds_than_there_are_of_something_are_a_config_error(
    method: str, message: str
) -> None:
    labels = np.repeat([0, 1], [20, 3])
    with pytest.raises(ConfigError, match=message):
        make_split(23, SHARES, 0, method, labels, groups=labels, folds=4, fold=1)


def test_more_folds_than_graphs_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"data.folds: 9 folds of 8 graphs; use fewer"):
        make_split(8, SHARES, 0, folds=9, fold=1)


def configuration(files: list[str], **data: Any) -> dict[str, Any]:
    return resolve_config(
        {
            "data": {"files": files, "split": SHARES, **data},
            "model": {
                "encoder_type": "torch.nn.Identity",
                "downstream_tasks": ["torch.nn.Identity"],
            },
            "training": {"seed": 3, "num_epochs": 1, "batch_size": 4},
            "criterion": "mymodule.loss",
        }
    )


def prepared(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The split of the stores of ``config``, read by its reader."""
    parts, stores = [], {}
    for part in plan_parts(config):
        parts.append(folder / f"{part.name}.safetensors")
        preprocess_part(config, part.path, part.store, part.start, part.stop, parts[-1])
        stores[part.store] = part.describe_store()
    write_dataset(parts, list(stores.values()), folder / "dataset.json")
    write_split(config, folder / "dataset.json", folder / "split.json")
    return json.loads((folder / "split.json").read_text())


@pytest.mark.parametrize("shape", [(30,), (30, 1)])
@pytest.mark.parametrize("filtered", [False, True])
def test_a_group_is_an_array_of_the_store(
    make_sets: Callable, write_stacked: Callable, tmp_path: Path, shape: tuple, filtered: bool
) -> None:
    parents = np.arange(30) % 6 + 1000
    store = write_stacked(make_sets([4] * 30), changes={"parent": parents.reshape(shape)})
    config = configuration([str(store)], split_method="group", group_by="parent", chunksize=11)
    if filtered:
        config["data"]["pre_filter"] = lambda graph: int(graph.parent) != 1003
    split = prepared(config, tmp_path)
    kept = [i for i in range(30) if not filtered or i % 6 != 3]
    held = [{kept[k] % 6 for k in split[stage]} for stage in STAGES]
    assert sum(map(len, held)) == len(set.union(*held)) == (5 if filtered else 6)
    assert (split["method"], split["group_by"]) == ("group", "parent")


def test_a_group_is_an_array_of_each_group_of_a_store(
    make_sets: Callable, write_groups: Callable, tmp_path: Path
) -> None:
    store = write_groups(make_sets([3, 4, 5, 6, 7] * 2))
    config = configuration([str(store)], split_method="group", group_by="cset_type")
    assert is_partition({k: np.array(v) for k, v in prepared(config, tmp_path).items()}, 10)


def test_a_group_is_what_a_reader_sets(
    make_graphs: Callable, write_dataset_of: Callable, tmp_path: Path
) -> None:
    graphs: list[Data] = make_graphs([3] * 24)
    for i, graph in enumerate(graphs):
        graph.family = torch.tensor([i % 4])
    dataset = write_dataset_of(tmp_path, [graphs])
    config = configuration(["a.zarr"], split_method="group", group_by="family")
    write_split(config, dataset, tmp_path / "split.json")
    split = json.loads((tmp_path / "split.json").read_text())
    assert sum(len({i % 4 for i in split[stage]}) for stage in STAGES) == 4
    config["data"]["group_by"] = "x"
    with pytest.raises(
        ConfigError, match=r"data.group_by: the graphs have no attribute 'x' of one"
    ):
        write_split(config, dataset, tmp_path / "split.json")


def test_a_store_without_the_array_is_found_while_parts_are_planned(
    make_sets: Callable, write_stacked: Callable
) -> None:
    store = write_stacked(make_sets([4] * 3))
    config = configuration([str(store)], split_method="group", group_by="cset_typ")
    message = r"data.group_by: there is no array 'cset_typ' in .*; did you mean 'cset_type'\?"
    with pytest.raises(ConfigError, match=message):
        plan_parts(config)


def test_generated_stores_have_arrays_to_group_by() -> None:
    config = configuration(["a.zarr"], split_method="group", group_by="manifold_like")
    config["data"]["files"] = []
    made = {"num_samples": 5, "size": [3, 4], "stores": ["a"], "layout": "stacked"}
    config["generate"] = {**made, "seed": 0, "classes": ["complex_topology", "kr"]}
    for name in ("manifold_like", "genus", "layers"):
        config["data"]["group_by"] = name
        assert [part.name for part in plan_parts(config)] == ["a-000000000"]
    config["data"]["group_by"] = "manifoldlike"
    with pytest.raises(
        ConfigError, match=r"data.group_by: there is no array 'manifoldlike' in gen"
    ):
        plan_parts(config)


def test_the_hash_split_of_a_store_is_kept_when_another_is_put_before_it(
    make_sets: Callable, write_stacked: Callable, tmp_path: Path
) -> None:
    first = str(write_stacked(make_sets([4] * 40), "first.zarr"))
    other = str(write_stacked(make_sets([4] * 25, seed=1), "other.zarr"))
    alone = prepared(configuration([first], split_method="hash"), tmp_path / "alone")
    both = prepared(configuration([other, first], split_method="hash"), tmp_path / "both")
    for stage in STAGES:
        assert sorted(alone[stage]) == sorted(i - 25 for i in both[stage] if i >= 25)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"split_method": "group"}, "data.group_by: nothing says what the groups are"),
        ({"fold": 2}, "data.fold: there is no fold 2; give data.folds, too"),
        ({"folds": 3, "fold": 4}, "data.fold: there is no fold 4; use 1 to 3"),
    ],
)
def test_what_belongs_together_is_asked_for(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configuration(["a.zarr"], **data)


def test_folds_of_data_with_a_test_set_of_its_own_are_a_config_error() -> None:
    config = configuration(["a.zarr"], split=[0.8, 0.2], folds=3, fold=1)
    with pytest.raises(ConfigError, match=r"data.folds: the samples that are tested on are named"):
        resolve_config({**config, "testing": {"data": {"files": ["t.zarr"]}}})


def test_strata_are_classes_and_values() -> None:
    labels, values = np.array([0, 0, 1, 1, 1, 0]), np.array([3, 5, 3, 5, 5, 3])
    assert strata(values, None).tolist() == [0, 1, 0, 1, 1, 0]
    assert strata(values, labels).tolist() == [0, 1, 2, 3, 3, 0]


@given(seeds)
def test_strata_of_real_numbers_are_ten_of_equal_size_and_one_for_nan(seed: int) -> None:
    values = np.random.default_rng(seed).random(250)
    values[200:] = np.nan
    found = strata(values, None)
    assert np.bincount(found).tolist() == [50, *[20] * 10]
    order = np.argsort(values[:200])
    assert (np.diff(found[:200][order]) >= 0).all()


def test_strata_of_unknown_values_alone_are_one() -> None:
    assert strata(np.full(5, np.nan), None).tolist() == [0] * 5


def test_a_split_by_what_generated_sets_were_made_of_keeps_its_shares(tmp_path: Path) -> None:
    made = {"seed": 1, "layout": "stacked", "stores": ["a"], "num_samples": 160, "size": [8, 12]}
    options = {
        "split": [0.5, 0.25, 0.25],
        "split_method": "stratified",
        "stratify_by": "flip_share",
    }
    config = configuration(["a.zarr"], **options)
    config["generate"] = {**made, "classes": ["destroyed", "kr"]}
    config["data"] |= {"files": [], "output": str(tmp_path / "data")}
    store, part = tmp_path / "a.zarr", tmp_path / "data" / "a.safetensors"
    generate_store(config["generate"], "a", store)
    part.parent.mkdir()
    preprocess_part(config, store, "a", 0, 160, part)
    facts = {"name": "a", "path": str(store), "layout": "stacked", "role": "all"}
    write_dataset([part], [{**facts, "num_samples": 160}], part.parent / "dataset.json")
    write_split(config, part.parent / "dataset.json", tmp_path / "split.json")
    split = json.loads((tmp_path / "split.json").read_text())
    shares = read_graph_attribute(part, "flip_share")
    known = np.flatnonzero(np.isfinite(shares))
    assert known.tolist() == list(range(0, 160, 2))
    tenth = np.argsort(np.argsort(shares[known])) // 8
    for stage, wanted in (("train", 4), ("validation", 2), ("test", 2)):
        counts = np.bincount(tenth[np.isin(known, split[stage])], minlength=10)
        assert np.abs(counts - wanted).max() <= 1
    assert split["stratify_by"] == "flip_share"
