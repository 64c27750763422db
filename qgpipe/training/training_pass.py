"""One pass over the training set, which can be left and taken up again between two steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from qgpipe.errors import TrainingError
from qgpipe.models.build import call_model
from qgpipe.training.criterion import Criterion, batch_loss
from qgpipe.training.loss_log import LossLog

NAMED_SAMPLES = 8  # in a message


class TrainingPass:
    """The epoch in progress: its steps done, their losses, the seconds they took."""

    def __init__(self) -> None:
        self.step = 0
        self.losses = LossLog()
        self._earlier_seconds = 0.0
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """Time spent on the steps so far, interruptions left out."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._earlier_seconds + running

    def run(
        self,
        model: torch.nn.Module,
        criterion: Criterion,
        optimizer: torch.optim.Optimizer,
        loader: Any,
        epoch: int,
        apply_model: Callable[[Any, Any], Any] | None,
        device: torch.device,
        after_step: Callable[[], None],
    ) -> None:
        """Train on the batches that are left of ``epoch``, calling ``after_step`` after each.

        Raises ``TrainingError`` with epoch, step and sample ids if a loss is not a finite
        number, and if the criterion fails or memory runs out.
        """
        model.train()
        self._started = time.perf_counter()
        try:
            for batch in batches(loader, epoch, self.step):
                batch = batch.to(device, non_blocking=True)
                optimizer.zero_grad()
                loss = batch_loss(criterion, call_model(model, batch, apply_model), batch)
                if not loss.requires_grad:
                    raise TrainingError(
                        "the loss has no gradient", remedy="compute it from the outputs with torch"
                    )
                loss.backward()
                optimizer.step()
                positions = getattr(batch, "sample_position", None)
                self.losses.add(loss, batch.num_graphs, positions)
                self.step += 1
                if self.losses.is_full:
                    self.check_losses(loader, epoch)
                after_step()
            self.check_losses(loader, epoch)
        except (TrainingError, RuntimeError) as error:
            raise self._explained(error, epoch) from error.__cause__
        finally:
            self._earlier_seconds, self._started = self.seconds, None

    def check_losses(self, loader: Any, epoch: int) -> None:
        """Raise ``TrainingError`` if a loss since the last check is not a finite number."""
        bad = self.losses.settle()
        if bad is None:
            return
        raise TrainingError(
            f"the loss is {bad.value}{_samples(loader, bad.positions)}",
            where=f"epoch {epoch}, step {bad.step + 1}",
            remedy="look at these samples, or lower the learning rate; "
            "the last good checkpoint is kept",
        )

    def _explained(self, error: Exception, epoch: int) -> Exception:
        """``error`` as one that says where it happened, if it is a kind that users can mend."""
        where = f"epoch {epoch}, step {self.step + 1}"
        if isinstance(error, TrainingError):
            error.where = error.where or where
            return error
        if isinstance(error, torch.OutOfMemoryError):
            return TrainingError(
                "the device has not enough memory",
                where=where,
                remedy="make training.batch_size smaller",
            )
        if "device-side assert" in str(error):
            return TrainingError(
                "an index is out of range on the GPU, most likely a class label",
                where=where,
                remedy="see that the last layer has an output for each class; "
                "training.device: cpu names the label",
            )
        return error

    def state_dict(self) -> dict[str, Any]:
        """Steps, losses and seconds so far."""
        return {"step": self.step, "losses": self.losses.state_dict(), "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.step = state["step"]
        self.losses.load_state_dict(state["losses"])
        self._earlier_seconds = state["seconds"]


def can_resume_within_epoch(loader: Iterable) -> bool:
    """Whether ``loader`` can start in the middle of an epoch."""
    return hasattr(loader, "iterate")


def batches(loader: Any, epoch: int, start: int) -> Iterator:
    """The batches of ``epoch`` from number ``start`` on."""
    return iter(loader.iterate(epoch, start) if can_resume_within_epoch(loader) else loader)


def _samples(loader: Any, positions: list[int] | None) -> str:
    """Which samples a batch held, as the end of a message."""
    if positions is None:
        return ""
    ids = loader.dataset.sample_ids(positions)
    more = f" and {len(ids) - NAMED_SAMPLES} more" if len(ids) > NAMED_SAMPLES else ""
    return f", with the samples {', '.join(ids[:NAMED_SAMPLES])}{more}"
