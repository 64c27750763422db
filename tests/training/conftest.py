import copy
import functools
import multiprocessing
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from qgpipe.config.resolve import resolve_config
from qgpipe.data.graphs.packed import Attribute, EdgePairs, Packed
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part
from qgpipe.system.files import write_json
from qgpipe.training.loaders import open_loaders


def graph(index: int, target) -> Data:
    """Two elements, the first before the second; the features carry the index."""
    return Data(
        x=torch.tensor([[float(index)], [1.0]]),
        edge_index=torch.tensor([[0], [1]]),
        y=torch.as_tensor(target),
    )


class Batches:
    """Batches of fixed sizes, as a loader would give them, with sample positions."""

    def __init__(self, targets, batch_size: int):
        graphs = [graph(i, target) for i, target in enumerate(targets)]
        self.batches = []
        for start in range(0, len(graphs), batch_size):
            batch = Batch.from_data_list(graphs[start : start + batch_size])
            batch.sample_position = torch.arange(start, start + batch.num_graphs)
            self.batches.append(batch)

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


@pytest.fixture
def make_batches():
    return Batches


class Table(torch.nn.Module):
    """Answers each graph with a row of a table: the index is in the features."""

    def __init__(self, *heads):
        super().__init__()
        for i, head in enumerate(heads):
            self.register_buffer(f"head{i}", torch.as_tensor(head))

    def forward(self, data):
        index = data.x[data.ptr[:-1], 0].long()
        return {i: head[index] for i, head in enumerate(self.buffers())}


@pytest.fixture
def make_table():
    return Table


NUM_GRAPHS = 60
SPLIT = {"train": range(40), "validation": range(40, 50), "test": range(50, 60)}


def packed(seed: int, num_graphs: int = NUM_GRAPHS, targets=None) -> Packed:
    """Random orders of 3 to 6 elements in three classes; the first feature tells the class.

    ``targets`` makes from these what is put on the graphs (they themselves).
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 7, num_graphs)
    pairs = [np.stack(np.triu_indices(n, 1)) for n in sizes]
    kept = [p[:, rng.random(p.shape[1]) < 0.6] for p in pairs]
    classes = rng.integers(0, 3, num_graphs)
    x = rng.normal(size=(sizes.sum(), 3)).astype(np.float32)
    x[:, 0] += np.repeat(classes, sizes)
    y = classes.astype(np.int64) if targets is None else targets(classes)
    return Packed(
        sample_index=np.arange(num_graphs),
        node_ptr=np.concatenate([[0], np.cumsum(sizes)]),
        edges=EdgePairs(
            np.concatenate(kept, axis=1).astype(np.uint16),
            np.concatenate([[0], np.cumsum([p.shape[1] for p in kept])]),
        ),
        attributes={
            "x": Attribute(x, "node"),
            "y": Attribute(y, "graph", scalar=y.ndim == 1),
            "graph_features": Attribute(
                rng.normal(size=(num_graphs, 2)).astype(np.float32), "graph"
            ),
        },
    )


def write_data(folder: Path, seed: int = 0, targets=None) -> tuple[Path, Path]:
    """A part, a ``dataset.json`` and a ``split.json``."""
    info = {
        "store": "tiny",
        "start": 0,
        "stop": NUM_GRAPHS,
        "num_filtered": 0,
        "num_skipped": 0,
        "skipped": [],
        "node_features": ["a", "b", "c"],
        "graph_features": ["d", "e"],
        "target": "kind",
        "class_names": ["low", "middle", "high"],
    }
    part = folder / "parts" / "tiny-000000000.safetensors"
    write_part(part, packed(seed, targets=targets), info)
    store = {"name": "tiny", "path": "tiny.zarr", "layout": "stacked", "num_samples": NUM_GRAPHS}
    write_dataset([part], [{**store, "role": "all"}], folder / "dataset.json")
    split = {name: list(ids) for name, ids in SPLIT.items()}
    write_json(folder / "split.json", {"format": 1, "num_graphs": NUM_GRAPHS, **split})
    return folder / "dataset.json", folder / "split.json"


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """``dataset.json`` and ``split.json`` of 60 tiny graphs: 40, 10 and 10."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def make_data():
    return write_data


