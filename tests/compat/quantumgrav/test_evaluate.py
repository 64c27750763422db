import logging

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.loader import DataLoader

import qgpipe.compat.quantumgrav as QG


class Constant(torch.nn.Module):
    """Gives each graph the outputs 0 and 1."""

    def forward(self, x, edge_index, batch):
        graphs = int(batch.max()) + 1
        return {0: torch.tensor([0.0, 1.0]).repeat(graphs, 1)}


def loss(outputs, data):
    return torch.nn.functional.cross_entropy(outputs[0], data.y)


class Offset:
    def __init__(self, offset=0.0):
        self.offset = offset

    def __call__(self, predictions, targets):
        assert all(isinstance(p, dict) for p in predictions) and isinstance(targets, list)
        return len(predictions) + self.offset


def made(offset):
    return lambda predictions, targets: len(targets) + offset


def rows(predictions, targets):
    return [float(len(t)) for t in targets]


@pytest.fixture
def loader(graphs):
    return DataLoader(graphs, batch_size=8)  # 8, 8, 4


def test_monitors_get_a_list_with_what_the_model_returned_for_each_batch(loader):
    tasks = [
        {"name": "class", "monitor": Offset, "kwargs": {"offset": 0.5}},
        {"name": "object", "monitor": Offset(0.25)},
        {"name": "maker", "monitor": made, "args": [10]},
        {"name": "rows", "monitor": rows},
    ]
    evaluator = QG.Validator("cpu", loss, tasks)
    assert [name for name, _ in evaluator.tasks] == ["class", "object", "maker", "rows"]
    assert isinstance(evaluator.tasks[0][1], Offset)
    results = evaluator.validate(Constant(), loader)
    assert results[["class", "object", "maker"]].iloc[0].tolist() == [3.5, 3.25, 13.0]
    assert results["rows"].iloc[0].tolist() == [8.0, 8.0, 4.0]
    assert evaluator.validate(Constant(), loader) is evaluator.data and len(evaluator.data) == 2


def test_from_config_and_state(loader):
    config = {"device": "cpu", "criterion": loss, "evaluator_tasks": []}
    tester = QG.Tester.from_config(config)
    tester.test(Constant(), loader)
    with pytest.raises(jsonschema.ValidationError, match="'criterion' is a required"):
        QG.Tester.from_config({"device": "cpu"})
    other = QG.Tester.from_config(config)
    other.load_state_dict(tester.to_state_dict())
    pd.testing.assert_frame_equal(other.data, tester.data)


def test_the_evaluator_of_january_gives_losses_of_batches(loader, caplog):
    validator = QG.DefaultValidator("cpu", loss)
    losses = validator.validate(Constant(), loader)
    assert torch.Tensor(losses).tolist() == pytest.approx([0.8133] * 3, abs=1e-3)
    with caplog.at_level(logging.INFO):
        validator.report(np.array([1.0, 3.0]))
    assert validator.data == [(2.0, 1.0)]
    assert "2.0" in caplog.text and "1.0" in caplog.text


def test_an_evaluator_of_ones_own_needs_no_constructor_of_ours():
    class Mine(QG.Evaluator):
        def __init__(self):
            self.data = pd.DataFrame(columns=["loss"])

    assert Mine().collected is None and len(Mine().undecided) == 0
