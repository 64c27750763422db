"""Edges that are made ready once give the same answers."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from qgpipe.data.graphs.batch import edge_batch
from qgpipe.data.graphs.packed import EdgePairs
from qgpipe.explanation.edge_reuse import expanded_once


@pytest.mark.parametrize("edge_format", ["csr", "dense"])
def test_the_adjacency_is_expanded_once_for_each_dtype(edge_format):
    pairs = EdgePairs(np.array([[0, 0, 1], [1, 2, 2]], np.uint16), np.array([0, 3]))
    batch = Batch.from_data_list([Data(x=torch.randn(3, 2), num_nodes=3)])
    batch.edge_batch = edge_batch(pairs, np.array([3]), edge_format)
    kept = batch.edge_batch
    reused = expanded_once(batch)
    assert batch.edge_batch is kept
    first = reused.edge_batch.expand(torch.float32)
    assert reused.edge_batch.expand(torch.float32) is first
    assert reused.edge_batch.expand(torch.float64) is not first
    assert torch.equal(first.sum(batch.x), kept.expand(torch.float32).sum(batch.x))


def test_a_batch_with_pairs_is_left():
    batch = Batch.from_data_list([Data(x=torch.zeros(2, 1), edge_index=torch.tensor([[0], [1]]))])
    assert expanded_once(batch) is batch
