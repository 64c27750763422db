"""An exponential moving average of the weights, which often performs better than the last ones."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """A copy of a model with the exponential moving average of its weights.

    After step t each weight is a_t = decay · a_(t-1) + (1 - decay) · w_t, from a_0 = w_0 (Polyak
    and Juditsky 1992, with exponential weights). Buffers, such as running means, are copied from
    the model. Unlike ``torch.optim.swa_utils.AveragedModel`` it never synchronises with a GPU.
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._lerp = get_ema_multi_avg_fn(decay)  # for all weights at once

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Update the average with the weights of ``model`` after a step."""
        averages, weights = list(self.model.parameters()), list(model.parameters())
        self._lerp(averages, weights, None)
        for mine, current in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(current)

    def state_dict(self) -> dict[str, Any]:
        """The state of the averaged model."""
        return self.model.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.model.load_state_dict(state)
