import pytest
import torch
from torch_geometric.data import Batch, Data


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
