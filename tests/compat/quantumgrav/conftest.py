import sys
import types

import numpy as np
import pytest
import torch
import torch_geometric
import zarr
from torch_geometric.data import Data

import qgpipe.compat.quantumgrav as QG

SAMPLES, LARGEST = 24, 8
CODE = """
import torch
import zarr
from torch_geometric.data import Data

import QuantumGrav as QG


def read(store, idx, float_dtype, int_dtype, validate):
    raw = {}
    QG.zarr_group_to_dict(zarr.open_group(store.root, mode="r"), raw)
    return {name: values[idx] for name, values in raw.items() if len(values) > idx}


def collect(raw):
    n = int(raw["size"])
    edges = torch.tensor(raw["relations"][:n, :n]).nonzero().t().contiguous()
    x = torch.tensor(raw["height"][:n], dtype=torch.float32).unsqueeze(1)
    return Data(x=x, edge_index=edges, y=torch.tensor([int(raw["label"])]))


def loss(outputs, data, trainer):
    assert trainer.config["training"]["seed"] == 3
    return torch.nn.functional.cross_entropy(outputs[0], data.y)


def loss_there(outputs, data):
    return torch.nn.functional.cross_entropy(outputs[0], data.y)


def hits(predictions: list[dict[int, torch.Tensor]], targets: list[torch.Tensor]) -> float:
    right = sum((p[0].argmax(1) == t).sum().item() for p, t in zip(predictions, targets))
    return right / sum(map(len, targets))


def of_each_class(predictions, targets):
    every = torch.cat(targets)
    found = torch.cat([outputs[0].argmax(1) for outputs in predictions])
    return torch.stack([(found[every == k] == k).float().mean() for k in range(2)])


def concat(x, y):
    return torch.cat((x, y), dim=1)
"""

RUN = """
name: run
training:
  seed: 3
  device: cpu
  path: runs
  num_epochs: 2
  batch_size: 8
  optimizer_type: !pyobject torch.optim.Adam
  optimizer_args: []
  optimizer_kwargs: {lr: 0.01}
  num_workers: 0
  drop_last: false
  checkpoint_at: 1
data:
  files: [csets0.zarr, csets1.zarr]
  output: data
  reader: !pyobject mymodule.read
  pre_transform: !pyobject mymodule.collect
  chunksize: 20
  split: [0.5, 0.25, 0.25]
model:
  encoder_type: !pyobject QuantumGrav.models.GNNBlock
  encoder_args: [1, 8]
  encoder_kwargs: {gnn_layer_type: !pyobject torch_geometric.nn.SAGEConv}
  pooling_layers:
    - [!pyobject torch_geometric.nn.global_mean_pool, [], {}]
  downstream_tasks:
    - - !pyobject QuantumGrav.models.LinearSequential
      - [[[8, 2]], [!pyobject torch.nn.Identity]]
      - {}
criterion: !pyobject mymodule.loss
validation:
  batch_size: 8
  validator:
    device: cpu
    criterion: !pyobject mymodule.loss_there
    evaluator_tasks: &tasks
      - {name: hits, monitor: !pyobject mymodule.hits}
      - {name: each, monitor: !pyobject mymodule.of_each_class}
testing:
  batch_size: 8
  tester:
    device: cpu
    criterion: !pyobject mymodule.loss_there
    evaluator_tasks: *tasks
early_stopping:
  type: !pyobject QuantumGrav.early_stopping.DefaultEarlyStopping
  args:
    - {0: {metric: hits, delta: 0.0, grace_period: 0, init_best_score: 0.0, mode: max}}
    - 5
  kwargs: {mode: any}
"""


@pytest.fixture
def run_yaml():
    """A configuration for the workflow, as QuantumGravPy's users have it."""
    return RUN


@pytest.fixture
def stores(tmp_path):
    """Two stacked stores of small causal sets, whose label says how dense they are."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(2):
        sizes = generator.integers(4, LARGEST + 1, SAMPLES)
        labels = generator.permutation(SAMPLES) % 2
        relations = np.zeros((SAMPLES, LARGEST, LARGEST), np.float32)
        for k, n in enumerate(sizes):
            relations[k, :n, :n] = np.triu(generator.random((n, n)) < 0.2 + 0.6 * labels[k], 1)
        path = tmp_path / f"csets{number}.zarr"
        group = zarr.open_group(path, mode="w")
        group.create_array("relations", data=relations)
        group.create_array("height", data=relations.sum(1))
        group.create_array("size", data=sizes)
        group.create_array("label", data=labels)
        group.create_array("num_samples", data=np.array([SAMPLES]))
        paths.append(path)
    return paths


@pytest.fixture
def mymodule(tmp_path, monkeypatch):
    """The user's module, written for QuantumGravPy, as a file beside the stores."""
    (tmp_path / "mymodule.py").write_text(CODE)
    monkeypatch.delitem(sys.modules, "mymodule", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("mymodule")
    exec(compile(CODE, "mymodule.py", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "mymodule", module)
    return module


@pytest.fixture
def config(stores, mymodule, tmp_path):
    """A configuration as QuantumGravPy's users write it in Python."""
    evaluator = {"device": "cpu", "criterion": mymodule.loss_there}
    tasks = [{"name": "hits", "monitor": mymodule.hits}]
    return {
        "name": "run",
        "training": {
            "seed": 3,
            "device": "cpu",
            "path": str(tmp_path / "runs"),
            "num_epochs": 3,
            "batch_size": 8,
            "optimizer_type": torch.optim.Adam,
            "optimizer_args": [],
            "optimizer_kwargs": {"lr": 0.01},
            "num_workers": 0,
            "drop_last": False,
            "checkpoint_at": 2,
            "a key of ours": "ignored there",
        },
        "data": {
            "files": [str(path) for path in stores],
            "output": str(tmp_path / "data"),
            "reader": mymodule.read,
            "pre_transform": mymodule.collect,
            "split": [0.5, 0.25, 0.25],
        },
        "model": {
            "encoder_type": QG.models.GNNBlock,
            "encoder_args": [1, 8],
            "encoder_kwargs": {"gnn_layer_type": torch_geometric.nn.SAGEConv, "dropout": 0.0},
            "pooling_layers": [[torch_geometric.nn.global_mean_pool, [], {}]],
            "downstream_tasks": [
                [QG.models.LinearSequential, [[(8, 2)], [torch.nn.Identity]], {}],
            ],
        },
        "criterion": mymodule.loss,
        "validation": {"batch_size": 8, "validator": {**evaluator, "evaluator_tasks": tasks}},
        "testing": {"batch_size": 8, "tester": {**evaluator, "evaluator_tasks": tasks}},
        "early_stopping": {
            "tasks": {
                0: {
                    "metric": "hits",
                    "delta": 0.0,
                    "grace_period": 0,
                    "init_best_score": 0.0,
                    "mode": "max",
                }
            },
            "mode": "any",
            "patience": 5,
        },
    }


@pytest.fixture
def graphs():
    """Small graphs with one feature and two classes, in memory."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for k in range(20):
        x = torch.rand(5, 1, generator=generator) + k % 2
        edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
        made.append(Data(x=x, edge_index=edges, y=torch.tensor([k % 2])))
    return made
