"""What happened in each epoch: the table behind ``history.csv``, also while it grows."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from qgpipe import paths
from qgpipe.config.metric_mode import LOSSES
from qgpipe.system.files import explained_disk_errors, write_text

TRAIN, VALIDATION = "train_", "val_"


class History:
    """A row an epoch.

    The columns are ``epoch`` (from 1), ``train_loss_avg``, ``train_loss_min``,
    ``train_loss_max``, the validation results with ``val_`` before their names, ``lr`` (of that
    epoch), ``seconds`` (of the pass over the training set) and ``graphs_per_second``.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        epoch: int,
        losses: Mapping[str, float],
        validation: Mapping[str, Any] | None,
        lr: float,
        seconds: float,
        num_graphs: int,
    ) -> None:
        """Add the row of ``epoch``; ``validation`` is ``None`` without a validation."""
        self.rows.append(
            {
                "epoch": epoch,
                **{f"{TRAIN}{name}": losses[name] for name in LOSSES},
                **{f"{VALIDATION}{name}": value for name, value in (validation or {}).items()},
                "lr": lr,
                "seconds": seconds,
                "graphs_per_second": num_graphs / seconds if seconds > 0 else 0.0,
            }
        )

    @property
    def has_validation(self) -> bool:
        """Whether the last epoch was validated."""
        return any(name.startswith(VALIDATION) for name in self.rows[-1])

    def training(self) -> pd.DataFrame:
        """``epoch``, ``loss_avg``, ``loss_min``, ``loss_max``, ``lr``, ``seconds``, …"""
        return pd.DataFrame(
            [
                {k.removeprefix(TRAIN): v for k, v in row.items() if not k.startswith(VALIDATION)}
                for row in self.rows
            ]
        )

    def validation(self) -> pd.DataFrame:
        """``epoch`` and the columns of the validation results; empty without a validation."""
        rows = [
            {k.removeprefix(VALIDATION): v for k, v in row.items() if k.startswith(VALIDATION)}
            for row in self.rows
        ]
        if not any(rows):
            return pd.DataFrame()
        return pd.DataFrame([{"epoch": self.rows[i]["epoch"], **row} for i, row in enumerate(rows)])

    def to_csv(self) -> str:
        """The table as CSV; every float is written with the digits that give it back exactly."""
        names = columns(self.rows)
        return csv_text([dict(zip(names, names, strict=True)), *self.rows], names)

    def state_dict(self) -> dict[str, Any]:
        """All rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.rows = list(state["rows"])


def columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names in some rows, in the order in which they come up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Lines of CSV with the values of ``rows`` under ``names``; what a row lacks is empty."""
    text = io.StringIO()
    csv.DictWriter(text, names, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue()


class CsvLogger:
    """Writes ``logs/history.csv``: the same table as ``history.csv``, while training goes on.

    It is written anew when a training is taken up, so that it has each epoch once, however
    the one before has ended.
    """

    def start(self, config: Mapping[str, Any], folder: Path, rows: list[dict[str, Any]]) -> None:
        """Write the epochs that are done already."""
        self._file = paths.epoch_log(folder)
        self._history = History()
        self._history.rows = list(rows)
        self._columns: list[str] = []
        self._rewrite()

    def log(self, row: dict[str, Any]) -> None:
        """Add the row of an epoch."""
        self._history.rows.append(row)
        if set(row) <= set(self._columns):
            with explained_disk_errors(self._file), self._file.open("a", encoding="utf-8") as file:
                file.write(csv_text([row], self._columns))
        else:
            self._rewrite()

    def finish(self, outcome: str) -> None:
        """Nothing is left to be done."""

    def _rewrite(self) -> None:
        self._columns = columns(self._history.rows)
        if self._columns:
            write_text(self._file, self._history.to_csv())
        else:
            self._file.unlink(missing_ok=True)
