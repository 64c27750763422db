"""Reads the result files of training and test, with strict checks for damage."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from qgpipe.errors import DataError
from qgpipe.stages.registry import STAGES
from qgpipe.system.json_shapes import read_shaped

SUMMARY = {
    "best_epoch": (int, None),
    "best_score": (float, None),
    "metric": str,
    "epochs": int,
    "stopped_by": str,
    "seconds": float,
    "graphs_per_second": (float, None),
    "parameters": int,
    "device": str,
    "checkpoints": str,
    "versions": {str: str},
    "members?": [{"run": str, "best_epoch": (int, None), "best_score": (float, None)}],
}
_LOSSES = {"loss_avg": (float, None), "loss_min": (float, None), "loss_max": (float, None)}
_METRICS = {str: (float, str, bool, None)}  # a user's tester may return text
TEST = {
    "run": str,
    "epoch?": (int, None),
    "num_graphs": int,
    "task": {"classification", "regression", "other"},
    "loss": _LOSSES,
    "metrics": _METRICS,
    "baseline": (None, {"method": str, "loss": _LOSSES, "metrics": _METRICS}),
    "class_names": (None, [str]),
    "confusion_matrix": (None, [[int]]),
}
DATASET = {
    "num_graphs": int,
    "num_filtered": int,
    "num_skipped": int,
    "skipped": [{"id": str, "reason": str}],
    "stores": [{"name": str, "path": str, "layout": str, "num_samples": int, "role": str}],
    "parts": [{"file": str, "store": str, "start": int, "stop": int, "num_graphs": int}],
    "node_features": (None, [str]),
    "graph_features": (None, [str]),
    "target": (None, str, [str]),
    "class_names": (None, [str]),
    "classes?": [int],
    "class_counts": (None, {str: int}),
    "sizes": {
        "min": (float, None),
        "max": (float, None),
        "mean": (float, None),
        "histogram": {"edges": [float], "counts": [int]},
    },
}
_POSITIONS = ([int], None)
SPLIT = {
    "method": str,
    "seed": int,
    "train": _POSITIONS,
    "validation": _POSITIONS,
    "test": _POSITIONS,
    "class_counts": (None, {str: {str: int}}),
}


# The cells of a column: numbers or empty; numbers; only numbers or only text; text.
Kind = Literal["number", "known", "uniform", "text"]


def rerun(stage: str) -> str:
    """The remedy for a missing or damaged file that ``stage`` makes."""
    return f"make it again with --forcerun {STAGES[stage].rule}"


def read_summary(path: str | Path) -> dict[str, Any]:
    """A ``summary.json``. Raises ``DataError`` if it is missing or damaged."""
    summary = read_shaped(path, SUMMARY, rerun("train"))
    best, epochs = summary["best_epoch"], summary["epochs"]
    if best is not None and not 1 <= best <= epochs:
        raise DataError(
            f"{path} is damaged: the best of {epochs} epochs is {best}", remedy=rerun("train")
        )
    return summary


def read_metrics(path: str | Path) -> dict[str, Any]:
    """A ``metrics.json``. Raises ``DataError`` if it is missing or damaged."""
    metrics = read_shaped(path, TEST, rerun("test"))
    matrix = metrics["confusion_matrix"] or []
    if any(len(row) != len(matrix) for row in matrix):
        raise DataError(
            f"{path} is damaged: 'confusion_matrix' has not one row and column a class",
            remedy=rerun("test"),
        )
    return metrics


def read_table(
    path: str | Path, stage: str, required: Sequence[str], kind: Callable[[str], Kind]
) -> pd.DataFrame:
    """A CSV table made by the stage ``stage``, with the columns ``required``.

    ``kind``: maps the name of a column to its kind. Raises ``DataError`` with line and column if
    the file is missing or damaged.
    """

    def damaged(problem: str, line: int | None = None) -> DataError:
        where = f"{path}, line {line}" if line else f"{path}"
        return DataError(f"{where}: {problem}", remedy=rerun(stage))

    try:
        text = Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise DataError(f"no such file: {path}", remedy=rerun(stage)) from None
    except OSError as error:
        raise damaged(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise damaged(f"is damaged: byte {error.start} is no text") from None
    if "\0" in text:
        raise damaged("there is a NUL byte", text[: text.index("\0")].count("\n") + 1)
    names, places, rows = _rows(text, damaged)
    missing = [f"'{name}'" for name in required if name not in names]
    if missing:
        raise damaged(f"there is no column {', '.join(missing)}", 1)
    if not text.endswith("\n"):
        raise damaged("the line is cut short", text.count("\n") + 1)
    for place, name in enumerate(names):
        cells = [row[place] for row in rows]
        if (bad := _misplaced(cells, kind(name))) is not None:
            said = repr(cells[bad][:40]) if cells[bad] else "nothing"
            raise damaged(f"{said} is no number, in column '{name}'", places[bad])
    return pd.read_csv(
        io.StringIO(text), dtype={name: str for name in names if kind(name) == "text"}
    )


def _rows(
    text: str, damaged: Callable[[str, int | None], DataError]
) -> tuple[list[str], list[int], list[list[str]]]:
    """The names in the first line, and the line numbers and cells of all further rows."""
    reader = csv.reader(io.StringIO(text), strict=True)
    lines, rows = [], []
    try:
        names = next(reader, [])
        if not names or len(set(names)) < len(names) or "" in names:
            raise damaged("this is no line of column names", 1)
        for row in reader:
            lines.append(reader.line_num)
            rows.append(row)
            if len(row) != len(names):
                raise damaged(f"{len(row)} values for {len(names)} columns", reader.line_num)
    except csv.Error as error:
        raise damaged(f"is damaged: {error}", reader.line_num) from None
    return names, lines, rows


def _misplaced(cells: list[str], kind: Kind) -> int | None:
    """Index of the first of ``cells`` that is not of this ``kind``."""
    if kind == "text":
        return None
    bad = [place for place, cell in enumerate(cells) if not _is_number(cell)]
    if kind != "known":
        bad = [place for place in bad if cells[place]]
    filled = sum(1 for cell in cells if cell)
    return None if not bad or (kind == "uniform" and len(bad) == filled) else bad[0]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell and cell == cell.strip()  # which ``float`` accepts


def require_epochs(table: pd.DataFrame, path: str | Path, epochs: int) -> None:
    """Raise ``DataError`` unless the rows of a history are the epochs from 1 to ``epochs``."""
    for place, epoch in enumerate(table["epoch"].tolist()):
        if epoch != place + 1 or math.isnan(epoch):
            raise DataError(
                f"{path}, line {place + 2}: epoch {epoch:g} where {place + 1} was to come",
                remedy=rerun("train"),
            )
    if len(table) != epochs:
        raise DataError(
            f"{path} has {len(table)} epochs, summary.json says {epochs}", remedy=rerun("train")
        )
