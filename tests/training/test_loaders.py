import numpy as np
import pytest
from torch_geometric.loader import DataLoader

from qgpipe.training.loaders import fingerprint_data, open_loaders


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


def test_the_same_data_has_the_same_fingerprint(make_config, open_data):
    first, again = (open_data(make_config()) for _ in range(2))
    assert fingerprint_data(first.train) == fingerprint_data(again.train)
    assert fingerprint_data(first.train) != fingerprint_data(first.test)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_fingerprint_is_that_of_content_not_of_place(make_data, make_config, tmp_path, seed):
    config = make_config()
    one, two = (
        open_loaders(config, *make_data(tmp_path / name, seed=s)).train
        for name, s in (("one", 0), ("two", seed))
    )
    assert (fingerprint_data(one) == fingerprint_data(two)) is (seed == 0)


def test_the_order_counts(make_config, open_data):
    loader = open_data(make_config()).train
    before = fingerprint_data(loader)
    loader.dataset = loader.dataset[np.arange(40)[::-1]]
    assert fingerprint_data(loader) != before


def test_of_another_loader_only_the_size_is_known(make_config, open_data):
    graphs = list(open_data(make_config()).test.dataset)
    assert fingerprint_data(DataLoader(graphs, batch_size=2)) == "DataLoader of 10 graphs"
