"""Random numbers for functions of the user's that see one sample at a time.

They get a state that depends on the sample alone: the result is the same for any number of
processes, and after a restart in the middle.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_all(*words: int) -> None:
    """Seed random, NumPy and torch (on the CPU) with what ``words``, not negative, say."""
    seeds = np.random.SeedSequence(words).generate_state(3)
    torch.random.default_generator.manual_seed(int(seeds[0]))
    np.random.seed(seeds[1])  # noqa: NPY002  a user's function may use the old global generator
    random.seed(int(seeds[2]))


@contextmanager
def random_state_kept() -> Iterator[None]:
    """A block after which the three generators are as they were before."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    python_state = random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
