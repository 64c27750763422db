"""Reproducibility: random number generators and deterministic algorithms."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (on every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what users' code draws from
    torch.manual_seed(seed)


def rng_state(devices: bool = True) -> dict[str, Any]:
    """The states of all generators, as tensors and plain values; without ``devices`` the CPU's."""
    version, words, gauss = random.getstate()
    old_numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    keys = old_numpy["state"]["key"].astype(np.int64)
    return {
        "python": [version, torch.tensor(words), gauss],
        "numpy": {**old_numpy, "state": {**old_numpy["state"], "key": torch.from_numpy(keys)}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if devices and torch.cuda.is_initialized() else [],
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Put all generators back to what :func:`rng_state` returned.

    States of missing CUDA devices are ignored: a run may resume on another machine.
    """
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    words = state["numpy"]["state"]
    keys = words["key"].numpy().astype(np.uint32)
    np.random.set_state({**state["numpy"], "state": {**words, "key": keys}})  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        for index, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda_state, index)


@contextmanager
def random_numbers_kept(devices: bool = True) -> Iterator[None]:
    """A block after which all generators, without ``devices`` the CPU's, are as before."""
    before = rng_state(devices)
    try:
        yield
    finally:
        restore_rng(before)


@contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[None]:
    """A block in which torch's results are bit-reproducible, also on a GPU, if ``enabled``.

    Operations without a deterministic algorithm raise ``RuntimeError``.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if enabled:
        # Read when CUDA's first matrix product is computed: see the notes of torch on it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
