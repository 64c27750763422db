"""What is found out before training rather than in the middle of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from qgpipe.data.dataset import PackedDataset
from qgpipe.errors import ConfigError, DataError, DivergenceError, TrainingError
from qgpipe.models import check_model, check_targets
from qgpipe.training.step_batches import batches
from qgpipe.training.trouble import explained, memory_for, remedy_for


def check_fit(
    model: torch.nn.Module,
    loader: Any,
    apply_model: Callable[[Any, Any], Any] | None,
    device: torch.device,
) -> None:
    """Try ``model`` on the first batch of ``loader``, and its heads on the targets of all.

    Raises ``TrainingError`` if there is no batch or no memory for one, ``ConfigError`` if the
    model does not fit the features, or the classes do not fit a head with several outputs.
    """
    dataset = loader.dataset
    if len(loader) == 0:
        raise TrainingError(
            f"no batch to train on ({len(dataset)} graphs)",
            remedy="make training.batch_size smaller, or set training.drop_last to false",
        )
    try:
        batch = next(batches(loader, epoch=1, first=0))
        with memory_for(batch, device):
            outputs = check_model(
                model,
                batch.to(device),
                node_features=getattr(dataset, "node_features", None),
                graph_features=getattr(dataset, "graph_features", None),
                apply_model=apply_model,
            )
    except (TrainingError, torch.OutOfMemoryError, MemoryError) as error:
        raise explained(error, "the first batch") from None
    except ConfigError as error:
        error.remedy = remedy_for(error.problem) or error.remedy
        raise
    if isinstance(dataset, PackedDataset) and isinstance(outputs, dict):
        wide = {k: head for k, head in outputs.items() if head.dim() == 2 and head.shape[1] > 1}
        try:
            check_targets(wide, torch.from_numpy(dataset.targets()))
        except DataError:  # targets of nodes, or none
            return


def require_finite(model: torch.nn.Module, epoch: int) -> None:
    """Raise ``DivergenceError`` if a weight of ``model`` is not a finite number."""
    finite = [p.detach().isfinite().all() for p in model.parameters()]
    if finite and not torch.stack(finite).all():
        raise DivergenceError(
            f"weights are not finite numbers after epoch {epoch}",
            remedy="lower the learning rate; the last good checkpoint is kept",
        )
