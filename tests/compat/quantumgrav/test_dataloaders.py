import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler, WeightedRandomSampler
from torch_geometric.data import Batch

import qgpipe.compat.quantumgrav as QG
from qgpipe import GraphLoader, PackedDataset


def sizes(loaders):
    return [len(loader.dataset) for loader in loaders]


def test_loaders_of_the_configuration_are_those_of_the_workflow(config):
    loaders = QG.DataLoaderFactory.from_config(config).prepare_dataloaders()
    assert sizes(loaders) == [24, 12, 12]
    assert all(isinstance(loader, GraphLoader) for loader in loaders)
    assert isinstance(next(iter(loaders[0])), Batch)
    positions = np.concatenate([loader.dataset.positions for loader in loaders])
    assert sorted(positions) == list(range(48))


def test_shares_of_the_call_count_if_the_configuration_has_none(config):
    del config["data"]["split"]
    loaders = QG.Trainer(config).prepare_dataloaders(split=[0.75, 0.125, 0.125])
    assert sizes(loaders) == [36, 6, 6]


def test_training_and_validation_share_data_beside_a_test_set(config):
    first, second = config["data"]["files"]
    config["data"] |= {"files": [first], "split": [0.75, 0.25]}
    config["testing"]["data"] = {**config["data"], "files": [second]}
    assert sizes(QG.DataLoaderFactory(config).prepare_dataloaders()) == [18, 6, 24]


def test_each_stage_has_data_of_its_own(config):
    data = config.pop("data")
    for stage in ("training", "validation", "testing"):
        config[stage]["data"] = {**data, "files": [data["files"][stage == "testing"]]}
    assert sizes(QG.DataLoaderFactory(config).prepare_dataloaders()) == [24, 24, 24]


@pytest.mark.parametrize("split", [[0.9, 0.2, 0.1], [0.98, 0.01, 0.01]])
def test_shares_that_do_not_sum_to_one_or_leave_a_set_empty_are_refused(config, graphs, split):
    config["data"]["split"] = split
    with pytest.raises(ValueError, match=r"data\.split"):
        QG.DataLoaderFactory(config).prepare_dataloaders(graphs)


def test_no_data_at_all_is_refused(config):
    del config["data"]
    with pytest.raises(ValueError, match="neither a data set nor"):
        QG.DataLoaderFactory(config).prepare_dataset()


def test_other_data_sets_are_loaded_by_pyg_in_the_order_of_a_sampler(config, graphs):
    factory = QG.DataLoaderFactory(config)
    sets = factory.prepare_dataset(graphs, split=[0.5, 0.25, 0.25])
    assert list(map(len, sets)) == [10, 5, 5]
    sampler = WeightedRandomSampler([1.0] + [0.0] * 9, 6)
    train, *_ = factory.prepare_dataloaders(
        train_dataset=sets[0], val_dataset=sets[1], test_dataset=sets[2], training_sampler=sampler
    )
    (batch,) = train
    assert torch.equal(batch.x, sets[0][0].x.repeat(6, 1))
    with pytest.raises(ValueError, match="all three"):
        factory.prepare_dataset(graphs, train_dataset=sets[0])


def test_a_data_set_that_is_preprocessed_is_split_without_being_read_again(config, mymodule):
    dataset = QG.QGDataset(
        config["data"]["files"], config["data"]["output"], mymodule.read,
        pre_transform=mymodule.collect,
    )  # fmt: skip
    parts = QG.DataLoaderFactory(config).prepare_dataset(dataset)
    assert all(isinstance(part, PackedDataset) for part in parts)


def test_loaders_for_several_processes(config, graphs):
    config["parallel"] = {"world_size": 2}
    factory = QG.DistributedDataLoaderFactory(config, rank=1)
    train, validation, _ = factory.prepare_dataloaders(graphs)
    assert isinstance(factory.train_sampler, DistributedSampler) and factory.train_sampler.rank == 1
    assert len(list(factory.val_sampler)) == 3 and sum(b.num_graphs for b in train) == 5
    assert sum(batch.num_graphs for batch in validation) == 3
    packed = factory.prepare_dataloaders()[0]
    assert isinstance(packed, GraphLoader) and packed.batch_size == 16  # of which it takes half
    assert "data" in QG.DistributedDataLoaderFactory.schema["properties"]["training"]["properties"]
