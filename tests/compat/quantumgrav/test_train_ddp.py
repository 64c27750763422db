import os
import socket
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import yaml
from torch.nn.parallel import DistributedDataParallel
from torch_geometric.loader import DataLoader

import qgpipe.compat.quantumgrav as QG


@pytest.fixture
def port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return str(one.getsockname()[1])


@pytest.fixture
def group(port):
    QG.initialize_ddp(0, 1, "localhost", port, "gloo")
    yield
    QG.cleanup_ddp()


def test_the_group_is_joined_and_left(port):
    QG.initialize_ddp(0, 1, "localhost", port, "gloo")
    assert dist.is_initialized() and os.environ["MASTER_PORT"] == port
    with pytest.raises(RuntimeError, match="already"):
        QG.initialize_ddp(0, 1, "localhost", port, "gloo")
    QG.cleanup_ddp()
    assert not dist.is_initialized() and "MASTER_ADDR" not in os.environ
    QG.cleanup_ddp()


def test_a_rank_has_a_wrapped_model(config, group):
    trainer = QG.TrainerDDP(0, {**config, "parallel": {"world_size": 1, "master_port": "1"}})
    assert trainer.model is None and (trainer.rank, trainer.world_size) == (0, 1)
    assert isinstance(trainer.initialize_model(), DistributedDataParallel)
    assert isinstance(trainer.initialize_optimizer(), torch.optim.Adam)
    with pytest.raises(jsonschema.ValidationError, match="'parallel' is a required property"):
        QG.TrainerDDP(0, config)


def test_results_are_lists_by_rank(config, group, graphs):
    trainer = QG.TrainerDDP.from_config({**config, "parallel": {"world_size": 1}})
    loaders = [DataLoader(graphs[:12], batch_size=4), DataLoader(graphs[12:], batch_size=4)]
    training, validation = trainer.run_training(*loaders)
    assert len(training) == len(validation) == 1 and len(training[0]) == 3
    assert isinstance(validation[0], pd.DataFrame)


def train(rank, folder, port):
    """What each of two processes runs; the configuration is that of the module in the folder."""
    os.chdir(folder)
    torch.set_num_threads(1)
    QG.initialize_ddp(rank, 2, "localhost", port, "gloo")
    config = yaml.load(Path("run.yaml").read_text(), QG.get_loader())
    trainer = QG.TrainerDDP(rank, config)
    loaders = QG.DistributedDataLoaderFactory(config, rank=rank).prepare_dataloaders()
    trainer.run_training(*loaders[:2])
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    torch.save([weights, str(trainer.data_path), len(loaders[0])], f"rank{rank}.pt")
    dist.barrier()
    QG.cleanup_ddp()


@pytest.mark.slow
def test_two_processes_train_one_model(stores, mymodule, tmp_path, port, monkeypatch, run_yaml):
    text = run_yaml.replace("data:\n", "parallel: {world_size: 2}\ndata:\n", 1)
    (tmp_path / "run.yaml").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    mp.spawn(train, (tmp_path, port), nprocs=2)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert torch.equal(first[0], second[0]) and first[1:] == second[1:]
    assert first[2] == 2  # 24 graphs in batches of 2 * 8
