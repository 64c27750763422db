"""Several models of one kind as one: the mean of their answers, and its spread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from qgpipe.models.construct.bind_arguments import forward_parameters

Answer = Literal["softmax", "sigmoid", "mean"]


def mean_answer(outputs: Tensor, answer: Answer) -> Tensor:
    """The mean of the answers of K members, in the form of the outputs of one.

    ``outputs``: [K, N, …]. ``softmax``: logits [K, N, C] of classes; log of the mean probability,
    which is a logit, too. ``sigmoid``: logits of yes or no; the logit of the mean probability.
    ``mean``: values, or probabilities; their mean (Lakshminarayanan, Pritzel, Blundell,
    arXiv:1612.01474).
    """
    if answer == "mean":
        return outputs.mean(dim=0)
    if answer == "softmax":
        return outputs.log_softmax(dim=-1).logsumexp(dim=0) - math.log(len(outputs))
    return logsigmoid(outputs).logsumexp(dim=0) - logsigmoid(-outputs).logsumexp(dim=0)


def spread(outputs: Tensor, answer: Answer) -> Tensor:
    """Standard deviation over K members of each probability, or value; as ``mean_answer``."""
    if answer == "softmax":
        outputs = outputs.softmax(dim=-1)
    elif answer == "sigmoid":
        outputs = outputs.sigmoid()
    return outputs.std(dim=0)


class Ensemble(nn.Module):
    """``members``, models of one class, called together; ``answers``: of each task what it is.

    It is called as a member is, and returns what a member returns, with the mean of all.
    """

    def __init__(self, members: Sequence[nn.Module], answers: Mapping[int, Answer]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.answers = dict(answers)
        self._spreads: list[dict[int, Tensor]] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The mean of what the members return; a tensor, a list, or a mapping."""
        outputs = [member(*args, **kwargs) for member in self.members]
        first = outputs[0]
        if isinstance(first, Tensor):
            stacked = {0: torch.stack(outputs)}
        elif isinstance(first, Mapping):
            stacked = {k: torch.stack([one[k] for one in outputs]) for k in first}
        else:
            stacked = {k: torch.stack([one[k] for one in outputs]) for k in range(len(first))}
        kinds = [
            self.answers.get(k if isinstance(k, int) else place, "mean")
            for place, k in enumerate(stacked)
        ]
        pairs = list(zip(stacked.items(), kinds, strict=True))
        if self._spreads is not None:
            self._spreads.append(
                {place: spread(values, kind) for place, ((_, values), kind) in enumerate(pairs)}
            )
        means = {k: mean_answer(values, kind) for (k, values), kind in pairs}
        if isinstance(first, Tensor):
            return means[0]
        return means if isinstance(first, Mapping) else type(first)(means.values())

    def forward_parameters(self) -> list[Parameter] | None:
        """Those of a member."""
        return forward_parameters(self.members[0])

    @property
    def takes_adjacency(self) -> bool:
        """Whether the members take an ``Adjacency`` as ``edge_index``."""
        return getattr(self.members[0], "takes_adjacency", False)

    @property
    def active_tasks(self) -> Any:
        """Which heads of the members are on."""
        return self.members[0].active_tasks

    @contextmanager
    def kept_spreads(self) -> Iterator[list[dict[int, Tensor]]]:
        """A block in which each call appends the spread of its outputs, by task, to a list."""
        self._spreads = []
        try:
            yield self._spreads
        finally:
            self._spreads = None
