"""The trainer, made and asked as that of QuantumGravPy; ``qgpipe.Trainer`` does the work."""

import copy
import inspect
import itertools
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
import yaml

from qgpipe.compat.quantumgrav.base import ConfigurationError, errors_as_there, require_keys
from qgpipe.compat.quantumgrav.config_utils import convert_to_pyobject_tags, get_loader
from qgpipe.compat.quantumgrav.configuration import resolved
from qgpipe.compat.quantumgrav.dataloaders import SPLIT, DataLoaderFactory
from qgpipe.compat.quantumgrav.early_stopping import DefaultEarlyStopping
from qgpipe.compat.quantumgrav.evaluate import Tester, Validator
from qgpipe.compat.quantumgrav.gnn_model import GNNModel
from qgpipe.config.spec import as_spec
from qgpipe.config.types import Config
from qgpipe.errors import ConfigError
from qgpipe.models import build_model
from qgpipe.system import tensor_files
from qgpipe.system.files import write_text
from qgpipe.training import trainer as ours
from qgpipe.training.evaluation.evaluator import report_row
from qgpipe.training.loaders import select_edge_format
from qgpipe.training.model_selection import Selection
from qgpipe.training.optimizer import build_optimizer, build_scheduler

_REQUIRED = ("training", "model", "validation", "testing", "criterion")
_STATES = ("model", "optimizer", "lr_scheduler", "early_stopping", "validator", "tester")


class _Engine(ours.Trainer):
    """The trainer of qgpipe, with evaluators and early stopping of a ``Trainer`` below."""

    def __init__(self, config: Config, folder: Path, shown: "Trainer"):
        self._shown = shown
        super().__init__(config, folder)

    @property
    def facade(self) -> Any:
        return self._shown

    def _build(self) -> None:
        super()._build()
        shown = self._shown
        self.validator, self.tester = shown.validator, shown.tester
        self.early_stopping = shown.early_stopper
        self.selection = Selection(self.criterion, self.early_stopping)

    def _check(self, train_loader: Any, val_loader: Any) -> None:
        """As in qgpipe; targets that are no classes of a head may be meant, and are a warning."""
        try:
            super()._check(train_loader, val_loader)
        except ConfigError as error:
            if not (error.key or "").startswith("model.downstream_tasks["):
                raise
            self._shown.logger.warning("%s", error)


@dataclass
class Snapshot:
    """The state of a trainer after an epoch."""

    epoch: int
    model_state_dict: Any
    optimizer_state_dict: Any
    lr_scheduler_state_dict: Any
    config_path: str | Path
    path: str | Path
    early_stopping_state_dict: Any = None
    validator_state_dict: Any = None
    tester_state_dict: Any = None

    @classmethod
    def from_trainer(cls, trainer: "Trainer") -> Self:
        """The state of ``trainer``, for a file of its number of epochs."""
        parts = (
            trainer.model, trainer.optimizer, trainer.lr_scheduler, trainer.early_stopper,
            trainer.validator, trainer.tester,
        )  # fmt: skip
        states = {f"{k}_state_dict": _state(p) for k, p in zip(_STATES, parts, strict=True)}
        return cls(
            epoch=trainer.epoch,
            config_path=trainer.data_path / "config.yaml",
            path=trainer.checkpoint_path / f"epoch_{trainer.epoch}",
            **states,
        )

    def save(self) -> None:
        """Write it to ``path``; it can be read without running code."""
        content = {**vars(self), "config_path": str(self.config_path), "path": str(self.path)}
        for name in ("validator_state_dict", "tester_state_dict"):
            if content[name] and isinstance(content[name].get("data"), pd.DataFrame):
                content[name] = {"data": content[name]["data"].to_dict("list")}
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        tensor_files.save(self.path, content)

    @classmethod
    def load(cls, load_path: str | Path) -> Self:
        """What ``save`` wrote to ``load_path``. Raises ``ConfigurationError`` if keys lack."""
        content = torch.load(load_path, map_location="cpu", weights_only=True)
        needed = ("epoch", "model_state_dict", "optimizer_state_dict", "config_path")
        if missing := [name for name in needed if name not in content]:
            raise ConfigurationError(f"{load_path} lacks {', '.join(missing)}")
        for name in ("validator_state_dict", "tester_state_dict"):
            if content.get(name) and isinstance(content[name].get("data"), dict):
                content[name] = {"data": pd.DataFrame(content[name]["data"])}
        states = {f"{name}_state_dict": content.get(f"{name}_state_dict") for name in _STATES}
        return cls(content["epoch"], config_path=content["config_path"], path=load_path, **states)


