"""What a user keeps beside a configuration: reader, filter, transform, loss, and classes.

The tests copy this file into the folder of a run.
"""

import numpy as np
import torch
import zarr
from torch_geometric.data import Data

import qgpipe


def reader(store, idx, float_dtype, int_dtype, validate):
    """One causal set as a mapping, still without features."""
    group = zarr.open_group(store.root)
    n = int(group["cset_size"][idx])
    past_to_future = np.transpose(group["adjacency_matrix"][idx, :, :])[:n, :n]
    if validate and np.diagonal(past_to_future).any():
        raise ValueError("an element precedes itself")
    return {
        "relations": torch.tensor(past_to_future, dtype=float_dtype),
        "kind": torch.tensor(int(group["cset_type"][idx]), dtype=int_dtype),
    }


def pre_filter(sample):
    """Keep causal sets with relations."""
    return bool(sample["relations"].any())


def pre_transform(sample):
    """Twelve features of the elements and four of the set: shares of chains by length."""
    relations, n = sample["relations"], len(sample["relations"])
    chains, columns = torch.eye(n), []
    for _ in range(6):
        chains = (chains @ relations).clamp(max=1)
        columns += [chains.sum(0) / n, chains.sum(1) / n]
    x = torch.stack(columns, dim=1)
    return Data(
        x=x,
        edge_index=relations.nonzero().T.contiguous(),
        graph_features=x.mean(0)[::3].unsqueeze(0),
        y=sample["kind"],
    )


def data_reader(store, idx, float_dtype, int_dtype, validate):
    """A reader that gives the finished graph, from ``store[name]``."""
    n = int(store["cset_size"][idx])
    relations = torch.from_numpy(store["adjacency_matrix"][idx].T[:n, :n]).to(float_dtype)
    return pre_transform(
        {"relations": relations, "kind": torch.tensor(int(store["cset_type"][idx])).to(int_dtype)}
    )


def compute_loss(outputs, data):
    """Cross entropy of the first head."""
    return torch.nn.functional.cross_entropy(outputs[0], data.y)


def weighted_loss(outputs, data, weight=1.0):
    """Cross entropy of the first head, times a weight."""
    return weight * compute_loss(outputs, data)


class WeightedLoss:
    """Cross entropy, times a weight."""

    def __init__(self, weight=1.0):
        self.weight = weight

    def __call__(self, outputs, data):
        """The loss of a batch."""
        return weighted_loss(outputs, data, self.weight)


class Model(torch.nn.Module):
    """A model of a user's own: it takes the batch, and answers with one tensor."""

    def __init__(self, in_features, classes):
        super().__init__()
        self.linear = torch.nn.Linear(in_features, classes)

    def forward(self, data):
        """Class scores (graphs, classes)."""
        ends = data.ptr[1:] - 1
        return {0: self.linear(data.x.cumsum(0)[ends] / len(data.x))}


class Validator(qgpipe.Validator):
    """Adds a column."""

    def evaluate(self, model, data_loader):
        """The row of the built-in one with the number of batches."""
        row = super().evaluate(model, data_loader)
        return row.assign(batches=float(len(data_loader)))


class StopAfter:
    """Stops after a number of epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def __call__(self, results):
        """Whether there are enough rows."""
        return len(results) >= self.epochs
