import os
import random

import numpy as np
import torch

from qgpipe.system import tensor_files
from qgpipe.system.rng import (
    deterministic_algorithms,
    restore_rng,
    rng_state,
    seed_everything,
)


def draw():
    return random.gauss(0, 1), np.random.standard_normal(), torch.randn(1).item()  # noqa: NPY002


def test_the_same_seed_draws_the_same():
    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert draw() != first


def test_a_state_that_went_through_a_file_goes_on_exactly(tmp_path):
    seed_everything(2**40)
    draw()  # gauss and standard_normal leave half a pair behind
    tensor_files.save(tmp_path / "a.pt", {"format": 1, "rng": rng_state()})
    expected = [draw() for _ in range(3)]
    seed_everything(0)
    restore_rng(tensor_files.load(tmp_path / "a.pt", 1, "state")["rng"])
    assert [draw() for _ in range(3)] == expected


def test_deterministic_algorithms_are_a_block():
    for enabled in (True, False):
        with deterministic_algorithms(enabled):
            assert torch.are_deterministic_algorithms_enabled() is enabled
        assert not torch.are_deterministic_algorithms_enabled()


def test_cuda_gets_the_workspace_that_they_need(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with deterministic_algorithms(False):
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with deterministic_algorithms(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