class _Checkpoint:
    """``load_checkpoint`` of the class (May 2026), or of a trainer (January 2026)."""

    def __get__(self, trainer: "Trainer | None", owner: type["Trainer"]) -> Callable[..., Any]:
        return owner.of_checkpoint if trainer is None else trainer.load_weights


class Trainer:
    """Trains, validates and tests the model of a configuration, in a new folder each time.

    ``Trainer(config)`` is that of January 2026: model and optimizer are made by
    ``initialize_model`` and ``initialize_optimizer``, or when training begins.
    ``Trainer.from_config(config)`` is that of May 2026, with both made at once.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "required": list(_REQUIRED),
        "properties": {k: v for k, v in ours.Trainer.schema["properties"].items() if k != "data"},
    }
    load_checkpoint = _Checkpoint()

    def __init__(
        self,
        config: Mapping[str, Any],
        logger: logging.Logger | None = None,
        criterion: Callable[..., Any] | None = None,
        model: torch.nn.Module | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        seed: int | None = None,
        device: torch.device | None = None,
        data_path: str | Path | None = None,
        lr_scheduler: Any = None,
        early_stopper: Any = None,
        validator: Any = None,
        tester: Any = None,
        apply_model: Callable[[Any, Any], Any] | None = None,
    ):
        """With ``config`` alone as in January 2026; further arguments take the place of its parts.

        Raises ``jsonschema.ValidationError`` if a section is missing, and ``ConfigurationError``.
        """
        require_keys(config, tuple(self.schema["required"]))
        self.is_lazy = logger is None
        self.config = config
        self.logger = logger or logging.getLogger(__name__)
        given = {"criterion": criterion, "apply_model": apply_model}
        training = {"seed": seed, "device": None if device is None else str(device)}
        self.validator, self.tester, self.early_stopper = validator, tester, early_stopper
        if self.is_lazy:
            self.validator = _evaluator(config, "validation", "validator", Validator)
            self.tester = _evaluator(config, "testing", "tester", Tester)
            self.early_stopper = _early_stopping(config)
        self.data_path = self._new_folder() if data_path is None else Path(data_path)
        names = "model_checkpoints" if self.is_lazy else "checkpoints"
        self.checkpoint_path = self.data_path / names
        self.checkpoint_path.mkdir(parents=True, exist_ok=True)
        tagged = convert_to_pyobject_tags(config, emit_yaml_tags=True)
        write_text(self.data_path / "config.yaml", yaml.safe_dump(tagged, sort_keys=False))
        self.checkpoint_at = config["training"].get("checkpoint_at")
        self.latest_checkpoint: Path | None = None
        self.best_score, self.best_epoch = None, 0
        self._made = not self.is_lazy, not self.is_lazy  # model, optimizer
        self._engine = self._new_engine(config, given, training)
        if model is not None:
            self.model = model.to(self.device)
        if optimizer is not None:
            self.optimizer = optimizer
        elif model is not None:
            self.initialize_optimizer()
        if lr_scheduler is not None:
            self.lr_scheduler = lr_scheduler

    def _new_engine(
        self, config: Mapping[str, Any], given: Mapping[str, Any], training: Mapping[str, Any]
    ) -> _Engine:
        changed = {**config, **{k: v for k, v in given.items() if v is not None}}
        own = {k: v for k, v in training.items() if v is not None}
        changed["training"] = {**config["training"], **own}
        if "type" not in config["model"]:
            native = {k: v for k, v in config["model"].items() if k != "name"}
            changed["model"] = {"type": GNNModel, "kwargs": native}
        elif isinstance(config["model"].get("kwargs"), type(None)):
            changed["model"] = {k: v for k, v in config["model"].items() if k != "kwargs"}
        unused = ["validation.validator", "testing.tester", "early_stopping", *self._left_out()]
        unused += ["validation"] if self.validator is None else []
        with errors_as_there():
            return _Engine(resolved(changed, unused), self.data_path, self)

    def _left_out(self) -> list[str]:
        return ["parallel"]  # this is one process

    def _new_folder(self) -> Path:
        """A folder named by the time, made here, as another process may want the same name."""
        begun = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        parent = Path(self.config["training"].get("path", "results/runs"))
        parent.mkdir(parents=True, exist_ok=True)
        for end in itertools.chain([""], (f"_{number}" for number in itertools.count(2))):
            folder = parent / f"{self.config.get('name', 'run')}_{begun}{end}"
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
        raise AssertionError

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A trainer for ``config``, with model, optimizer and schedule."""
        require_keys(config, tuple(cls.schema["required"]))
        return cls(
            config,
            logging.getLogger(__name__),
            early_stopper=_early_stopping(config),
            validator=_evaluator(config, "validation", "validator", Validator),
            tester=_evaluator(config, "testing", "tester", Tester),
        )

    @property
    def model(self) -> Any:
        """The model that is trained; None before ``initialize_model``."""
        return self._engine.model if self._made[0] else None

    @model.setter
    def model(self, value: Any) -> None:
        self._set_model(value)

    def _set_model(self, value: Any) -> None:
        self._made = value is not None, self._made[1]
        if value is not None:
            self._engine.model = value

    @property
    def optimizer(self) -> Any:
        """The optimizer; None before ``initialize_optimizer``."""
        return self._engine.optimizer if self._made[1] else None

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        self._made = self._made[0], value is not None
        if value is not None:
            self._engine.optimizer = value

    @property
    def lr_scheduler(self) -> Any:
        """The schedule of the learning rate, if there is one."""
        return self._engine.scheduler

    @lr_scheduler.setter
    def lr_scheduler(self, value: Any) -> None:
        self._engine.scheduler = value

    @property
    def epoch(self) -> int:
        """The number of epochs that are over."""
        return self._engine.epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._engine.epoch = value

    @property
    def early_stopping(self) -> Any:
        """As ``early_stopper``."""
        return self.early_stopper

    @early_stopping.setter
    def early_stopping(self, value: Any) -> None:
        self.early_stopper = value

    @property
    def criterion(self) -> Any:
        """The loss, as it was given."""
        return inspect.unwrap(self._engine.criterion)

    @property
    def apply_model(self) -> Any:
        """How the model is called, if that was given."""
        return self._engine.apply_model

    @property
    def device(self) -> torch.device:
        """The device of the training."""
        return self._engine.device

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self._engine.config["training"]["seed"]

    def initialize_model(self) -> Any:
        """A new model for the configuration, in place of the present one."""
        if self.model is None and self.is_lazy:
            self._made = True, self._made[1]
            return self.model
        with errors_as_there():
            built = build_model(self._engine.config["model"], trust=True)
        self.model = built.to(self.device)
        return self.model

    def initialize_optimizer(self) -> Any:
        """A new optimizer for the model. Raises ``ConfigurationError`` if there is no model."""
        if self.model is None:
            raise ConfigurationError("there is no model yet", remedy="call initialize_model first")
        with errors_as_there():
            weights = list(self.model.parameters())
            if isinstance(self._engine.criterion, torch.nn.Module):
                weights += self._engine.criterion.parameters()
            self.optimizer = build_optimizer(weights, self._engine.config["training"])
            self.lr_scheduler = build_scheduler(self.optimizer, self._engine.config["training"])
        return self.optimizer

    def initialize_lr_scheduler(self) -> Any:
        """A new schedule for the optimizer. Raises ``ConfigurationError`` if there is none."""
        if self.optimizer is None:
            raise ConfigurationError(
                "there is no optimizer yet", remedy="call initialize_optimizer first"
            )
        with errors_as_there():
            self.lr_scheduler = build_scheduler(self.optimizer, self._engine.config["training"])
        return self.lr_scheduler

    def prepare_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """As in ``DataLoaderFactory``."""
        return DataLoaderFactory(self.config, self.logger).prepare_dataset(*args, **kwargs)

    def prepare_dataloaders(self, dataset: Any = None, split: Any = SPLIT, **given: Any) -> Any:
        """As in ``DataLoaderFactory``; keeps the data sets."""
        loaders = DataLoaderFactory(self.config, self.logger).prepare_dataloaders(
            dataset, split, **given
        )
        self.train_dataset, self.val_dataset, self.test_dataset = (one.dataset for one in loaders)
        return loaders

    def run_training(
        self, train_loader: Any, val_loader: Any = None, trial: Any = None
    ) -> tuple[Any, Any]:
        """Train until ``num_epochs`` or early stopping; returns training and validation results.

        The former is a table of losses by epoch, or as in January 2026 a tensor [epochs, 2] of mean
        and deviation; the latter ``validator.data``. ``trial``: of Optuna, gets the validation loss
        of each epoch, and may end the training with ``TrialPruned``.
        """
        if self.model is None:
            self.initialize_model()
        if self.optimizer is None:
            self.initialize_optimizer()
        engine, rows = self._engine, []
        engine.validator, engine.early_stopping = self.validator, self.early_stopper
        engine.selection.early_stopping = self.early_stopper
        pruned = False

        def watch(row: Mapping[str, Any], last: bool) -> bool:
            nonlocal pruned
            rows.append(_losses(row["epoch"] - 1, engine.training_pass.losses.values))
            if trial is not None:
                score = next((v for k, v in row.items() if k.startswith("val_")), None)
                trial.report(rows[-1]["mean_loss"] if score is None else score, row["epoch"] - 1)
                pruned = trial.should_prune()
            return pruned

        with errors_as_there():
            engine.run_training(train_loader, None if self.validator is None else val_loader, watch)
        if pruned:
            from optuna import TrialPruned  # an optional dependency

            raise TrialPruned
        self.save_checkpoint("final" if self.is_lazy else "_final")
        if self.is_lazy:
            means = [[row["mean_loss"], row["std_loss"]] for row in rows]
            return torch.tensor(means), [] if self.validator is None else self.validator.data
        names = list(_losses(0, [0.0]))
        table = pd.DataFrame(rows, columns=names)
        return table, pd.DataFrame() if self.validator is None else self.validator.data

    def run_test(self, test_loader: Any, model_name_addition: str | None = None) -> Any:
        """Test the best model, or that of the newest checkpoint whose name has the addition.

        Returns ``tester.data``, ``{}`` without a tester. Raises ``ConfigurationError`` if there is
        no such model.
        """
        if self.tester is None:
            return {}
        self.model = self._model_to_test(model_name_addition).eval()
        select_edge_format([test_loader], self.model, self._engine.config, self.device)
        with errors_as_there():
            results = self.tester.test(self.model, test_loader)
            report_row(self.tester, results, "testing.tester")
        return self.tester.data

    def _model_to_test(self, addition: str | None) -> torch.nn.Module:
        files = [
            f for f in self.checkpoint_path.iterdir() if f.is_file() and (addition or "") in f.name
        ]
        if addition is not None and files:
            newest = max(files, key=lambda file: file.stat().st_mtime)
            model = copy.deepcopy(self._engine.model)
            model.load_state_dict(_weights(newest))
            return model
        with errors_as_there():
            return self._engine.best_model()

    def save_checkpoint(self, name_addition: str = "") -> None:
        """Write the state to ``checkpoint_path``.

        As in January 2026 the weights, ``model_<name>.pt``, for ``Trainer(config)``; else a
        ``Snapshot``, ``epoch_<epoch><name>``. Raises ``ConfigurationError`` if there is no model.
        """
        if self.model is None:
            raise ConfigurationError("there is no model yet", remedy="call initialize_model first")
        if self.is_lazy:
            path = self.checkpoint_path / f"model_{name_addition}.pt"
            tensor_files.save(path, self.model.state_dict())
        else:
            snapshot = Snapshot.from_trainer(self)
            snapshot.path = path = Path(f"{snapshot.path}{name_addition}")
            snapshot.save()
        self.latest_checkpoint = path

    def load_weights(self, name_addition: str = "") -> None:
        """Load the weights of the checkpoint ``model_<name>.pt``.

        Raises ``ConfigurationError`` if there is no model, ``FileNotFoundError`` for no such file.
        """
        if self.model is None:
            raise ConfigurationError("there is no model yet", remedy="call initialize_model first")
        self.model.load_state_dict(_weights(self.checkpoint_path / f"model_{name_addition}.pt"))

    def load_model(self, model_path: str | Path) -> Any:
        """A new model with the weights of a checkpoint, in place of the present one."""
        self.initialize_model().load_state_dict(_weights(Path(model_path)))
        return self.model

    @classmethod
    def of_checkpoint(cls, load_path: str | Path, new_path: str | Path | None = None) -> Self:
        """A trainer in the state of a checkpoint, which goes on from there in a new folder.

        ``new_path``: where that folder is made, by default as in the configuration.
        """
        snapshot = Snapshot.load(load_path)
        text = Path(snapshot.config_path).read_text(encoding="utf-8")
        config = yaml.load(text, Loader=get_loader())
        if new_path is not None:
            config["training"]["path"] = str(new_path)
        trainer = cls.from_config(config)
        parts = (
            trainer.model, trainer.optimizer, trainer.lr_scheduler, trainer.early_stopper,
            trainer.validator, trainer.tester,
        )  # fmt: skip
        for name, part in zip(_STATES, parts, strict=True):
            state = getattr(snapshot, f"{name}_state_dict")
            if part is not None and state is not None and hasattr(part, "load_state_dict"):
                part.load_state_dict(state)
        trainer.epoch = snapshot.epoch
        return trainer


