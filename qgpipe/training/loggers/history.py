"""The results of each epoch: the table in ``history.csv``, and its log during training."""

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
    """One row for each epoch.

    The columns are ``epoch`` (from 1), ``train_loss_avg``, ``train_loss_min``, ``train_loss_max``,
    the validation results with the prefix ``val_``, ``lr`` (in that epoch), ``seconds`` (of the
    pass over the training set) and ``graphs_per_second``.
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
        names = [name for name in columns(self.rows) if not name.startswith(VALIDATION)]
        table = pd.DataFrame(self.rows, columns=names)
        return table.rename(columns=lambda name: name.removeprefix(TRAIN))

    def validation(self) -> pd.DataFrame:
        """``epoch`` and the columns of the validation results; empty without a validation."""
        names = [name for name in columns(self.rows) if name.startswith(VALIDATION)]
        if not names:
            return pd.DataFrame()
        table = pd.DataFrame(self.rows, columns=["epoch", *names])
        return table.rename(columns=lambda name: name.removeprefix(VALIDATION))

    def to_csv(self) -> str:
        """The table as CSV; floats are written with enough digits to restore them exactly."""
        names = columns(self.rows)
        return csv_text([dict(zip(names, names, strict=True)), *self.rows], names)

    def state_dict(self) -> dict[str, Any]:
        """All rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.rows = list(state["rows"])


def columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of the columns of ``rows``, in order of first occurrence."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Lines of CSV with the values of ``rows`` in columns ``names``; missing ones are empty."""
    text = io.StringIO()
    csv.DictWriter(text, names, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue()


class CsvLogger:
    """Writes ``logs/history.csv``: the same table as ``history.csv``, during training.

    When a training resumes, the file is rewritten, so that it has each epoch exactly once.
    """

    def start(self, config: Mapping[str, Any], folder: Path, rows: list[dict[str, Any]]) -> None:
        """Write the epochs that are already completed."""
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
        """Nothing to do."""

    def _rewrite(self) -> None:
        self._columns = columns(self._history.rows)
        if self._columns:
            write_text(self._file, self._history.to_csv())
        else:
            self._file.unlink(missing_ok=True)
