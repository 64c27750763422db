"""The result files of a run, read when a figure asks for them."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from qgpipe.errors import DataError
from qgpipe.files import read_json

_HISTORY = ("epoch", "train_loss_avg", "train_loss_min", "train_loss_max", "lr")
_VALIDATION = ("val_loss_avg", "val_loss_min", "val_loss_max")


class RunResults:
    """What training and testing left in ``run_folder``, and the data they saw.

    Every property raises ``DataError``, which names the file, if the file is missing, damaged
    or lacks a column or key that the figures need.
    """

    def __init__(self, run_folder: str | Path, dataset_json: str | Path, split_json: str | Path):
        self.run_folder = Path(run_folder)
        self.dataset_json = Path(dataset_json)
        self.split_json = Path(split_json)

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row an epoch: ``epoch``, training losses, ``lr`` and any ``val_`` columns, as numbers.

        What is not a number is NaN, except for an epoch: that raises. Where there are
        validation losses there are their mean, lowest and highest.
        """
        path = self.run_folder / "history.csv"
        table = _read_table(path, _HISTORY, "train_run").apply(pd.to_numeric, errors="coerce")
        if any(name in table for name in _VALIDATION):
            _require(path, "column", _VALIDATION, table, "train_run")
        if table["epoch"].isna().any():
            raise DataError(f"{path} has an epoch without a number", remedy=_rerun("train_run"))
        return table

    @cached_property
    def summary(self) -> dict[str, Any]:
        """``summary.json``."""
        return _read_mapping(self.run_folder / "summary.json", ("best_epoch",), "train_run")

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are the run's model; None if the run chose none."""
        return self.summary["best_epoch"]

    @cached_property
    def config_text(self) -> str:
        """``config.yaml``, the resolved configuration of the run."""
        path = self.run_folder / "config.yaml"
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DataError(f"no such file: {path}", remedy=_rerun("train_run")) from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is damaged: {error}", remedy=_rerun("train_run")) from None

    @cached_property
    def test(self) -> dict[str, Any]:
        """``test/metrics.json``."""
        keys = ("task", "num_graphs", "class_names", "confusion_matrix")
        return _read_mapping(self.run_folder / "test" / "metrics.json", keys, "test_run")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row a test graph: ``id`` (text), targets and outputs."""
        return _read_table(self.run_folder / "test" / "predictions.csv", ("id",), "test_run")

    @property
    def target_columns(self) -> list[str]:
        """The columns of ``predictions`` that hold targets: ``target``, or ``target_0`` and on."""
        return [name for name in map(str, self.predictions) if re.fullmatch(r"target(_\d+)?", name)]

    @cached_property
    def dataset(self) -> dict[str, Any]:
        """``dataset.json``."""
        return _read_mapping(
            self.dataset_json, ("num_graphs", "target", "class_names", "sizes"), "preprocess"
        )

    def class_name(self, code: int) -> str:
        """What the data calls the class ``code``, else ``class <code>``."""
        return dict(enumerate(self.dataset["class_names"] or [])).get(code, f"class {code}")

    @cached_property
    def split(self) -> dict[str, Any]:
        """``split.json``."""
        return _read_mapping(self.split_json, ("class_counts",), "split")


def _read_table(path: Path, columns: tuple[str, ...], rule: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"id": str})
    except FileNotFoundError:
        raise DataError(f"no such file: {path}") from None
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", remedy=_rerun(rule)) from None
    _require(path, "column", columns, table, rule)
    return table


def _read_mapping(path: Path, keys: tuple[str, ...], rule: str) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged: not a mapping", remedy=_rerun(rule))
    _require(path, "key", keys, value, rule)
    return value


def _require(path: Path, kind: str, wanted: tuple[str, ...], present: Any, rule: str) -> None:
    missing = [f"'{name}'" for name in wanted if name not in present]
    if missing:
        raise DataError(f"{path} has no {kind} {', '.join(missing)}", remedy=_rerun(rule))


def _rerun(rule: str) -> str:
    return f"make it again with --forcerun {rule}"
