"""Training as a configuration says: epochs, validation, checkpoints, the best model, the test."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from qgpipe import paths
from qgpipe.config.dump import to_plain
from qgpipe.config.load import load_config
from qgpipe.config.objects import add_search_path, import_object
from qgpipe.config.resolve import resolve_config
from qgpipe.config.schema import schema as config_schema
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import TrainingError
from qgpipe.models import build_model, save_model
from qgpipe.stages.fingerprint import Trajectory, trajectory
from qgpipe.stages.session_code import live_folders
from qgpipe.system.logs import NOTES
from qgpipe.training.average import WeightAverage
from qgpipe.training.checks import check_fit, require_finite
from qgpipe.training.criterion import build_criterion, in_state
from qgpipe.training.device import resolve_device
from qgpipe.training.distributed import group_of, is_to_launch
from qgpipe.training.early_stopping import DefaultEarlyStopping, build_early_stopping
from qgpipe.training.evaluator import (
    Evaluator,
    Validator,
    build_evaluator,
    last_row,
    require_decided,
    undecided_text,
)
from qgpipe.training.history import History
from qgpipe.training.interruption import Interrupted
from qgpipe.training.launch import launch
from qgpipe.training.loaders import (
    Loaders,
    fingerprint_data,
    fingerprint_split,
    graph_targets,
    left_out_text,
    open_loaders,
    suit,
)
from qgpipe.training.loggers import logger_specs, telling
from qgpipe.training.optimisation import (
    build_optimizer,
    build_scheduler,
    rehearse,
    require_plateau_mode,
    step_scheduler,
)
from qgpipe.training.outputs import is_binary
from qgpipe.training.precision import Precision
from qgpipe.training.randomness import (
    deterministic_algorithms,
    restore_rng,
    rng_state,
    seed_everything,
)
from qgpipe.training.selection import Selection
from qgpipe.training.step_batches import can_resume_within_epoch
from qgpipe.training.training_pass import TrainingPass

logger = logging.getLogger(__name__)

Watch = Callable[[Mapping[str, Any], bool], bool]

# What is kept with the model of the data that it was trained on.
NAMES = ("node_features", "graph_features", "class_names", "target_name", "attributes")


class Trainer:
    """Trains, validates and tests one model.

    ``schema`` is the JSON Schema of the configuration. What has to survive a restart is in
    objects with ``state_dict``; everything else is derived from the configuration.
    """

    schema = config_schema()

    def __init__(self, config: Mapping[str, Any], folder: str | Path | None = None):
        """``config`` is resolved; ``folder`` is the run's, by default the one it names.

        Seeds the random number generators and builds everything but the data. Raises
        ``ConfigError`` with the key of whatever cannot be built.
        """
        self.config = config
        self.folder = Path(folder) if folder is not None else paths.run_folder(config)
        self.group = group_of(config)
        self._build()

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> Trainer:
        """A trainer for a configuration as it was read or written in Python, or for its file.

        Raises ``ConfigError`` if the configuration is wrong.
        """
        if isinstance(config, str | Path):
            resolved = resolve_config(load_config(config), str(config))
        else:
            resolved = resolve_config(config)
        add_search_path(*(path for path in resolved["python_path"] if Path(path).is_dir()))
        return cls(resolved)

    def prepare_dataloaders(self) -> Loaders:
        """Loaders of the training, validation and test set.

        Generates, preprocesses and splits first what is missing or out of date in
        ``data.output``.
        """
        from qgpipe.training.prepare import prepare_data  # reads raw stores: needs zarr

        return open_loaders(self.config, *self.group.first(lambda: prepare_data(self.config)))

    def run_training(
        self, train_loader: Any, val_loader: Any = None, watch: Watch | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Train until ``num_epochs`` or early stopping; returns training and validation results.

        Goes on from the newest checkpoint of the same training, if there is one. Both tables
        have a row an epoch; the second is empty without a validation. ``watch`` is told of each
        epoch: its row of the history, and whether it is the last one; training ends when it
        returns True. Raises ``Interrupted`` after a signal has asked to stop, and
        ``TrainingError`` if training cannot go on; in both cases the same call goes on from the
        last good state. Raises ``FolderInUse`` if another process trains in the folder of the run.

        With ``parallel`` the training is done by processes that this one starts, from which it
        then takes over the results; in a rank of a process group, by that group.
        """
        by_hand = self._changed_by_hand()
        if is_to_launch(self.config):
            launch(_train, self.config, self.folder, train_loader, val_loader, watch)
        is_second = bool(self.history.rows or self.training_pass.step)
        if is_second:
            self._build()
        self._train_loader, self._val_loader, self._watch = train_loader, val_loader, watch
        self._progress = self.group.progress(self._num_epochs, self.folder)
        suit((train_loader, val_loader), self.model, self.config, self.device)
        with self._deterministic():
            self._check()
            self._complete()
            with self.group.writing(paths.training_lock(self.folder)):
                goes_on = self._resume_or_seed()
                if by_hand and (goes_on or is_second):
                    self._warn_of_lost_weights()
                told = self.config, self.folder, self.history.rows, self.group, self._progress.say
                try:
                    with telling(*told) as self._loggers:
                        self._run_epochs()
                        self._finish()
                finally:
                    self._known_marks = self._marks()
        return self.history.training(), self.history.validation()

    def run_test(self, test_loader: Any) -> pd.DataFrame:
        """Results of the best model on the test set, with the criterion as it was then.

        Raises ``TrainingError`` if there is no trained model yet.
        """
        suit([test_loader], self.model, self.config, self.device)
        best, criterion_weights = self.best_model(), self.selection.criterion_weights
        with self._deterministic(), in_state(self.criterion, criterion_weights):
            results = self.tester.test(best, test_loader)
        last_row(results, "testing.tester")
        self.tester.report(results)
        if isinstance(self.tester, Evaluator) and self.tester.collected is not None:
            require_decided(self.tester.collected, test_loader)
        if left_out := left_out_text(test_loader):
            NOTES.warning("testing.drop_last leaves out %s", left_out)
        return results

    def best_model(self) -> torch.nn.Module:
        """A copy of the model with the best weights, in evaluation mode.

        Raises ``TrainingError`` if there is none yet.
        """
        if self.selection.epoch is None:
            raise TrainingError(
                "there is no trained model yet",
                remedy="call run_training first; a finished run is taken from its checkpoints",
            )
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.selection.weights)
        return model.eval()

    def save_best_model(self, path: str | Path) -> None:
        """Write the best model to ``path``, as ``qgpipe.models.load_model`` reads it."""
        best = self.selection
        facts = {"epoch": best.epoch, "score": best.score, **self.names}
        facts["criterion_state_dict"] = best.criterion_weights
        save_model(path, self.config["model"], best.weights, **facts)

    @property
    def evaluated(self) -> torch.nn.Module:
        """The model that is validated and kept: the one trained, or its average."""
        return self.model if self.average is None else self.average.model

    @property
    def _num_epochs(self) -> int:
        return self.config["training"]["num_epochs"]

    def _deterministic(self) -> AbstractContextManager[None]:
        return deterministic_algorithms(self.config["training"]["deterministic"])

    def _build(self) -> None:
        """Build everything from the configuration, as it is before the first epoch."""
        config, training = self.config, self.config["training"]
        to_plain(config["model"], "model")  # what cannot be named could not be saved
        self.device = resolve_device(training["device"])
        seed_everything(training["seed"])
        self.apply_model = import_object(config["apply_model"], "apply_model")
        self.model = build_model(config["model"], trust=True).to(self.device)
        self.criterion = build_criterion(config["criterion"])
        parameters = list(self.model.parameters())
        if isinstance(self.criterion, torch.nn.Module):
            parameters += self.criterion.to(self.device).parameters()
        self.optimizer = build_optimizer(parameters, training)
        self.scheduler = build_scheduler(self.optimizer, training)
        self.precision = Precision(training["precision"], self.device)
        self.average: WeightAverage | None = None
        self.validator = None
        if "validation" in config:
            self.validator = build_evaluator(config, "validation", self.device, self.criterion)
        self.tester = build_evaluator(config, "testing", self.device, self.criterion)
        for evaluator in (self.validator, self.tester):
            if isinstance(evaluator, Evaluator):
                evaluator.group = self.group
        self.early_stopping = None
        if "early_stopping" in config:
            self.early_stopping = stopping = build_early_stopping(config["early_stopping"])
            # A validator of the user's may add columns.
            if isinstance(stopping, DefaultEarlyStopping) and type(self.validator) is Validator:
                stopping.require(self.validator.columns)
        self._require_one_direction()
        logger_specs(config)  # their classes and arguments
        self._known_marks = self._marks()
        self.history: History = History()
        self.selection = Selection(self.criterion, self.early_stopping)
        self.training_pass: TrainingPass = self._new_pass()
        self.epoch = 0
        self._best_written: int | None = None

    def _require_one_direction(self) -> None:
        """Raise ``ConfigError`` if what is better for one part of the selection is not for all."""
        stopping, column, better = self.early_stopping, "loss_avg", "min"
        if isinstance(stopping, DefaultEarlyStopping):
            if isinstance(self.validator, Evaluator):
                stopping.require_modes(self.validator.better)
            first = next(iter(stopping.tasks.values()))
            column, better = first.metric, first.mode
        require_plateau_mode(self.scheduler, column, better)

    def _new_pass(self) -> TrainingPass:
        return TrainingPass(self.config["training"]["accumulate_steps"], self.group.loss_log())

    def _check(self) -> None:
        """Find out before training what could only fail later."""
        if self.early_stopping is not None and self._val_loader is None:
            raise TrainingError("early stopping needs a validation loader")
        with self.precision.autocast():
            check_fit(self.model, self._train_loader, self.apply_model, self.device)
        self.rehearse()

    def rehearse(self) -> None:
        """Raise ``ConfigError`` if the optimizer or the schedule would fail in the training."""
        groups = self.optimizer.param_groups
        rehearse([p for group in groups for p in group["params"]], self.config["training"])

    def _complete(self) -> None:
        """Build what is derived from the model, now that it has met the data: sizes are known."""
        training = self.config["training"]
        dataset = self._train_loader.dataset
        self.names = {name: getattr(dataset, name, None) for name in NAMES}
        targets = graph_targets(dataset)
        self.names["binary_target"] = None if targets is None else is_binary(targets).tolist()
        if training["ema_decay"] is not None:
            self.average = WeightAverage(self.model, training["ema_decay"])
        if training["compile"]:
            self.model.compile(dynamic=True)  # in place: names of weights stay as they are
        self._take_step = self.group.training_step(
            self.model,
            self.criterion,
            self.optimizer,
            self.precision,
            self.device,
            self.apply_model,
            training["gradient_clip"],
            self.average,
        )

    def _changed_by_hand(self) -> bool:
        return self._marks() != self._known_marks

    def _marks(self) -> list[tuple[int, int]]:
        """What changes with the weights of the model, and costs nothing to ask for."""
        return [(id(value), value._version) for value in self.model.parameters()]

    def _warn_of_lost_weights(self) -> None:
        warnings.warn(
            "the weights of trainer.model were changed by hand, and are not used: the training "
            f"goes on after epoch {self.epoch} of {self.checkpoints.folder}; to start from yours, "
            "move that folder away or choose another training.path, and give them to a new trainer",
            stacklevel=3,
        )

    def _resume_or_seed(self) -> bool:
        """Go to where an earlier process stopped, or to the start; returns whether one had."""
        training, trajectory = self.config["training"], self._trajectory()
        self.checkpoints = self.group.checkpoint_folder(
            paths.checkpoints(self.folder, trajectory.name),
            trajectory,
            training["checkpoint_every_steps"],
            training["keep_checkpoints"],
        )
        state = self.checkpoints.load(self._num_epochs)
        if state is None:
            seed_everything(training["seed"])
            return False
        self.epoch = state["epoch"]
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
        if isinstance(self.validator, Evaluator) and self.history.rows:
            self.validator.data = self.history.validation().drop(columns="epoch")
        logger.info("go on after epoch %d, step %d", self.epoch, self.training_pass.step)
        return True

    def _trajectory(self) -> Trajectory:
        """What the state of this training belongs to."""
        loaders = self._train_loader, self._val_loader
        data, split = fingerprint_data(*loaders), fingerprint_split(*loaders)
        return trajectory(self.config, data, split, live_folders())

    def _run_epochs(self) -> None:
        """Train until the last epoch, early stopping, or a signal."""
        with self.group.signal_watch() as self._signals:
            try:
                while not self.selection.stopped and self.epoch < self._num_epochs:
                    self._run_epoch()
            except Interrupted as interruption:
                self._leave(interruption)
                raise
            finally:
                self._progress.close()

    def _run_epoch(self) -> None:
        """Train, validate, judge and record one epoch."""
        epoch, this = self.epoch + 1, self.training_pass
        self._progress.start_epoch(epoch, this.step, this.num_steps(self._train_loader))
        this.run(self._take_step, self.group.shares(self._train_loader), epoch, self._after_step)
        self.group.level(self.model, self.evaluated)
        self.history.add(
            epoch=epoch,
            losses=this.losses.summary(),
            validation=self._validate(),
            lr=float(self.optimizer.param_groups[0]["lr"]),
            seconds=this.seconds,
            num_graphs=this.losses.num_graphs,
        )
        step_scheduler(self.scheduler, self.selection.judge(self.history, self.evaluated))
        self.selection.stopped = self.group.first(self._is_enough)
        self.epoch, self.training_pass = epoch, self._new_pass()
        self._progress.end_epoch(self.history.rows[-1])
        self._loggers.log(self.history.rows[-1])
        every = self.config["training"]["checkpoint_at"]
        keep = every is not None and epoch % every == 0
        if keep or self.checkpoints.is_due():
            self._save(keep)

    def _is_enough(self) -> bool:
        """Whether to end after this epoch: so says early stopping, or whoever watches."""
        row, enough = self.history.rows[-1], self.selection.stopped
        last = enough or row["epoch"] == self._num_epochs
        return bool(self._watch is not None and self._watch(row, last)) or enough

    def _after_step(self) -> None:
        """Between two steps: progress, signals, and in long epochs a checkpoint."""
        self._progress.step()
        self._signals.raise_if_received()
        step = self.training_pass.step
        if can_resume_within_epoch(self._train_loader) and self.checkpoints.is_due(step):
            self._save()

    def _validate(self) -> dict[str, Any] | None:
        """The validation results as a row of the history; a signal ends it at once."""
        if self.validator is None or self._val_loader is None:
            return None
        before = rng_state()
        try:
            with self._signals.at_once():
                results = self.validator.validate(self.evaluated, self._val_loader)
        except Interrupted:
            restore_rng(before)
            raise
        row = last_row(results, "validation.validator")
        self.validator.report(results)
        seen = self.validator.collected if isinstance(self.validator, Evaluator) else None
        if seen is not None and len(self.validator.undecided):
            said = undecided_text(self.validator.undecided, seen, self._val_loader)
            self._progress.say(f"epoch {self.epoch + 1}, validation: {said}")
        return self.group.first(lambda: row)

    def _leave(self, interruption: Interrupted) -> None:
        """Save where training stands when a signal has stopped it."""
        if self.training_pass.step == 0 or can_resume_within_epoch(self._train_loader):
            self._save()
        epoch, step = self.checkpoints.position or (0, 0)
        self._progress.say(
            f"{interruption}: the state after epoch {epoch}, step {step} is saved; "
            "start the same command again to go on from there"
        )

    def _finish(self) -> None:
        """Save the end state, and settle on the last epoch if none was found to be the best."""
        if self.checkpoints.position != (self.epoch, 0):
            self._save()
        self.selection.settle(self.history, self.evaluated, self._progress.note)
        if left_out := left_out_text(self._val_loader):
            self._progress.note(f"validation.drop_last leaves out {left_out}")
        self._write_best()

    def _save(self, keep: bool = False) -> None:
        """Write a checkpoint, and the best model if it is another since the last time.

        Raises ``TrainingError``, and keeps the last one, if something is not a finite number.
        """
        epoch = self.epoch + 1
        self.training_pass.check(self._train_loader, epoch)
        with self.checkpoints.at_cost():
            require_finite(self.model, self.epoch)
            self.checkpoints.save(self._state(epoch), keep)
            if self.selection.epoch not in (None, self._best_written):
                self._write_best()

    def _state(self, epoch: int) -> dict[str, Any]:
        """Where training stands in ``epoch``, as ``checkpoint`` describes it."""
        seed, batch = getattr(self._train_loader, "seed", None), self.training_pass.batch
        return {
            "epoch": self.epoch,
            "step": self.training_pass.step,
            "sampler": {"seed": seed, "epoch": epoch, "batch": batch},
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "rng": rng_state(),
        }

    def _write_best(self) -> None:
        if self.group.is_first:
            self.save_best_model(self.checkpoints.best)
        self._best_written = self.selection.epoch

    def _parts(self) -> dict[str, Any]:
        """Everything that has state, by its name in a checkpoint."""
        parts = {
            "model": self.model,
            "criterion": self.criterion,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "precision": self.precision,
            "average": self.average,
            "early_stopping": self.early_stopping,
            "history": self.history,
            "selection": self.selection,
            "training_pass": self.training_pass,
        }
        return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}


def _train(config: Mapping[str, Any], folder: Path, *told: Any) -> None:
    """What each rank does that ``run_training`` has started."""
    trainer = Trainer(config, folder)
    for loader in told:
        if isinstance(loader, GraphLoader):
            loader.dataset.device = trainer.device
    trainer.run_training(*told)
