"""The results of a sweep or a cross-validation as a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from qgpipe import paths
from qgpipe.errors import DataError
from qgpipe.report.tables.comparison import DEVIATION, MEAN
from qgpipe.report.tables.result_files import Kind, read_table, rerun
from qgpipe.sweeps.expansion import Run

_MOST = 10  # rows of a table on a screen
_REACHED = ("val_", "test_", "baseline_")  # what columns with results begin with


def comparison_text(runs: Sequence[Run]) -> str:
    """The best points of a sweep, and mean and deviation over folds, with where the tables are.

    Raises ``DataError`` if the ``runs`` have not all finished.
    """
    config, base = runs[0].config, runs[0].base
    lines = [f"{base}: {len(runs)} runs"]
    if any(run.point for run in runs):
        file = paths.sweep_table(config, base)
        table = _read(file, "sweep", ("run",))
        lines += [*_ranking(table), f"  table    {file}"]
        lines.append(f"  figure   {paths.sweep_figure(config, base)}")
    if len({run.fold for run in runs}) > 1:
        file = paths.folds_table(config, base)
        table = _read(file, "folds", ("run", "fold"))
        lines += [*_folds(table), f"  table    {file}"]
        lines.append(f"  figure   {paths.folds_figure(config, base)}")
    return "\n".join(lines)


def _read(file: Path, stage: str, required: Sequence[str]) -> pd.DataFrame:
    if not file.exists():
        raise DataError(f"{file} is not there yet", remedy="run the pipeline first")
    table = read_table(file, stage, required, _kind)
    if table.empty:
        raise DataError(f"{file} has no runs", remedy=rerun(stage))
    return table


def _kind(column: str) -> Kind:
    if column in ("run", "fold"):
        return "text"
    reached = column.startswith(_REACHED) or column in ("rank", "best_epoch", "epochs")
    return "number" if reached else "uniform"


def _ranking(table: pd.DataFrame) -> list[str]:
    reached = [
        name
        for name in map(str, table)
        if name.startswith(_REACHED) and not name.endswith(f"_{DEVIATION}")
    ]
    if "rank" not in table:
        return [
            "  the runs watch different scores: none is the best",
            *_rows(table, reached),
        ]
    table = table.sort_values("rank")
    score = next(name for name in reached if name.startswith("val_"))
    best = table["run"].iloc[0]
    return [f"  best by {score}: {best}", *_rows(table.head(_MOST), ["rank", *reached])]


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return _aligned([["run", *columns], *table[["run", *columns]].values.tolist()])


def _folds(table: pd.DataFrame) -> list[str]:
    columns = [name for name in map(str, table) if name.startswith(_REACHED[1:])]
    rows: list[Sequence[Any]] = [[f"{MEAN} ± {DEVIATION}", *columns]]
    for run, folds in table.groupby("run", sort=False):
        values = folds.set_index("fold")
        mean, deviation = values.loc[MEAN], values.loc[DEVIATION]
        rows.append([run, *(f"{mean[c]:.4g} ± {deviation[c]:.2g}" for c in columns)])
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[Any]]) -> list[str]:
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in cells
    ]
