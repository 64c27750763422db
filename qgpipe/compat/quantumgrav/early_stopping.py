"""Early stopping whose tasks are read and changed by key."""

import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from typing import Any, ClassVar, Self

import jsonschema
import pandas as pd

from qgpipe.compat.quantumgrav.base import ConfigurationError, errors_as_there
from qgpipe.config.schema import definition
from qgpipe.training import early_stopping as ours

_TASK, _NATIVE = definition("stopping_task"), definition("native_early_stopping")
_STATE = ("current_grace_period", "best_score", "found_better")


class Task(ours.StoppingTask):
    """A task whose settings and state are read and set by key, ``task["best_score"]``."""

    def __init__(self, task: ours.StoppingTask, given: Mapping[str, Any], improved: list[Any]):
        """``given``: its settings; ``improved``: names of the tasks that improved last."""
        super().__init__(**asdict(task))
        self._given, self._improved = dict(given), improved

    def __getitem__(self, key: str) -> Any:
        if key == "found_better":
            return self.name in self._improved
        if key in ("current_grace_period", "best_score", "delta", "mode", "metric"):
            return getattr(self, key.removeprefix("current_"))
        return self._given[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "found_better":
            if self.name in self._improved:
                self._improved.remove(self.name)
            self._improved += [self.name] if value else []
        elif key in ("current_grace_period", "best_score", "delta", "mode", "metric"):
            setattr(self, key.removeprefix("current_"), value)
        else:
            self._given[key] = value


class DefaultEarlyStopping(ours.DefaultEarlyStopping):
    """``qgpipe.DefaultEarlyStopping`` with ``tasks[name][key]`` as in QuantumGravPy."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["tasks", "mode", "patience"],
        "properties": {
            **_NATIVE["properties"],
            "tasks": {
                "type": "object",
                "additionalProperties": {**_TASK, "required": list(_TASK["properties"])},
            },
        },
    }

    def __init__(self, tasks: Mapping[Any, Mapping[str, Any]], patience: int, mode: str = "any"):
        """As ``qgpipe.DefaultEarlyStopping``. Raises ``ConfigurationError`` for a wrong value."""
        with errors_as_there():
            super().__init__(tasks, patience, mode)
        self.logger = logging.getLogger(__name__)
        checked: Any = self.tasks
        self.tasks: Any = {}
        for name, task in zip(tasks, checked.values(), strict=True):
            task.name = name
            self.tasks[name] = Task(task, tasks[name], self.improved)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The early stopping of a mapping with all keys of ``schema``.

        Raises ``jsonschema.ValidationError`` if one is missing or wrong.
        """
        jsonschema.validate(config, cls.schema)
        given = deepcopy(dict(config))
        return cls(given["tasks"], given["patience"], given["mode"])

    def to_config(self) -> dict[str, Any]:
        """The mapping from which ``from_config`` builds the same."""
        tasks = {
            name: {key: task[key] for key in _TASK["properties"]}
            for name, task in self.tasks.items()
        }
        return {"tasks": tasks, "mode": self.mode, "patience": self.patience}

    def __call__(self, data: pd.DataFrame) -> bool:
        """Judge the last row of ``data``; returns whether to stop.

        Raises ``ConfigurationError`` if there is no row, or no column for a task.
        """
        if len(data) == 0:
            raise ConfigurationError("there are no validation results to judge")
        with errors_as_there():
            return super().__call__(data)

    @property
    def improved(self) -> list[Any]:
        """Names of the tasks that improved in the latest epoch."""
        return self._improved

    @improved.setter
    def improved(self, names: list[Any]) -> None:
        if not hasattr(self, "_improved"):
            self._improved: list[Any] = []
        self._improved[:] = names  # the tasks share the list

    def reset(self, index: Any = "all") -> None:
        """Set a task, or all, back to the state before the first epoch."""
        for name, task in self.tasks.items():
            if index in ("all", name):
                task["found_better"] = False
                task["current_grace_period"] = task["grace_period"]
                task["best_score"] = task["init_best_score"]

    @property
    def grace_periods_ran_out(self) -> bool:
        """Whether every grace period is over."""
        return all(task.grace_period <= 0 for task in self.tasks.values())

    def to_state_dict(self) -> dict[str, Any]:
        """The state, with the keys of QuantumGravPy."""
        return {
            "tasks": {name: {k: task[k] for k in _STATE} for name, task in self.tasks.items()},
            "mode": self.mode,
            "patience": self.patience,
            "current_patience": self.current_patience,
        }

    def state_dict(self) -> dict[str, Any]:
        """As :meth:`to_state_dict`."""
        return self.to_state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`to_state_dict` returned."""
        for name, task in self.tasks.items():
            for key, value in state["tasks"].get(name, state["tasks"].get(str(name), {})).items():
                task[key] = value
        self.mode, self.patience = state["mode"], state["patience"]
        self.current_patience = state["current_patience"]
