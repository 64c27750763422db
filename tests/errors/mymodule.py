"""What stands beside the configuration of the catalogue; a case may add to it."""

import torch
from torch_geometric.data import Data


def reader(store, idx, float_dtype, int_dtype, validate):
    """One causal set with two features an element."""
    n = int(store["cset_size"][idx])
    relations = torch.from_numpy(store["adjacency_matrix"][idx].T[:n, :n])
    return Data(
        x=torch.stack([relations.sum(0), relations.sum(1)], dim=1).to(float_dtype),
        edge_index=relations.nonzero().T,
        y=torch.tensor(int(store["cset_type"][idx]), dtype=int_dtype),
    )


def loss(outputs, data):
    """Cross entropy of the first head."""
    return torch.nn.functional.cross_entropy(outputs[0], data.y)