RAW = {
    "name": "tiny",
    "data": {"files": ["tiny.zarr"]},
    "model": {
        "encoder_type": "qgpipe.models.Sequential",
        "encoder_kwargs": {
            "layers": [
                ["torch_geometric.nn.SAGEConv", [3, 8], {}, "x, edge_index"],
                ["torch.nn.ReLU", [], {}, "x"],
                ["torch.nn.Dropout", [0.4], {}, "x"],
            ]
        },
        "pooling_layers": [["torch_geometric.nn.global_mean_pool"]],
        "aggregate_pooling_type": "torch.cat",
        "downstream_tasks": [["torch.nn.Linear", [8, 3]]],
    },
    "criterion": "qgpipe.training.losses.cross_entropy",
    "training": {
        "seed": 7,
        "device": "cpu",
        "num_epochs": 4,
        "batch_size": 8,
        "optimizer_kwargs": {"lr": 0.02},
        "lr_scheduler_type": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5},
    },
    "validation": {
        "validator": {
            "evaluator_tasks": [{"name": "accuracy", "monitor": "sklearn.metrics.accuracy_score"}]
        }
    },
}


def merged(value, changes):
    """``value`` with ``changes`` at any depth; ``None`` takes a key away."""
    result = dict(value)
    for key, change in changes.items():
        if change is None:
            result.pop(key, None)
        elif isinstance(change, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], change)
        else:
            result[key] = change
    return result


def configuration(folder: Path, **changes):
    raw = copy.deepcopy(RAW)
    raw["training"]["path"] = str(folder)
    return resolve_config(merged(raw, changes))


@pytest.fixture(scope="session")
def make_config_in():
    """A resolved configuration whose runs lie in a folder, with ``changes``."""
    return configuration


@pytest.fixture
def make_config(tmp_path):
    """A resolved configuration whose runs lie in the test's folder, with ``changes``."""
    return functools.partial(configuration, tmp_path / "runs")


@pytest.fixture
def open_data(data):
    """Fresh loaders of the tiny data, as a configuration says."""
    return lambda config: open_loaders(config, *data)


SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["qgpipe.training.run", "qgpipe.training.losses", "torch_geometric.nn", "sklearn.metrics"]
)
CODE = """
import multiprocessing, os, torch
os.environ.update(environment)
multiprocessing.set_start_method("fork", force=True)
torch.set_num_threads(1)
exec(code, arguments)
"""
TRAIN = "from qgpipe.training.run import train_run; train_run(config, *data, folder)"
ALONE = {"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}


class Ranks:
    """Starts the ranks of a group, forked from a process that has imported torch."""

    @staticmethod
    def free_port() -> int:
        with socket.socket() as found:
            found.bind(("localhost", 0))
            return found.getsockname()[1]

    @staticmethod
    def torchrun(size: int) -> list[dict[str, str]]:
        """The environments that ``torchrun`` would give ``size`` ranks."""
        common = {
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(Ranks.free_port()),
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
        }
        return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]

    @staticmethod
    def start(environments, code=TRAIN, **arguments):
        """Start a process for each of ``environments`` that executes ``code`` on ``arguments``."""
        processes = []
        for environment in environments:
            names = {"environment": environment, "code": code, "arguments": arguments}
            processes.append(SERVER.Process(target=exec, args=(CODE, names)))
            processes[-1].start()
        return processes

    @staticmethod
    def ended(processes, seconds=120) -> list[int]:
        """The exit codes of ``processes``; those that do not end are killed."""
        until = time.monotonic() + seconds
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            process.kill()
            process.join()
        return [process.exitcode for process in processes]

    @staticmethod
    def run(size, code=TRAIN, **arguments) -> list[int]:
        """Exit codes of ``size`` ranks, or of a process alone."""
        environments = Ranks.torchrun(size) if size > 1 else [ALONE]
        return Ranks.ended(Ranks.start(environments, code, **arguments))

    @staticmethod
    def signal_one(processes, rank, number) -> None:
        os.kill(processes[rank].pid, number)


@pytest.fixture
def ranks():
    return Ranks
