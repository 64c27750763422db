"""Weights that a user has changed between two trainings, and that a checkpoint overwrites."""

import warnings
from pathlib import Path

from torch import nn

from qgpipe.compat.private import version_of


def weight_marks(model: nn.Module) -> list[tuple[int, int]]:
    """What changes with the weights of ``model``, and costs nothing to ask for."""
    return [(id(value), version_of(value)) for value in model.parameters()]


def warn_of_lost_weights(epoch: int, checkpoints: Path) -> None:
    """Warn the caller of the caller that the training goes on after ``epoch`` of a checkpoint."""
    warnings.warn(
        "the weights of trainer.model were changed by hand, and are not used: the training "
        f"goes on after epoch {epoch} of {checkpoints}; to start from yours, "
        "move that folder away or choose another training.path, and give them to a new trainer",
        stacklevel=3,
    )
