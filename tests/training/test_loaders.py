import numpy as np
import pytest
from torch_geometric.loader import DataLoader

from qgpipe.errors import DataError
from qgpipe.system.files import write_json
from qgpipe.training.loaders import fingerprint_data, fingerprint_split, open_loaders


def marked(data):
    data.marked = True
    return data


def test_each_stage_has_its_part_of_the_split(make_config, open_data):
    train, validation, test = open_data(make_config())
    assert [len(loader.dataset) for loader in (train, validation, test)] == [40, 10, 10]
    assert validation.dataset.positions.tolist() == list(range(40, 50))


def test_each_stage_has_its_own_options(make_config, open_data):
    loaders = open_data(
        make_config(
            training={"batch_size": 16, "drop_last": True},
            validation={"batch_size": 5},
            testing={"batch_size": 3, "shuffle": True},
        )
    )
    assert [loader.batch_size for loader in loaders] == [16, 5, 3]
    assert [loader.shuffle for loader in loaders] == [True, False, True]
    assert [loader.drop_last for loader in loaders] == [True, False, False]
    assert {loader.seed for loader in loaders} == {7}


def test_without_a_validation_its_loader_is_like_that_of_the_test(make_config, open_data):
    loaders = open_data(make_config(validation=None, testing={"batch_size": 3}))
    assert loaders.validation.batch_size == 3


def test_a_transform_is_applied_to_every_graph(make_config, open_data):
    loaders = open_data(make_config(data={"transform": marked}))
    for loader in loaders:
        assert next(iter(loader)).marked.all()


def test_a_test_set_of_its_own_has_its_own_transform(make_config, data):
    config = make_config(
        data={"split": [0.9, 0.1]},
        testing={"data": {"files": ["other.zarr"], "transform": marked}},
    )
    loaders = open_loaders(config, *data)
    assert loaders.train.dataset.transform is None
    assert loaders.test.dataset.transform is marked


def test_all_sets_of_a_split_are_of_the_same_data(make_config, open_data):
    first, again = (open_data(make_config()) for _ in range(2))
    assert fingerprint_data(first.train) == fingerprint_data(again.train)
    assert fingerprint_data(first.train) == fingerprint_data(first.test)
    assert fingerprint_split(first.train) == fingerprint_split(again.train)
    assert fingerprint_split(first.train) != fingerprint_split(first.test)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_fingerprint_is_that_of_content_not_of_place(make_data, make_config, tmp_path, seed):
    config = make_config()
    one, two = (
        open_loaders(config, *make_data(tmp_path / name, seed=s)).train
        for name, s in (("one", 0), ("two", seed))
    )
    assert (fingerprint_data(one) == fingerprint_data(two)) is (seed == 0)


def test_the_order_of_the_samples_counts(make_config, open_data):
    loader = open_data(make_config()).train
    before = fingerprint_split(loader)
    loader.dataset = loader.dataset[np.arange(40)[::-1]]
    assert fingerprint_split(loader) != before


@pytest.mark.parametrize(
    ("option", "value", "same"),
    [("seed", 8, False), ("shuffle", False, False), ("batch_size", 9, False),
     ("drop_last", True, False), ("num_workers", 3, True), ("prefetch_factor", 1, True)],
)  # fmt: skip
def test_what_shapes_the_batches_counts_and_how_they_are_made_does_not(
    make_config, open_data, option, value, same
):
    before, after = (open_data(make_config(training=t)).train for t in ({}, {option: value}))
    assert (fingerprint_split(before) == fingerprint_split(after)) is same


def test_of_another_loader_only_sizes_are_known(make_config, open_data):
    graphs = list(open_data(make_config()).test.dataset)
    ten, again, nine = (DataLoader(graphs[:n], batch_size=2) for n in (10, 10, 9))
    assert fingerprint_data(ten) == fingerprint_data(again) != fingerprint_data(nine)
    assert fingerprint_split(ten) == fingerprint_split(DataLoader(graphs[:9], batch_size=2))
    assert fingerprint_split(ten) != fingerprint_split(DataLoader(graphs, batch_size=3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"split\.json has split format None; this version of qgpipe reads 1; run the split"),
        ({"format": 9}, "has split format 9; this version of qgpipe reads 1"),
        ({"format": 1, "num_graphs": 7}, "splits 7 graphs, but there are 60; run the split stage"),
    ],
)
def test_a_split_of_another_format_or_data_set_is_not_used(
    make_config, data, tmp_path, content, message
):
    write_json(tmp_path / "split.json", content)
    with pytest.raises(DataError, match=message):
        open_loaders(make_config(), data[0], tmp_path / "split.json")
