"""The training loop: epochs with their steps, validation, checkpoints and log entries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qgpipe import paths
from qgpipe.errors import TrainingError
from qgpipe.stages.fingerprint import trajectory
from qgpipe.stages.session_code import live_folders
from qgpipe.system.rng import restore_rng, rng_state, seed_everything
from qgpipe.training.checkpoints.checkpoint import CheckpointFolder
from qgpipe.training.distributed.process_group import sync_buffers
from qgpipe.training.distributed.sharding import shard_loader
from qgpipe.training.distributed.signals import Interrupted, SignalWatch
from qgpipe.training.evaluation.evaluator import Evaluator, report_row, undecided_text
from qgpipe.training.loaders import fingerprint_data, fingerprint_split, left_out_text
from qgpipe.training.loggers.loggers import Loggers
from qgpipe.training.optimizer import step_scheduler
from qgpipe.training.preflight import require_finite
from qgpipe.training.steps.batch_pass import TrainingPass
from qgpipe.training.steps.progress import NoProgress, Progress
from qgpipe.training.steps.training_step import GroupStep, TrainingStep, can_resume_within_epoch

if TYPE_CHECKING:
    from qgpipe.training.trainer import Trainer

logger = logging.getLogger(__name__)

Watch = Callable[[Mapping[str, Any], bool], bool]

# Attributes of a trainer that are saved in a checkpoint, if they have a state.
PARTS = (
    "model", "criterion", "optimizer", "scheduler", "precision", "average", "early_stopping",
    "history", "selection", "training_pass",
)  # fmt: skip


class TrainingLoop:
    """A call of ``Trainer.run_training``, which updates the state of ``trainer``.

    Its own attributes only exist during the call. All ranks of a process group run the loop
    together.
    """

    def __init__(self, trainer: Trainer, train_loader: Any, val_loader: Any, watch: Watch | None):
        """As ``Trainer.run_training``; the model of ``trainer`` has already been called once."""
        config, folder, processes = trainer.config, trainer.folder, trainer.processes
        self.config = config["training"]
        self.num_epochs: int = self.config["num_epochs"]
        self.trainer, self.processes = trainer, processes
        self.train_loader, self.val_loader, self.watch = train_loader, val_loader, watch
        self.take_step = _training_step(trainer)
        loaders = train_loader, val_loader
        data, split = fingerprint_data(*loaders), fingerprint_split(*loaders)
        state_of = trajectory(config, data, split, live_folders())
        self.checkpoints = CheckpointFolder(
            paths.checkpoints(folder, state_of.name),
            state_of,
            self.config["checkpoint_every_steps"],
            self.config["keep_checkpoints"],
            processes,
        )
        progress = Progress if processes.rank == 0 else NoProgress
        self.progress = progress(self.num_epochs, folder)
        self.loggers = Loggers(config, folder, self.progress.say)
        self.signals = SignalWatch(processes)
        self._best_written: int | None = None

    def resume(self) -> bool:
        """Load the newest checkpoint, or seed for the start; returns whether there was one.

        Raises ``TrainingError`` if the checkpoint does not fit the trainer.
        """
        trainer, state = self.trainer, self.checkpoints.load(self.num_epochs)
        if state is None:
            seed_everything(self.config["seed"])
            return False
        trainer.epoch = state["epoch"]
        try:
            for name, part in self._parts().items():
                part.load_state_dict(state["parts"][name])
            restore_rng(state["rng"])
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"the checkpoint does not fit: {error}",
                where=str(self.checkpoints.folder),
                remedy="the code has changed since, or it is damaged; delete the folder to start "
                "anew",
            ) from error
        if isinstance(trainer.validator, Evaluator) and trainer.history.rows:
            trainer.validator.data = trainer.history.validation().drop(columns="epoch")
        logger.info("go on after epoch %d, step %d", trainer.epoch, trainer.training_pass.step)
        return True

    def run(self) -> None:
        """Train until the last epoch, early stopping, or a signal."""
        trainer = self.trainer
        with self.loggers.running(trainer.history.rows, self.processes):
            with self.signals:
                try:
                    while not trainer.selection.stopped and trainer.epoch < self.num_epochs:
                        self.run_epoch()
                except Interrupted as interruption:
                    self.leave(interruption)
                    raise
                finally:
                    self.progress.close()
            self.finish()

    def run_epoch(self) -> None:
        """Train, validate, evaluate and record one epoch."""
        trainer, this = self.trainer, self.trainer.training_pass
        epoch = trainer.epoch + 1
        self.train_epoch(epoch)
        trainer.history.add(
            epoch=epoch,
            losses=this.losses.summary(),
            validation=self.validate(epoch),
            lr=float(trainer.optimizer.param_groups[0]["lr"]),
            seconds=this.seconds,
            num_graphs=this.losses.num_graphs,
        )
        score = trainer.selection.judge(trainer.history, trainer.evaluated)
        step_scheduler(trainer.scheduler, score)
        trainer.selection.stopped = self.processes.run_on_rank0(self._is_enough)
        trainer.epoch = epoch
        trainer.training_pass = TrainingPass(self.config["accumulate_steps"], self.processes)
        self.log(trainer.history.rows[-1])
        every = self.config["checkpoint_at"]
        keep = every is not None and epoch % every == 0
        if keep or self.checkpoints.is_due():
            self.save_checkpoint(keep)

    def train_epoch(self, epoch: int) -> None:
        """Take the remaining steps of ``epoch``."""
        trainer, this = self.trainer, self.trainer.training_pass
        self.progress.start_epoch(epoch, this.step, this.num_steps(self.train_loader))
        shards = shard_loader(self.train_loader, self.processes)
        this.run(self.take_step, shards, epoch, self._after_step)
        sync_buffers(self.processes, trainer.model, trainer.evaluated)

    def validate(self, epoch: int) -> dict[str, Any] | None:
        """The validation results as a row of the history; interrupted by signals."""
        trainer, validator = self.trainer, self.trainer.validator
        if validator is None or self.val_loader is None:
            return None
        before = rng_state()
        try:
            with self.signals.at_once():
                results = validator.validate(trainer.evaluated, self.val_loader)
        except Interrupted:
            restore_rng(before)
            raise
        row = report_row(validator, results, "validation.validator")
        seen = validator.collected if isinstance(validator, Evaluator) else None
        if seen is not None and len(validator.undecided):
            said = undecided_text(validator.undecided, seen, self.val_loader)
            self.progress.say(f"epoch {epoch}, validation: {said}")
        return self.processes.run_on_rank0(lambda: row)

    def log(self, row: dict[str, Any]) -> None:
        """Show the ``row`` of the history, and pass it to the loggers."""
        self.progress.end_epoch(row)
        self.loggers.log(row)

    def save_checkpoint(self, keep: bool = False) -> None:
        """Write a checkpoint, and the best model if it has changed since the last time.

        Raises ``TrainingError``, and writes none, if a loss, gradient or weight is not finite.
        """
        trainer = self.trainer
        trainer.training_pass.check(self.train_loader, trainer.epoch + 1)
        with self.checkpoints.at_cost():
            require_finite(trainer.model, trainer.epoch)
            self.checkpoints.save(self._state(), keep)
            if trainer.selection.epoch not in (None, self._best_written):
                self._save_best()

    def leave(self, interruption: Interrupted) -> None:
        """Save the state after a signal."""
        if self.trainer.training_pass.step == 0 or can_resume_within_epoch(self.train_loader):
            self.save_checkpoint()
        epoch, step = self.checkpoints.position or (0, 0)
        self.progress.say(
            f"{interruption}: the state after epoch {epoch}, step {step} is saved; "
            "start the same command again to go on from there"
        )

    def finish(self) -> None:
        """Save the final state, and select the last epoch if no epoch was the best."""
        trainer = self.trainer
        if self.checkpoints.position != (trainer.epoch, 0):
            self.save_checkpoint()
        trainer.selection.settle(trainer.history, trainer.evaluated, self.progress.note)
        if left_out := left_out_text(self.val_loader):
            self.progress.note(f"validation.drop_last leaves out {left_out}")
        self._save_best()

    def _after_step(self) -> None:
        """Between two steps: update progress, check for signals, and perhaps save a checkpoint."""
        self.progress.step()
        self.signals.raise_if_received()
        step = self.trainer.training_pass.step
        if can_resume_within_epoch(self.train_loader) and self.checkpoints.is_due(step):
            self.save_checkpoint()

    def _is_enough(self) -> bool:
        """Whether to end after this epoch, according to early stopping or ``watch``."""
        row, enough = self.trainer.history.rows[-1], self.trainer.selection.stopped
        last = enough or row["epoch"] == self.num_epochs
        return bool(self.watch is not None and self.watch(row, last)) or enough

    def _save_best(self) -> None:
        if self.processes.rank == 0:
            self.trainer.save_best_model(self.checkpoints.best)
        self._best_written = self.trainer.selection.epoch

    def _state(self) -> dict[str, Any]:
        """The state for a checkpoint, see ``qgpipe.training.checkpoints.checkpoint``."""
        return {
            "epoch": self.trainer.epoch,
            "step": self.trainer.training_pass.step,
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "rng": rng_state(),
        }

    def _parts(self) -> dict[str, Any]:
        parts = {name: getattr(self.trainer, name) for name in PARTS}
        return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}


def _training_step(trainer: Trainer) -> TrainingStep:
    """The step on batches, or on shards of batches if there are several processes."""
    parts = (
        trainer.model,
        trainer.criterion,
        trainer.optimizer,
        trainer.precision,
        trainer.device,
        trainer.apply_model,
        trainer.config["training"]["gradient_clip"],
        trainer.average,
    )
    if trainer.processes.size == 1:
        return TrainingStep(*parts)
    section = trainer.config.get("parallel")
    unused = section["find_unused_parameters"] if section else False
    return GroupStep(*parts, processes=trainer.processes, find_unused_parameters=unused)
