"""What a model gives for the graphs of a loader: outputs, embeddings, spread over members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qgpipe.errors import ConfigError
from qgpipe.models.build import call_model, unwrapped
from qgpipe.models.ensemble import Ensemble
from qgpipe.training.evaluation.evaluator import SMALLER_EVALUATED
from qgpipe.training.evaluation.metrics import BatchOutputs, Collected, collect
from qgpipe.training.steps.user_errors import memory_for

_NO_LOSSES = np.zeros(0)


@dataclass(frozen=True)
class Seen:
    """``embeddings``: [N, F], if they were asked for; ``spreads``: by task, as the outputs."""

    collected: Collected
    embeddings: Tensor | None
    spreads: dict[int, Tensor]


@torch.no_grad()
def collect_outputs(
    model: nn.Module,
    loader: Iterable[Any],
    device: torch.device,
    apply_model: Callable[[Any, Any], Any] | None = None,
    *,
    embeddings_for: str | None = None,
) -> Seen:
    """Outputs of ``model`` in evaluation mode for all graphs of ``loader``, on the CPU.

    ``embeddings_for``: the key of the configuration that asks for embeddings, if one does. Raises
    ``ConfigError`` that names it if the model has none.
    """
    seen, embeddings, spreads = [], [], []
    with ExitStack() as stack:
        inner = unwrapped(model)
        kept = None
        if embeddings_for is not None:
            kept = stack.enter_context(kept_embeddings(model, embeddings_for))
        each = None
        if isinstance(inner, Ensemble):
            each = stack.enter_context(inner.kept_spreads())
        for batch in loader:
            with memory_for(batch, device, SMALLER_EVALUATED):
                batch = batch.to(device, non_blocking=True)
                outputs = call_model(model, batch, apply_model)
                seen.append(BatchOutputs.of(model, outputs, batch, None).on_host())
            if kept is not None and embeddings_for is not None:
                embeddings.append(kept.take(seen[-1].num_graphs, embeddings_for).cpu())
            if each:
                spreads.append({task: values.cpu() for task, values in each.pop().items()})
    together = {k: torch.cat([one[k] for one in spreads]) for k in (spreads[0] if spreads else {})}
    return Seen(collect(seen, _NO_LOSSES), torch.cat(embeddings) if embeddings else None, together)


class KeptEmbeddings:
    """What ``get_embeddings`` of a model, or of each member of an ensemble, has returned."""

    def __init__(self, num_models: int):
        self.num_models = num_models
        self.rows: list[Tensor] = []

    def take(self, num_graphs: int, key: str) -> Tensor:
        """The embeddings [B, F] of one batch of ``num_graphs`` graphs, those of members joined.

        Raises ``ConfigError`` if there is not one row for each graph.
        """
        given, self.rows = self.rows, []
        bad = [one for one in given if one.shape[:1] != (num_graphs,)]
        if len(given) != self.num_models or bad:
            what = f"of shape {list(bad[0].shape)}" if bad else "not called once"
            raise ConfigError(
                f"the model's get_embeddings is {what} for a batch of {num_graphs} graphs",
                key=key,
                remedy="use a model that pools, or leave this out",
            )
        return torch.cat([one.reshape(num_graphs, -1) for one in given], dim=1)


@contextmanager
def kept_embeddings(model: nn.Module, key: str) -> Iterator[KeptEmbeddings]:
    """A block in which what ``get_embeddings`` returns is kept.

    Raises ``ConfigError`` with ``key`` if the model has no method of this name.
    """
    inner: Any = unwrapped(model)
    models: list[Any] = list(inner.members) if isinstance(inner, Ensemble) else [inner]
    if not callable(getattr(models[0], "get_embeddings", None)):
        raise ConfigError(
            f"{type(models[0]).__name__} has no embeddings",
            key=key,
            remedy="give it a method get_embeddings that its forward calls, or leave this out",
        )
    kept = KeptEmbeddings(len(models))

    def keeping(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def compute_and_keep(*args: Any, **kwargs: Any) -> Tensor:
            embeddings = compute(*args, **kwargs)
            kept.rows.append(embeddings)
            return embeddings

        return compute_and_keep

    for one in models:
        one.get_embeddings = keeping(one.get_embeddings)
    try:
        yield kept
    finally:
        for one in models:
            del one.get_embeddings
