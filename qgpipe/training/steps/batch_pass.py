"""One pass over the training set, which can be interrupted and resumed between two steps."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.errors import DivergenceError, TrainingError
from qgpipe.training.distributed.process_group import ALONE, Processes
from qgpipe.training.steps.loss_buffer import LossLog
from qgpipe.training.steps.training_step import TrainingStep, in_steps
from qgpipe.training.steps.user_errors import explained

NAMED_SAMPLES = 8  # at most, in a message


class TrainingPass:
    """The epoch in progress: its completed steps, their losses and duration."""

    def __init__(self, accumulate: int = 1, processes: Processes = ALONE) -> None:
        """``accumulate``: batches in a step, of which each of the ``processes`` computes shards."""
        self.step = 0
        self.losses = LossLog(processes)
        self._accumulate = accumulate
        self._earlier_seconds = 0.0
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """Time spent on the steps so far, without interruptions."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._earlier_seconds + running

    @property
    def batch(self) -> int:
        """Number of the next batch."""
        return self.step * self._accumulate

    def num_steps(self, loader: Any) -> int:
        """Number of steps of a whole pass over ``loader``."""
        return -(-len(loader) // self._accumulate)

    def run(
        self, take_step: TrainingStep, loader: Any, epoch: int, after_step: Callable[[], None]
    ) -> None:
        """Train on the remaining batches of ``epoch``; ``after_step`` is called after each step.

        Raises ``TrainingError`` with epoch, step and sample ids if a loss or a gradient is not
        finite, and if the criterion fails or memory runs out.
        """
        take_step.model.train()
        self._started = time.perf_counter()
        try:
            for batches in in_steps(loader, epoch, self.batch, self._accumulate):
                self.losses.add(**vars(take_step(batches)))
                self.step += 1
                if self.losses.is_full:
                    self.check(loader, epoch)
                after_step()
            self.check(loader, epoch)
        except (TrainingError, RuntimeError, MemoryError) as error:
            raise explained(error, f"epoch {epoch}, step {self.step + 1}") from error.__cause__
        finally:
            self._earlier_seconds, self._started = self.seconds, None

    def check(self, loader: Any, epoch: int) -> None:
        """Raise ``DivergenceError`` if a loss or gradient since the last check is not finite."""
        bad = self.losses.settle()
        if bad is None:
            return
        raise DivergenceError(
            f"the {bad.what} is {bad.value}{named_samples(loader, bad.positions)}",
            where=f"epoch {epoch}, step {bad.step + 1}",
            remedy="look at these samples, or lower the learning rate; "
            "the last good checkpoint is kept",
        )

    def state_dict(self) -> dict[str, Any]:
        """Steps, losses and seconds so far."""
        return {"step": self.step, "losses": self.losses.state_dict(), "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.step = state["step"]
        self.losses.load_state_dict(state["losses"])
        self._earlier_seconds = state["seconds"]


def named_samples(loader: Any, positions: list[int]) -> str:
    """The ids of samples of a packed dataset, as the end of a message."""
    if not positions or not isinstance(loader.dataset, PackedDataset):
        return ""
    ids = loader.dataset.sample_ids(positions)
    more = f" and {len(ids) - NAMED_SAMPLES} more" if len(ids) > NAMED_SAMPLES else ""
    return f", with the samples {', '.join(ids[:NAMED_SAMPLES])}{more}"
