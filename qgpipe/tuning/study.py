"""A study: its trials in a SQLite file, shared by processes that may be killed at any time.

A trial has the state running in the file from when a process takes it until its result is written.
That process holds a lock in the trial's folder, which the kernel releases when it ends. So a
running trial without a lock belongs to a dead process, and the next process resumes it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import TrialState

from qgpipe import paths
from qgpipe.compat.private import trial_id
from qgpipe.config.dump import to_plain
from qgpipe.config.metric_mode import require_column
from qgpipe.config.types import Config
from qgpipe.errors import DataError, DiskFullError
from qgpipe.stages.registry import stage_section
from qgpipe.sweeps.run_names import short_keys, value_name
from qgpipe.sweeps.tuned import Parameter, objective, parameters_of, trial_config
from qgpipe.system.files import read_json, sha256
from qgpipe.system.lock import FolderInUse, FolderLock, taking_turns
from qgpipe.training.loggers.history import VALIDATION
from qgpipe.tuning.strategies import build_pruner, build_sampler

DIRECTIONS = {"min": "minimize", "max": "maximize"}
WHY, PRUNED_AT = "why", "pruned_at"  # notes that a trial has in the file
_WAIT = 300  # seconds for another process that writes to the file
_NOT_SHAPING = ("trials", "jobs")
_FULL = "disk is full"  # in SQLite's words


class Study:
    """The study in ``folder``, which is created if it does not exist.

    ``raw``: the unresolved configuration; ``config``: the resolved one.
    """

    def __init__(self, raw: Mapping[str, Any], config: Config, folder: Path):
        """Raises ``ConfigError`` for a sampler or pruner, ``DataError`` for a damaged file."""
        self.raw, self.tune, self.folder = raw, config["tune"], folder
        self.parameters = parameters_of(config)
        self.metric, self.mode = objective(config)
        pruner = build_pruner(self.tune, config["training"]["num_epochs"])
        build_sampler(self.tune, 0)  # its arguments
        optuna.logging.disable_default_handler()
        with self._alone():
            file = paths.study_database(folder)
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{file.resolve()}", engine_kwargs={"connect_args": {"timeout": _WAIT}}
            )
            known = {study.study_name for study in storage.get_all_studies()}
            begun = sum(1 for trial in paths.trial(folder, 0).parent.glob("*") if trial.is_dir())
            if folder.name not in known and (known or begun):
                raise _lost(file, f"holds no study {folder.name}")
            self.optuna = optuna.create_study(
                study_name=folder.name,
                storage=storage,
                direction=DIRECTIONS[self.mode],
                pruner=pruner,
                load_if_exists=True,
            )
            self._check(file, begun)

    def _check(self, file: Path, begun: int) -> None:
        """Raise ``DataError`` if ``file`` holds another study, or lacks trials.

        ``begun``: number of trials with a folder. The last one may not be in the file yet.
        """
        trials = self.optuna.get_trials(deepcopy=False)
        if begun > len(trials) + 1:
            raise _lost(file, f"knows {len(trials)} of {begun} trials")
        expected = {parameter.key: distribution(parameter) for parameter in self.parameters}
        for trial in trials:
            for key, found in trial.distributions.items():
                if expected.get(key) != found:
                    raise _lost(file, f"has trials with another range of {key}")
        if self.optuna.direction.name.lower() != DIRECTIONS[self.mode]:
            raise _lost(file, f"is to {self.optuna.direction.name.lower()} {self.metric}")

    def take(self) -> Trial | None:
        """The next trial to train: one of a process that has died, or a new one.

        None if the requested number of trials has ended or is running in other processes.
        """
        with self._alone():
            trials = self.optuna.get_trials(deepcopy=False)
            for one in trials:
                if one.state.is_finished():
                    self._tidy(one.number)
                elif (lock := self._lock(one.number)) is not None:
                    return self._taken(one.number, lock)
            number = len(trials)
            if number >= self.tune["trials"] or (lock := self._lock(number)) is None:
                return None
            return self._taken(number, lock)

    def _taken(self, number: int, lock: FolderLock) -> Trial:
        """Trial ``number``, new or resumed, with a value for each parameter."""
        study = self.optuna
        study.sampler = build_sampler(self.tune, number)
        known = study.get_trials(deepcopy=False)
        if number < len(known):
            handle = optuna.trial.Trial(study, trial_id(known[number]))
        else:
            handle = study.ask()
        values = {parameter.key: suggest(handle, parameter) for parameter in self.parameters}
        return Trial(self, handle, values, lock)

    def _lock(self, number: int) -> FolderLock | None:
        """The lock of a trial, acquired; None if another process holds it."""
        lock = FolderLock(paths.trial(self.folder, number) / ".lock")
        try:
            lock.write()
        except FolderInUse:
            return None
        return lock

    def _tidy(self, number: int) -> None:
        """Remove the checkpoints of a trial that has ended."""
        shutil.rmtree(paths.checkpoints(paths.trial(self.folder, number), ""), ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A short block for one process at a time; errors of SQLite are explained."""
        file = paths.study_database(self.folder)
        with taking_turns(self.folder / ".lock"), explained(file):
            yield


