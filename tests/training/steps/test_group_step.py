"""The gradients of a step of two ranks, compared with those of one process."""

import pytest
import torch

# The change of the weights by a step of SGD with lr 1, and so their gradient.
GRADIENT = """
from functools import partialmethod
import torch
from qgpipe.training.loaders import open_loaders
from qgpipe.training.trainer import Trainer

# Traced and differentiated as always, and not translated to C++, which takes a minute.
torch.nn.Module.compile = partialmethod(torch.nn.Module.compile, backend="aot_eager")
trainer = Trainer(config, folder)
before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
trainer.run_training(open_loaders(config, *data).train)
if trainer.processes.rank == 0:
    after = dict(trainer.model.named_parameters())
    torch.save({name: before[name] - after[name].detach() for name in before}, folder / "gradient")
"""


def step_of(ranks, size, config, data, folder):
    """The gradient of one step on 39 of 40 graphs, flattened, by ``size`` processes."""
    folder.mkdir()
    assert ranks.run(size, GRADIENT, config=config, data=data, folder=folder) == [0] * size
    gradients = torch.load(folder / "gradient", weights_only=True)
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


@pytest.mark.parametrize(
    ("training", "tolerance"),
    [
        ({}, 1e-6),
        ({"precision": "bf16"}, 2**-8),  # half a unit in the last of its eight digits, twice
        ({"precision": "fp16"}, 2**-11),
        ({"compile": True}, 1e-6),
    ],
    ids=["fp32", "bf16", "fp16", "compiled"],
)
def test_the_gradient_of_two_ranks_is_that_of_one_process(
    ranks, make_config, data, tmp_path, training, tolerance
):
    one_step = {
        "num_epochs": 1,
        "batch_size": 39,  # 20 and 19
        "drop_last": True,
        "optimizer_type": "torch.optim.SGD",
        "optimizer_kwargs": {"lr": 1.0},
    }
    config = make_config(validation=None, training={**one_step, **training})
    config["model"]["encoder_kwargs"]["layers"].pop()  # dropout
    alone, shared = (step_of(ranks, size, config, data, tmp_path / str(size)) for size in (1, 2))
    assert alone.norm() > 0.1
    assert (alone - shared).norm() < tolerance * alone.norm()


def test_weights_without_a_gradient_are_allowed_if_it_is_said_so(
    ranks, make_config, data, tmp_path
):
    heads = [["torch.nn.Linear", [8, 3]], ["torch.nn.Linear", [8, 3]]]
    config = make_config(
        model={"downstream_tasks": heads, "active_tasks": {1: False}},
        parallel={"world_size": 2, "find_unused_parameters": True},
        training={"num_epochs": 1},
    )
    assert ranks.run(2, config=config, data=data, folder=tmp_path) == [0, 0]
    config["parallel"]["find_unused_parameters"] = False
    refused = """
from qgpipe.errors import TrainingError
from qgpipe.training.run import train_run
try:
    train_run(config, *data, folder / "refused")
except TrainingError as error:
    assert "set parallel.find_unused_parameters to true" in str(error)
else:
    raise AssertionError
"""
    assert ranks.run(2, refused, config=config, data=data, folder=tmp_path) == [0, 0]
