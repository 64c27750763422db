"""Training of a configuration: epochs, validation, checkpoints, best model, test."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch

from qgpipe import paths
from qgpipe.config.dump import to_plain
from qgpipe.config.load import load_config
from qgpipe.config.objects import add_search_path, import_object
from qgpipe.config.resolve import data_source, kept_arrays, resolve_config
from qgpipe.config.schema import schema as config_schema
from qgpipe.config.types import Config
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import TrainingError
from qgpipe.models import build_model, save_model
from qgpipe.models.construct.ablation import ablate
from qgpipe.models.sizes import has_open_sizes
from qgpipe.system.device import resolve_device
from qgpipe.system.lock import writing
from qgpipe.system.logs import NOTES
from qgpipe.system.rng import deterministic_algorithms, seed_everything
from qgpipe.training.checkpoints.checkpoint import (
    CheckpointFolder,
    warn_of_lost_weights,
    weight_marks,
)
from qgpipe.training.distributed.join import is_to_launch, join_process_group
from qgpipe.training.distributed.launch import launch
from qgpipe.training.early_stopping import DefaultEarlyStopping, build_early_stopping
from qgpipe.training.evaluation.evaluator import (
    Evaluator,
    Validator,
    build_evaluator,
    report_row,
    require_decided,
)
from qgpipe.training.loaders import (
    Loaders,
    data_names,
    left_out_text,
    open_loaders,
    select_edge_format,
)
from qgpipe.training.loggers.history import History
from qgpipe.training.loggers.loggers import logger_specs
from qgpipe.training.model_selection import Selection
from qgpipe.training.model_sizes import with_sizes
from qgpipe.training.optimizer import (
    build_optimizer,
    build_scheduler,
    rehearse,
    require_plateau_mode,
)
from qgpipe.training.preflight import check_fit
from qgpipe.training.standardize import standardize
from qgpipe.training.steps.batch_pass import TrainingPass
from qgpipe.training.steps.criterion import build_criterion, in_state, with_trainer
from qgpipe.training.steps.ema import WeightAverage
from qgpipe.training.steps.precision import Precision
from qgpipe.training.training_loop import TrainingLoop, Watch


class Trainer:
    """Trains, validates and tests one model.

    ``schema``: the JSON Schema of the configuration. All state that is saved in checkpoints is in
    objects with ``state_dict``; everything else is derived from the configuration.
    ``checkpoints``: those of the latest training, ``None`` before it.
    """

    schema = config_schema()
    _known_marks: list[tuple[int, int]]  # of the weights at the end of the latest training

    def __init__(self, config: Config, folder: str | Path | None = None):
        """``config``: resolved; ``folder``: of the run, by default as in the configuration.

        Seeds the random number generators and builds everything except the data, which is only
        prepared if the sizes of layers are left to it. Raises ``ConfigError`` with the key of a
        part that cannot be built.
        """
        self.config = config
        self.folder = Path(folder) if folder is not None else paths.run_folder(config)
        self.processes = join_process_group(config)
        if has_open_sizes(config["model"]):
            self.config = with_sizes(config, self._prepare_data()[0])
        self.checkpoints: CheckpointFolder | None = None
        self._build()

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> Self:
        """A trainer for an unresolved configuration (a mapping), or for a configuration file.

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

        First generates, preprocesses and splits data that is missing or out of date in
        ``data.output``.
        """
        return open_loaders(self.config, *self._prepare_data())

    def _prepare_data(self) -> tuple[Path, Path]:
        """``dataset.json`` and ``split.json``, made by rank 0 if need be."""
        from qgpipe.training.prepare import prepare_data  # reads raw stores: needs zarr

        return self.processes.run_on_rank0(lambda: prepare_data(self.config))

    def run_training(
        self, train_loader: Any, val_loader: Any = None, watch: Watch | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Train until ``num_epochs`` or early stopping; returns training and validation results.

        Resumes from the newest checkpoint of the same training, if there is one. Both tables have
        one row for each epoch; the second is empty without a validation. ``watch`` is called with
        each row of the history and whether it is the last one; training ends if it returns True.
        Raises ``Interrupted`` after a signal, and ``TrainingError`` if training cannot continue; in
        both cases the same call resumes from the last good state. Raises ``FolderInUse`` if another
        process trains in the folder of the run.

        With ``parallel``, this process starts others that train, and then loads their results; in a
        rank of a process group, all ranks of the group train.
        """
        by_hand = weight_marks(self.model) != self._known_marks
        if is_to_launch(self.config):
            launch(_train, self.config, self.folder, train_loader, val_loader, watch)
        is_second = bool(self.history.rows or self.training_pass.step)
        if is_second:
            self._build()
        select_edge_format((train_loader, val_loader), self.model, self.config, self.device)
        with self._deterministic():
            standardize(self.model, train_loader, self.config["data"]["standardize"])
            ablate(self.model, self.config["training"]["ablation"])
            self._check(train_loader, val_loader)
            self._complete(train_loader.dataset)
            with self._writing():
                loop = TrainingLoop(self, train_loader, val_loader, watch)
                self.checkpoints = loop.checkpoints
                goes_on = loop.resume()
                if by_hand and (goes_on or is_second):
                    warn_of_lost_weights(self.epoch, loop.checkpoints.folder)
                try:
                    loop.run()
                finally:
                    self._known_marks = weight_marks(self.model)
        return self.history.training(), self.history.validation()

    def run_test(self, test_loader: Any) -> pd.DataFrame:
        """Results of the best model on the test set, with the criterion of the same epoch.

        Raises ``TrainingError`` if there is no trained model yet.
        """
        select_edge_format([test_loader], self.model, self.config, self.device)
        best, criterion_weights = self.best_model(), self.selection.criterion_weights
        with self._deterministic(), in_state(self.criterion, criterion_weights):
            results = self.tester.test(best, test_loader)
        report_row(self.tester, results, "testing.tester")
        if isinstance(self.tester, Evaluator) and self.tester.collected is not None:
            require_decided(self.tester.collected, test_loader)
        if left_out := left_out_text(test_loader):
            NOTES.warning("testing.drop_last leaves out %s", left_out)
        return results

    def best_model(self) -> torch.nn.Module:
        """A copy of the model with the best weights, in evaluation mode.

        Raises ``TrainingError`` if there is none yet.
        """
        self._require_trained()
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.selection.weights)
        return model.eval()

    def save_best_model(self, path: str | Path) -> None:
        """Write the best model to ``path``, for ``qgpipe.models.load_model``.

        Raises ``TrainingError`` if there is none yet.
        """
        self._require_trained()
        best = self.selection
        facts = {"epoch": best.epoch, "score": best.score, **self.names}
        facts["criterion_state_dict"] = best.criterion_weights
        save_model(path, self.config["model"], best.weights, **facts)

    @property
    def facade(self) -> Any:
        """The trainer that a criterion with three arguments gets."""
        return self

    @property
    def evaluated(self) -> torch.nn.Module:
        """The model that is validated and saved: the trained one, or its moving average."""
        return self.model if self.average is None else self.average.model

    def _require_trained(self) -> None:
        if self.selection.epoch is None:
            raise TrainingError(
                "there is no trained model yet",
                remedy="call run_training first; a finished run is taken from its checkpoints",
            )

    def _deterministic(self) -> AbstractContextManager[None]:
        return deterministic_algorithms(self.config["training"]["deterministic"])

    def _writing(self) -> AbstractContextManager[None]:
        """A block with the lock of the folder of this training, taken by rank 0."""
        lock = paths.training_lock(self.folder)
        return writing(lock) if self.processes.rank == 0 else nullcontext()

    def _build(self) -> None:
        """Build everything from the configuration, in the state before the first epoch."""
        config, training = self.config, self.config["training"]
        to_plain(config["model"], "model")  # objects without an importable name could not be saved
        self.device = resolve_device(training["device"])
        seed_everything(training["seed"])
        self.apply_model = import_object(config["apply_model"], "apply_model")
        self.model = build_model(config["model"], trust=True).to(self.device)
        criterion = build_criterion(config["criterion"])
        self.criterion, in_evaluation = with_trainer(criterion, self.facade)
        parameters = list(self.model.parameters())
        if isinstance(self.criterion, torch.nn.Module):
            parameters += self.criterion.to(self.device).parameters()
        self.optimizer = build_optimizer(parameters, training)
        self.scheduler = build_scheduler(self.optimizer, training)
        self.precision = Precision(training["precision"], self.device)
        self.average: WeightAverage | None = None
        self.validator = None
        same = self.device, in_evaluation, self.apply_model
        if "validation" in config:
            self.validator = build_evaluator(config, "validation", *same)
        self.tester = build_evaluator(config, "testing", *same)
        for evaluator in (self.validator, self.tester):
            if isinstance(evaluator, Evaluator):
                evaluator.processes = self.processes
        self.early_stopping = None
        if "early_stopping" in config:
            self.early_stopping = stopping = build_early_stopping(config["early_stopping"])
            # A user's validator may add columns.
            if isinstance(stopping, DefaultEarlyStopping) and type(self.validator) is Validator:
                stopping.require(self.validator.columns)
        self._require_one_direction()
        logger_specs(config)  # their classes and arguments
        self._known_marks = weight_marks(self.model)
        self.history: History = History()
        self.selection = Selection(self.criterion, self.early_stopping)
        self.training_pass = TrainingPass(training["accumulate_steps"], self.processes)
        self.epoch = 0
        self.names: dict[str, Any] = {}

    def _require_one_direction(self) -> None:
        """Raise ``ConfigError`` if modes of early stopping, scheduler and metrics do not agree."""
        stopping, column, better = self.early_stopping, "loss_avg", "min"
        if isinstance(stopping, DefaultEarlyStopping):
            if isinstance(self.validator, Evaluator):
                stopping.require_modes(self.validator.better)
            first = next(iter(stopping.tasks.values()))
            column, better = first.metric, first.mode
        require_plateau_mode(self.scheduler, column, better)

    def _check(self, train_loader: Any, val_loader: Any) -> None:
        """Check before training for errors that would occur later."""
        if self.early_stopping is not None and val_loader is None:
            raise TrainingError("early stopping needs a validation loader")
        with self.precision.autocast():
            check_fit(self.model, train_loader, self.apply_model, self.device)
        rehearse(self.optimizer, self.config["training"])

    def _complete(self, dataset: Any) -> None:
        """Build what depends on the sizes of lazy layers, which are now known."""
        training = self.config["training"]
        kept = kept_arrays(self.config, data_source(self.config, "train"))
        self.names = data_names(dataset, kept)
        if training["ema_decay"] is not None:
            self.average = WeightAverage(self.model, training["ema_decay"])
        if training["compile"]:
            self.model.compile(dynamic=True)  # in place: names of weights stay as they are


def _train(config: Config, folder: Path, *arguments: Any) -> None:
    """The function that each rank started by ``run_training`` runs."""
    trainer = Trainer(config, folder)
    for loader in arguments:
        if isinstance(loader, GraphLoader):
            loader.dataset.device = trainer.device
    trainer.run_training(*arguments)