class Trial:
    """A trial that this process runs: its number, its ``values`` by key, its ``config``."""

    def __init__(self, study: Study, handle: Any, values: dict[str, Any], lock: FolderLock):
        self.number: int = handle.number
        self.handle = handle
        self.values = values
        self.folder = paths.trial(study.folder, self.number)
        self.config = trial_config(study.raw, study.parameters, values)
        self._study, self._lock = study, lock

    @property
    def pruned(self) -> bool:
        """Whether the trial was pruned, perhaps by a process that was killed then."""
        return PRUNED_AT in self.handle.storage.get_trial(trial_id(self.handle)).user_attrs

    def end(self, value: float | None = None, why: str | None = None, **notes: Any) -> None:
        """Write the result: a ``value``, or None for a pruned or failed trial, and ``why`` it
        failed.

        ``notes`` are stored with it. Its checkpoints are removed, and its lock is released.
        """
        with explained(paths.study_database(self._study.folder)):
            for name, note in (notes if why is None else {**notes, WHY: why}).items():
                self.handle.set_user_attr(name, note)
            state = TrialState.PRUNED if self.pruned else TrialState.FAIL
            state = TrialState.COMPLETE if value is not None else state
            self._study.optuna.tell(self.handle, value, state)
        self._study._tidy(self.number)
        self._lock.release()

    def __str__(self) -> str:
        names = short_keys([parameter.paths[0] for parameter in self._study.parameters])
        values = (f"{v:.4g}" if isinstance(v, float) else value_name(v) for v in
                  self.values.values())  # fmt: skip
        pairs = (f"{name}={value}" for name, value in zip(names, values, strict=True))
        return f"trial {self.number}: {', '.join(pairs)}"


def suggest(trial: Any, parameter: Parameter) -> Any:
    """The value that Optuna's ``trial`` has for ``parameter``: a number, or a label."""
    if parameter.choices:
        return trial.suggest_categorical(parameter.key, parameter.labels)
    low, high, log, step = parameter.low, parameter.high, parameter.log, parameter.step
    if parameter.is_whole:
        return trial.suggest_int(parameter.key, low, high, step=step or 1, log=log)
    return trial.suggest_float(parameter.key, low, high, step=step, log=log)


def distribution(parameter: Parameter) -> Any:
    """Optuna's distribution of ``parameter``, as ``suggest`` defines it."""
    asked = optuna.trial.FixedTrial({parameter.key: parameter.examples[0]})
    suggest(asked, parameter)
    return asked.distributions[parameter.key]


def study_fingerprint(
    raw: Mapping[str, Any],
    config: Config,
    dataset_json: Path,
    split_json: Path,
    folders: Iterable[Path],
) -> str:
    """Sixteen hex digits of a hash of everything that affects the trials of a study.

    That is the section ``tune`` without ``trials`` and ``jobs``, the section of the training apart
    from the tuned keys, with the user's code in ``folders``, the data and its split.
    """
    parameters = parameters_of(config)
    first = {parameter.key: parameter.examples[0] for parameter in parameters}
    content = {
        "tune": {k: to_plain(v) for k, v in config["tune"].items() if k not in _NOT_SHAPING},
        "objective": objective(config),
        "train": stage_section(trial_config(raw, parameters, first), "train", folders),
        "data": [part["checksum"] for part in read_json(dataset_json)["parts"]],
        "split": sha256(split_json),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _lost(file: Path, what: str) -> DataError:
    return DataError(
        f"{file} {what}",
        remedy="bring back the file that belongs there, or delete its folder: the study then "
        "starts anew",
    )


@contextmanager
def explained(file: Path) -> Iterator[None]:
    """A block that uses a study's ``file``, in which errors of SQLite are explained.

    Raises ``DiskFullError`` or ``DataError``.
    """
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        text = " ".join(str(error.__cause__ or error).split())[:200]
        if _FULL in text:
            raise DiskFullError(
                "cannot be written, no space is left on its disk",
                where=str(file),
                remedy="make room and start the same command again",
            ) from error
        raise DataError(
            f"{file} cannot be used: {text}",
            remedy="if it is damaged, delete its folder: the study then starts anew",
        ) from error


logging.getLogger("optuna").setLevel(logging.WARNING)


logger = logging.getLogger(__name__)


class Watch:
    """Passes the results of each epoch of a trial from the trainer to the pruner."""

    def __init__(self, handle: Any, metric: str):
        """``handle``: Optuna's trial; ``metric``: the column of the validation results."""
        self.handle, self.metric = handle, metric

    def __call__(self, row: Mapping[str, Any], last: bool) -> bool:
        """Report ``row`` of the history; returns whether to prune. ``last``: it is the last epoch.

        A row that was reported before the process was killed is not reported again. Raises
        ``ConfigError`` if the validator gives no such column.
        """
        epoch, value = row["epoch"], score(row, self.metric)
        known = self.handle.storage.get_trial(trial_id(self.handle)).intermediate_values
        if epoch not in known:
            self.handle.report(value, epoch)
        if last or not self.handle.should_prune():
            return False
        logger.info("pruned after epoch %d: %s is %g", epoch, self.metric, value)
        self.handle.set_user_attr(PRUNED_AT, epoch)
        return True


def score(row: Mapping[str, Any], metric: str) -> float:
    """The value of ``metric`` in a row of the history; ``ConfigError`` if there is none."""
    values = {k.removeprefix(VALIDATION): v for k, v in row.items() if k.startswith(VALIDATION)}
    require_column(
        metric, [k for k, v in values.items() if k != metric or v is not None], "tune.metric"
    )
    return float(values[metric])
