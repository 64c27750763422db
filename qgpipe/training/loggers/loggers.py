"""The loggers that are called for each epoch: CSV file, TensorBoard, classes of the user."""

import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from qgpipe.config.objects import import_objects
from qgpipe.config.spec import Spec, as_spec
from qgpipe.config.types import Config
from qgpipe.errors import ConfigError, DiskFullError, QgpipeError, TrainingError
from qgpipe.system.rng import random_numbers_kept
from qgpipe.system.user_code import line_of_user
from qgpipe.training.distributed.process_group import Processes
from qgpipe.training.distributed.signals import Interrupted
from qgpipe.training.loggers.history import CsvLogger
from qgpipe.training.loggers.tensorboard import TensorBoardLogger

METHODS = ("start", "log", "finish")
TENSORBOARD = "tensorboard"


class Logger(Protocol):
    """The interface of a class in ``training.loggers``; constructed just before ``start``."""

    def start(self, config: dict[str, Any], folder: Path, rows: list[dict[str, Any]]) -> None:
        """Called when training starts or resumes; ``rows``: the epochs that are completed.

        ``config``: the resolved configuration; ``folder``: of the run. An epoch logged before an
        interruption may be logged again, if it was after the last checkpoint.
        """

    def log(self, row: dict[str, Any]) -> None:
        """Called after each epoch; ``row``: its row of the history, by column."""

    def finish(self, outcome: str) -> None:
        """Called when training has ended: ``finished``, ``stopped`` by a signal, or ``failed``."""


class Loggers:
    """The loggers of a configuration, preceded by the CSV file.

    They cannot affect the training: they get copies, and the random state is restored after each
    call. A logger that fails after the start is named in a warning and not called again; only a
    full disk ends the training.
    """

    def __init__(self, config: Config, folder: Path, say: Callable[[str], None]):
        """``say``: shows a line to the user. Nothing is constructed yet."""
        self._config, self._folder, self._say = config, folder, say
        self._started: list[tuple[str, Any]] = []

    def start(self, rows: list[dict[str, Any]]) -> None:
        """Construct and start all loggers; ``rows``: the epochs that are completed.

        Raises ``TrainingError`` with the key of a logger that fails.
        """
        for spec in [Spec(CsvLogger, key="logs/history.csv"), *logger_specs(self._config)]:
            key = str(spec.key)
            try:
                with random_numbers_kept():
                    logger = spec.build()
                    logger.start(_copied(self._config), self._folder, _copied(rows))
            except QgpipeError:
                raise
            except Exception as error:
                raise TrainingError(
                    _failure(spec.type, "start", error), where=key, remedy="fix it, or leave it out"
                ) from error
            self._started.append((key, logger))

    @contextmanager
    def running(self, rows: list[dict[str, Any]], processes: Processes) -> Iterator[None]:
        """A block with running loggers, on rank 0 of ``processes`` only.

        They are started with ``rows``, the completed epochs, and finished with the outcome of the
        block. Raises ``TrainingError`` for a logger that fails to start.
        """
        processes.run_on_rank0(lambda: self.start(rows))
        outcome = "failed"
        try:
            yield
            outcome = "finished"
        except Interrupted:
            outcome = "stopped"
            raise
        finally:
            self.finish(outcome)

    def log(self, row: Mapping[str, Any]) -> None:
        """Call ``log`` of all loggers with the ``row`` of an epoch."""
        self._tell("log", row)

    def finish(self, outcome: str) -> None:
        """Call ``finish`` of all loggers with the ``outcome`` of the training."""
        self._tell("finish", outcome)

    def _tell(self, method: str, what: Any) -> None:
        for key, logger in list(self._started):
            try:
                with random_numbers_kept():
                    getattr(logger, method)(_copied(what))
            except DiskFullError:  # there is no space for checkpoints either
                raise
            except Exception as error:
                self._started.remove((key, logger))
                self._say(
                    f"warning: {key}: {_failure(type(logger), method, error)}; training goes on "
                    "without it"
                )


def logger_specs(config: Config) -> list[Spec]:
    """The specs of the loggers in a resolved configuration, each with its key.

    Raises ``ConfigError`` for a class that lacks a method or does not accept its arguments, and if
    TensorBoard is not installed.
    """
    given = config["training"]["loggers"]
    return [_spec(value, f"training.loggers[{i}]") for i, value in enumerate(given)]


def _spec(value: Any, key: str) -> Spec:
    if value == TENSORBOARD:
        if importlib.util.find_spec("tensorboard") is None:
            raise ConfigError(
                "TensorBoard is not installed",
                key=key,
                remedy="type: pip install 'qgpipe[tensorboard]'",
            )
        return Spec(TensorBoardLogger, key=key)
    spec = as_spec(value, key)
    lacking = [name for name in METHODS if not callable(getattr(spec.type, name, None))]
    if not inspect.isclass(spec.type) or lacking:
        raise ConfigError(
            f"{_name(spec.type)} is no logger"
            + (f": it has no method '{lacking[0]}'" if inspect.isclass(spec.type) else ""),
            key=key,
            remedy=f"name {TENSORBOARD}, or a class with the methods {', '.join(METHODS)}",
        )
    args, kwargs = import_objects(list(spec.args), key), import_objects(spec.kwargs, key)
    try:
        inspect.signature(spec.type).bind(*args, **kwargs)
    except TypeError as error:
        raise ConfigError(
            f"cannot construct {_name(spec.type)}: {error}", key=key, remedy="check its arguments"
        ) from None
    return Spec(spec.type, tuple(args), kwargs, key=key)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list | tuple) else value


def _failure(logger: Any, method: str, error: Exception) -> str:
    what = f"{type(error).__name__}: {error}{line_of_user(error)}"
    return f"{method} of {_name(logger)} failed: {what}"


def _name(value: Any) -> str:
    return getattr(value, "__qualname__", repr(value))
