import gc
import weakref

import pytest
from torch_geometric.loader import DataLoader

from qgpipe.training.steps.training_step import in_steps


@pytest.fixture
def loader(open_data, make_config):
    return open_data(make_config(training={"batch_size": 6})).train  # 40 graphs: 6 × 6 and 4


@pytest.mark.parametrize("first", [0, 3, 7])
@pytest.mark.parametrize("accumulate", [1, 3, 10])
def test_steps_have_the_batches_of_the_epoch_and_know_their_graphs(loader, first, accumulate):
    whole = [batch.sample_position.tolist() for batch in loader.iterate(2, first)]
    steps = [
        ([b.sample_position.tolist() for b in step], step.number, step.num_graphs)
        for step in in_steps(loader, 2, first, accumulate)
    ]
    assert [positions for batches, _, _ in steps for positions in batches] == whole
    assert all(len(batches) == number for batches, number, _ in steps)
    assert all(sum(map(len, batches)) == graphs for batches, _, graphs in steps)
    assert [number for _, number, _ in steps[:-1]] == [accumulate] * (len(steps) - 1)


def test_steps_of_any_other_loader_are_the_same(loader):
    theirs = DataLoader(loader.dataset, 6)
    steps = list(in_steps(theirs, 1, 0, 3))
    assert [(step.number, step.num_graphs) for step in steps] == [(3, 18), (3, 18), (1, 4)]


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("edge_format", ["edges", "csr", "dense"])
def test_no_batch_is_kept_after_its_use(open_data, make_config, num_workers, edge_format):
    """On a GPU all batches of a step would take memory at once."""
    options = {"batch_size": 6, "num_workers": num_workers, "message_passing": edge_format}
    loader = open_data(make_config(training=options)).train
    loader.edge_format = edge_format
    (step,) = in_steps(loader, 1, 0, 7)
    earlier = []
    for batch in step:
        gc.collect()
        assert [kept() for kept in earlier] == [None] * len(earlier)
        earlier.append(weakref.ref(batch))
        del batch
    assert len(earlier) == 7
