"""Random numbers for user functions that are called for one sample at a time.

The seed depends only on the sample, so the result is the same for any number of processes, and
after a restart.
"""

import random

import numpy as np
import torch


def seed_all(*words: int) -> None:
    """Seed random, NumPy and torch (on the CPU) from ``words``, which are not negative."""
    seeds = np.random.SeedSequence(words).generate_state(3)
    torch.random.default_generator.manual_seed(int(seeds[0]))
    np.random.seed(seeds[1])  # noqa: NPY002  a user's function may use the old global generator
    random.seed(int(seeds[2]))
