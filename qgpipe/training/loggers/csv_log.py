"""The history of a training as a CSV file that grows with every epoch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.system.files import explained_disk_errors, write_text
from qgpipe.training.loggers.history import History, columns, csv_text


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
            with (
                explained_disk_errors(self._file),
                self._file.open("a", encoding="utf-8") as file,
            ):
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