def _state(part: Any) -> Any:
    get = getattr(part, "to_state_dict", None) or getattr(part, "state_dict", None)
    return None if get is None else get()


def _weights(path: Path) -> Any:
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content.get("model_state_dict", content)


def _losses(epoch: int, values: list[float]) -> dict[str, float]:
    """The row of an epoch: what is said of the losses of its batches."""
    losses = torch.tensor(values, dtype=torch.float64)
    return {
        "epoch": epoch,
        "min_loss": losses.min().item(),
        "mean_loss": losses.mean().item(),
        "max_loss": losses.max().item(),
        "median_loss": losses.median().item(),
        "std_loss": float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
    }


def _evaluator(config: Mapping[str, Any], stage: str, key: str, native: Any) -> Any:
    """The evaluator of a stage: native, or ``{type, args, kwargs}``; None if none is named."""
    section = (config.get(stage) or {}).get(key)
    if section is None:
        return None
    with errors_as_there():
        if "type" in section:
            return as_spec(section, f"{stage}.{key}").build()
        return native.from_config(section)


def _early_stopping(config: Mapping[str, Any]) -> Any:
    section = copy.deepcopy(config.get("early_stopping"))
    if section is None:
        return None
    with errors_as_there():
        if "type" in section:
            return as_spec(section, "early_stopping").build()
        return DefaultEarlyStopping.from_config(section)
