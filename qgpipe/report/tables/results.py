"""The result files of a run, read on first access."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from qgpipe.errors import DataError
from qgpipe.prediction_columns import columns_of, parse_column
from qgpipe.report.tables.ablations import read_ablations
from qgpipe.report.tables.baselines import read_baselines
from qgpipe.report.tables.explanation import read_explanation
from qgpipe.report.tables.result_files import (
    DATASET,
    SPLIT,
    Kind,
    read_metrics,
    read_summary,
    read_table,
    require_epochs,
    rerun,
)
from qgpipe.system.files import read_text
from qgpipe.system.json_shapes import read_shaped

_HISTORY = ("epoch", "train_loss_avg", "train_loss_min", "train_loss_max", "lr")
_VALIDATION = ("val_loss_avg", "val_loss_min", "val_loss_max")


class RunResults:
    """The results of training and test in ``run_folder``, and their data.

    ``sensitivity``: attributes of the graphs by which scores are shown.

    Every property raises ``DataError``, which names the file, if the file is missing, damaged or
    lacks a required column or key.
    """

    def __init__(
        self,
        run_folder: str | Path,
        dataset_json: str | Path,
        split_json: str | Path,
        sensitivity: Sequence[str] = (),
    ):
        self.sensitivity = sensitivity
        self.run_folder = Path(run_folder)
        self.dataset_json = Path(dataset_json)
        self.split_json = Path(split_json)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per epoch: ``epoch``, training losses, ``lr`` and ``val_`` columns, as numbers.

        Text from a user's validator becomes NaN. If there is one of the validation losses (mean,
        minimum, maximum), there are all.
        """
        path = self.run_folder / "history.csv"
        table = read_table(path, "train", _HISTORY, _kind_in_history)
        if (some := [name for name in _VALIDATION if name in table]) and len(some) < 3:
            missing = next(name for name in _VALIDATION if name not in table)
            raise DataError(f"{path} has no column '{missing}'", remedy=rerun("train"))
        require_epochs(table, path, self.summary["epochs"])
        return table.apply(pd.to_numeric, errors="coerce")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """``summary.json``."""
        return read_summary(self.run_folder / "summary.json")

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are the run's model; None if none was selected."""
        return self.summary["best_epoch"]

    @cached_property
    def config_text(self) -> str:
        """``config.yaml``, the resolved configuration of the run."""
        try:
            return read_text(self.run_folder / "config.yaml")
        except DataError as error:
            error.remedy = rerun("train")
            raise

    @cached_property
    def test(self) -> dict[str, Any]:
        """``test/metrics.json``."""
        return read_metrics(self.run_folder / "test" / "metrics.json")

    @cached_property
    def baselines(self) -> dict[str, Any] | None:
        """``test/baselines.json``; None if there is none for these predictions."""
        test = self.run_folder / "test"
        return read_baselines(test / "baselines.json", test / "predictions.csv")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row for each test graph, or each ``element``: ``id`` (text), targets and outputs."""
        path = self.run_folder / "test" / "predictions.csv"
        table = read_table(path, "test", ("id",), _kind_in_predictions)
        _require_ids(table, path)
        graphs = table["id"].nunique()
        if graphs != self.test["num_graphs"]:
            raise DataError(
                f"{path} has {graphs} graphs, metrics.json says {self.test['num_graphs']}",
                remedy=rerun("test"),
            )
        return table

    @property
    def unit(self) -> Literal["graphs", "elements"]:
        """Whether the rows of ``predictions`` are graphs or elements."""
        return "elements" if "element" in self.predictions else "graphs"

    @property
    def target_columns(self) -> list[str]:
        """The columns of ``predictions`` with targets: ``target``, or ``target_0`` …."""
        return columns_of(self.predictions, "target")

    @cached_property
    def explanation(self) -> dict[str, Any]:
        """``explanation.json``, which is there if ``report.explain`` asks for it."""
        content = read_explanation(self.run_folder / "explanation.json")
        assert content is not None
        return content

    @cached_property
    def ablations(self) -> dict[str, Any]:
        """``ablations.json``, which is there if ``report.ablations`` asks for it."""
        content = read_ablations(self.run_folder / "ablations.json")
        assert content is not None
        return content

    @cached_property
    def dataset(self) -> dict[str, Any]:
        """``dataset.json``."""
        return read_shaped(self.dataset_json, DATASET, rerun("gather"))

    def class_name(self, code: int) -> str:
        """The name of the class ``code`` in the data, or ``class <code>``."""
        return dict(enumerate(self.dataset["class_names"] or [])).get(code, f"class {code}")

    @cached_property
    def split(self) -> dict[str, Any]:
        """``split.json``."""
        return read_shaped(self.split_json, SPLIT, rerun("split"))


def _kind_in_history(column: str) -> Kind:
    return "known" if column in _HISTORY else "uniform"


def _kind_in_predictions(column: str) -> Kind:
    if column == "element":
        return "number"
    known = parse_column(column)
    return "number" if known and known.kind in ("target", "output", "predicted") else "text"


def _require_ids(table: pd.DataFrame, path: Path) -> None:
    """Raise ``DataError`` unless every graph, or element, has a unique id ``store/index``."""
    ids, names = table["id"], [name for name in ("id", "element") if name in table]
    twice = table.duplicated(names)
    bad = ~ids.astype(str).str.fullmatch(r".+/[0-9]{1,18}") | twice
    if bad.any():
        place = int(bad.to_numpy().argmax())
        why = "there twice" if twice.iloc[place] else "no id of a graph"
        raise DataError(
            f"{path}, line {place + 2}: {str(ids.iloc[place])[:40]!r} is {why}",
            remedy=rerun("test"),
        )
