"""The pooled vectors of the graphs, taken on the way to the outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from qgpipe.errors import ConfigError
from qgpipe.models.build import unwrapped

KEY = "predict.embeddings"


@contextmanager
def kept_embeddings(model: nn.Module) -> Iterator[list[Tensor]]:
    """A block in which each call of ``model`` adds what its ``get_embeddings`` gives to a list.

    Raises ``ConfigError`` if the model has no method of this name.
    """
    inner: Any = unwrapped(model)
    if not callable(getattr(inner, "get_embeddings", None)):
        raise ConfigError(
            f"{type(inner).__name__} has no embeddings",
            key=KEY,
            remedy="give it a method get_embeddings that its forward calls, or set this to false",
        )
    kept: list[Tensor] = []
    compute = inner.get_embeddings

    def compute_and_keep(*args: Any, **kwargs: Any) -> Tensor:
        embeddings = compute(*args, **kwargs)
        kept.append(embeddings)
        return embeddings

    inner.get_embeddings = compute_and_keep
    try:
        yield kept
    finally:
        del inner.get_embeddings


def only_embeddings(kept: list[Tensor], num_graphs: int) -> Tensor:
    """The embeddings [B, F] of one batch of ``num_graphs``, of which ``kept`` is emptied.

    Raises ``ConfigError`` if there is not one row for each graph.
    """
    given = kept.pop() if len(kept) == 1 else None
    if given is None or given.shape[:1] != (num_graphs,):
        what = "not called once" if given is None else f"of shape {list(given.shape)}"
        raise ConfigError(
            f"the model's get_embeddings is {what} for a batch of {num_graphs} graphs",
            key=KEY,
            remedy="use a model that pools, or set this to false",
        )
    return given.reshape(num_graphs, -1)
